use crate::{
    compare::compare,
    goldens,
    harness::{Trial, case, property, say},
    random::{matrix, vector},
};
use baichuan2::rms_norm::RmsNorm;
use ndarray::{Array1, Array2, ArrayView1, Axis, array};
use proptest::prelude::*;
use your_code::rms_norm::{fold_gamma, rms_norm};

fn y() -> String {
    say("the normalized tokens", "归一化后的词元")
}

fn axes() -> [String; 2] {
    [say("token", "词元"), say("dimension", "维度")]
}

/// Tokens and γ.
fn tokens() -> impl Strategy<Value = (Array2<f64>, Array1<f64>)> {
    (1..5_usize, 1..6_usize).prop_flat_map(|(tokens, d)| (matrix(tokens, d), vector(d)))
}

fn expected(x: &Array2<f64>, gamma: &Array1<f64>, eps: f64) -> Array2<f64> {
    RmsNorm {
        gamma: gamma.clone(),
        eps,
    }
    .forward(x.view())
}

/// x over what `divisor` says of a row, times γ.
fn with(
    x: &Array2<f64>,
    gamma: &Array1<f64>,
    divisor: impl Fn(ArrayView1<f64>) -> f64,
) -> Array2<f64> {
    let mut y = x.clone();
    for mut row in y.rows_mut() {
        let by = divisor(row.view());
        row /= by;
    }
    y * gamma
}

pub fn trials() -> Vec<Trial> {
    vec![
        property(
            "normalizes_each_token",
            "逐个词元归一化",
            tokens(),
            |(x, gamma)| {
                let eps = 0.25; // large enough to tell where it is added
                let d = x.ncols() as f64;
                let layer_norm = {
                    let centred = &x
                        - &x.mean_axis(Axis(1))
                            .expect("a dimension")
                            .insert_axis(Axis(1));
                    with(&centred, &gamma, |r| (r.dot(&r) / d + eps).sqrt())
                };
                let over_tokens = expected(&x.t().to_owned(), &Array1::ones(x.nrows()), eps)
                    .reversed_axes()
                    * &gamma;
                compare(
                    y(),
                    &rms_norm(x.view(), gamma.view(), eps),
                    &expected(&x, &gamma, eps),
                )
                .axes(axes())
                .given("x", &x)
                .given("gamma", &gamma)
                .given("eps", &eps)
                .smell(
                    say("γ is forgotten", "漏了 γ"),
                    with(&x, &Array1::ones(x.ncols()), |r| {
                        (r.dot(&r) / d + eps).sqrt()
                    }),
                )
                .smell(
                    say(
                        "a mean is subtracted: this is LayerNorm",
                        "减去了均值：这是 LayerNorm",
                    ),
                    layer_norm,
                )
                .smell(
                    say(
                        "the mean is over the tokens, and should be over the \
                dimensions of each token",
                        "均值取在了词元上，应取在每个词元的各维上",
                    ),
                    over_tokens,
                )
                .smell(
                    say(
                        "ε is added after the root, and belongs under it",
                        "ε 加在了根号外，应在根号内",
                    ),
                    with(&x, &gamma, |r| (r.dot(&r) / d).sqrt() + eps),
                )
                .smell(
                    say("ε is missing", "漏了 ε"),
                    with(&x, &gamma, |r| (r.dot(&r) / d).sqrt()),
                )
                .smell(
                    say(
                        "divided by the mean square itself: the root is forgotten",
                        "除以了均方本身：漏了开方",
                    ),
                    with(&x, &gamma, |r| r.dot(&r) / d + eps),
                )
                .smell(
                    say(
                        "a sum of squares where the mean belongs",
                        "用了平方和，应是平方的均值",
                    ),
                    with(&x, &gamma, |r| (r.dot(&r) + eps).sqrt()),
                )
                .smell(
                    say(
                        "ε is added before the division by d",
                        "ε 在除以 d 之前就加上了",
                    ),
                    with(&x, &gamma, |r| ((r.dot(&r) + eps) / d).sqrt()),
                )
                .check()
            },
        ),
        case("silence_stays_silent", "全零仍是全零", || {
            let x = array![[0.0, 0.0], [3.0, -3.0]];
            let gamma = array![2.0, 1.0];
            compare(
                y(),
                &rms_norm(x.view(), gamma.view(), 1e-6),
                &expected(&x, &gamma, 1e-6),
            )
            .axes(axes())
            .given("x", &x)
            .given("eps", &1e-6)
            .check()
        }),
        case(
            "gives_the_norm_of_the_shipped_model",
            "归一化与发布的模型相同",
            || {
                let x: Array2<f64> = goldens::act("tiny7b", "plain.embed");
                let gamma: Array1<f64> =
                    goldens::weight("tiny7b", "model.layers.0.input_layernorm.weight");
                compare(
                    y(),
                    &rms_norm(x.view(), gamma.view(), 1e-6),
                    &goldens::act::<ndarray::Ix2>("tiny7b", "plain.layers.0.input_layernorm"),
                )
                .within(goldens::TOLERANCE)
                .axes(axes())
                .check()
            },
        ),
        property(
            "gamma_hides_in_the_next_map",
            "γ 藏进下一个映射",
            // Square, so that rows can be taken for columns.
            (1..5_usize).prop_flat_map(|d| (matrix(3, d), vector(d), matrix(d, d))),
            |(x, gamma, w)| {
                let folded = fold_gamma(w.view(), gamma.view());
                compare(say("W′", "W′"), &folded, &(&w * &gamma))
                    .axes([say("output", "输出"), say("dimension", "维度")])
                    .given("w", &w)
                    .given("gamma", &gamma)
                    .smell(
                        say(
                            "γ scales the rows of W, the outputs; it comes with the \
                inputs",
                            "γ 乘在了 W 的行（输出）上；它是随输入来的",
                        ),
                        (&w.t() * &gamma).reversed_axes(),
                    )
                    .smell(say("W is divided by γ", "W 除以了 γ"), &w / &gamma)
                    .check()?;
                let ones = Array1::ones(x.ncols());
                compare(
                    say("the norm without γ, then W′", "不带 γ 的归一化，再乘 W′"),
                    &expected(&x, &ones, 0.25).dot(&folded.t()),
                    &expected(&x, &gamma, 0.25).dot(&w.t()),
                )
                .check()
            },
        ),
    ]
}
