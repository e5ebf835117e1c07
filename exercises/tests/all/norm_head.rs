use crate::{
    compare::compare,
    goldens,
    harness::{Finding, Trial, case, property, say},
    random::{matrix, vector},
};
use baichuan2::unembedding::{Unembedding, norm_head_formal};
use ndarray::{Array1, Array2, ArrayView1, Axis, Ix2, array};
use proptest::prelude::*;
use your_code::norm_head::{export, norm_head};

fn axes() -> [String; 2] {
    [say("token", "词元"), say("id", "id")]
}

fn oracle(x: &Array2<f64>, w: &Array2<f64>) -> Array2<f64> {
    Unembedding::new(w.clone(), true).logits(x.view())
}

/// The logits where each row is divided by what `divisor` says of it.
fn with(x: &Array2<f64>, w: &Array2<f64>, divisor: impl Fn(ArrayView1<f64>) -> f64) -> Array2<f64> {
    x.dot(&w.t()) / w.map_axis(Axis(1), divisor)
}

fn check(x: &Array2<f64>, w: &Array2<f64>) -> Finding {
    let length = |r: ArrayView1<f64>| r.dot(&r).sqrt();
    let rows = |a: &Array2<f64>| norm_head_formal(a.view());
    compare(
        say("the logits", "logit"),
        &norm_head(x.view(), w.view()),
        &oracle(x, w),
    )
    .axes(axes())
    .given("x", x)
    .given("w", w)
    .smell(
        say(
            "there is no NormHead in it: W as it is stored",
            "没有 NormHead：直接用了存储的 W",
        ),
        x.dot(&w.t()),
    )
    .smell(
        say(
            "the hidden states are normalized too: that is a cosine",
            "隐藏状态也归一化了：那是余弦",
        ),
        rows(x).dot(&rows(w).t()),
    )
    .smell(
        say(
            "the hidden states are normalized, and the rows of W should be",
            "归一化的是隐藏状态；应是 W 的行",
        ),
        rows(x).dot(&w.t()),
    )
    .smell(
        say(
            "the columns of W are normalized, and its rows should be",
            "归一化的是 W 的列；应是行",
        ),
        x.dot(&norm_head_formal(w.t())),
    )
    .smell(
        say(
            "divided by the square of the length: the root is forgotten",
            "除以了长度的平方：漏了开方",
        ),
        with(x, w, |r| r.dot(&r).max(1e-12)),
    )
    .smell(
        say(
            "the root of the mean square, as in RMSNorm; here it is of the sum",
            "用了均方根，像 RMSNorm；这里是平方和的根",
        ),
        with(x, w, |r| (length(r) / (r.len() as f64).sqrt()).max(1e-12)),
    )
    .smell(
        say(
            "the length is the sum of absolute values; it is the root of the sum of squares",
            "长度取成了绝对值之和；应是平方和的根",
        ),
        with(x, w, |r| r.mapv(f64::abs).sum().max(1e-12)),
    )
    .smell(
        say(
            "1e-12 is added to every length; it is only the least that a length may be",
            "每个长度都加了 1e-12；它只是长度的下限",
        ),
        with(x, w, |r| length(r) + 1e-12),
    )
    .smell(
        say(
            "a row of zeros is 0/0; its logit is 0",
            "全零的一行是 0/0；它的 logit 应为 0",
        ),
        with(x, w, length),
    )
    .check()
}

pub fn trials() -> Vec<Trial> {
    vec![
        property(
            "divides_each_row_by_its_length",
            "每行除以自己的长度",
            (1..4_usize, 1..5_usize, 1..5_usize)
                .prop_flat_map(|(tokens, n, d)| (matrix(tokens, d), matrix(n, d))),
            |(x, w)| check(&x, &w),
        ),
        case(
            "a_token_that_was_never_trained",
            "从没训练过的词元",
            || {
                let x = array![[1.0, -1.0], [0.5, 2.0]];
                check(&x, &array![[0.0, 0.0], [3.0, 4.0]])?;
                // Shorter than 1e-12, and not much longer.
                check(&x, &array![[1e-13, 0.0], [3e-12, 4e-12]])
            },
        ),
        case(
            "gives_the_logits_of_the_shipped_models",
            "logits 与发布的模型相同",
            || {
                for size in ["tiny7b", "tiny13b"] {
                    let x: Array2<f64> = goldens::act(size, "plain.final_norm");
                    let w: Array2<f64> = goldens::weight(size, "lm_head.weight");
                    compare(
                        say(format!("the logits of {size}"), format!("{size} 的 logit")),
                        &norm_head(x.view(), w.view()),
                        &goldens::act::<Ix2>(size, "plain.logits"),
                    )
                    .within(goldens::TOLERANCE)
                    .axes(axes())
                    .smell(
                        say(
                            "there is no NormHead in it: W as it is stored",
                            "没有 NormHead：直接用了存储的 W",
                        ),
                        x.dot(&w.t()),
                    )
                    .check()?;
                }
                Ok(())
            },
        ),
        property(
            "a_program_for_llama_gives_the_same",
            "为 Llama 写的程序给出同样结果",
            // Square, so that rows can be taken for columns.
            (1..5_usize).prop_flat_map(|d| (matrix(2, d), vector(d), matrix(d, d))),
            |(x, gamma, w)| {
                let exported = export(w.view(), gamma.view());
                let normalized = norm_head_formal(w.view());
                compare(say("W′", "W′"), &exported, &(&normalized * &gamma))
                    .axes([say("id", "id"), say("dimension", "维度")])
                    .given("w", &w)
                    .given("gamma", &gamma)
                    .smell(say("γ came first, and changed the lengths; the lengths are of the rows as they are stored", "先乘了 γ，长度就变了；长度应按存储的行来算"), norm_head_formal((&w * &gamma).view()))
                    .smell(say("γ is not in it", "没有乘 γ"), normalized.clone())
                    .smell(say("the rows are not normalized", "行没有归一化"), &w * &gamma)
                    .smell(say("γ scales the rows of W, the ids; it comes with the dimensions", "γ 乘在了 W 的行（id）上；它是随各维来的"), (&normalized.t() * &gamma).reversed_axes())
                    .smell(say("W is divided by γ", "除以了 γ"), &normalized / &gamma)
                    .check()?;
                compare(
                    say("x̂ times W′", "x̂ 乘 W′"),
                    &x.dot(&exported.t()),
                    &norm_head((&x * &gamma).view(), w.view()),
                )
                .check()
            },
        ),
        case(
            "a_program_for_llama_gives_the_logits_of_the_shipped_model",
            "为 Llama 写的程序给出发布模型的 logits",
            || {
                let x: Array2<f64> = goldens::act("tiny7b", "plain.layers.1.out");
                let w: Array2<f64> = goldens::weight("tiny7b", "lm_head.weight");
                let gamma: Array1<f64> = goldens::weight("tiny7b", "model.norm.weight");
                let mut normalized = x;
                for mut token in normalized.rows_mut() {
                    let rms = (token.dot(&token) / token.len() as f64 + 1e-6).sqrt();
                    token /= rms;
                }
                let got = normalized.dot(&export(w.view(), gamma.view()).t());
                compare(
                    say("the logits of tiny7b", "tiny7b 的 logit"),
                    &got,
                    &goldens::act::<Ix2>("tiny7b", "plain.logits"),
                )
                .within(goldens::TOLERANCE)
                .axes(axes())
                .check()
            },
        ),
    ]
}
