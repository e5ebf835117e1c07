use crate::{
    compare::compare,
    goldens,
    harness::{Trial, case, property, say},
    random::matrix,
};
use baichuan2::{
    attention::{Bias, Visibility, attend, causal_mask},
    tensor::softmax,
};
use ndarray::{Array2, Array3, Axis, array, s};
use proptest::{collection::vec, prelude::*};
use your_code::attention::attention;

fn gathered() -> String {
    say("what the queries gather", "各查询收集到的")
}

fn axes() -> [String; 2] {
    [
        say("query", "查询"),
        say("dimension of the values", "值的维度"),
    ]
}

type Case = (Array2<f64>, Array2<f64>, Array2<f64>, Array2<bool>);

/// q, k, v and a mask, in which every query sees something or nothing.
fn cases() -> impl Strategy<Value = Case> {
    (1..5_usize, 1..5_usize, 2..5_usize, 1..4_usize).prop_flat_map(|(queries, keys, d, d_v)| {
        let mask = vec(prop::bool::weighted(0.8), queries * keys);
        let mask = mask.prop_map(move |v| {
            Array2::from_shape_vec((queries, keys), v).expect("as many as queries × keys")
        });
        (matrix(queries, d), matrix(keys, d), matrix(keys, d_v), mask)
    })
}

fn expected((q, k, v, mask): &Case) -> Array2<f64> {
    let bias = Bias {
        visibility: Visibility::Mask(mask.view()),
        alibi_slope: None,
    };
    attend(q.view(), k.view(), v.view(), &bias).output
}

/// With another factor on the products.
fn scaled((q, k, v, mask): &Case, by: f64) -> Array2<f64> {
    let factor = by * (q.ncols() as f64).sqrt();
    expected(&(q * factor, k.clone(), v.clone(), mask.clone()))
}

fn softmax_of((q, k, _, mask): &Case) -> Array2<f64> {
    let mut scores = q.dot(&k.t()) / (q.ncols() as f64).sqrt();
    scores.zip_mut_with(mask, |s, &seen| {
        if !seen {
            *s = f64::NEG_INFINITY;
        }
    });
    softmax(scores.t()).reversed_axes()
}

pub fn trials() -> Vec<Trial> {
    vec![
        property(
            "gathers_what_fits",
            "收集对得上的值",
            cases(),
            |case| {
                let (q, k, v, mask) = &case;
                let (d, d_v) = (q.ncols() as f64, v.ncols() as f64);
                let inverted = (q.clone(), k.clone(), v.clone(), mask.mapv(|seen| !seen));
                let all = (q.clone(), k.clone(), v.clone(), mask.mapv(|_| true));
                let late = {
                    let mut weights = softmax((q.dot(&k.t()) / d.sqrt()).view());
                    weights.zip_mut_with(mask, |w, &seen| *w *= f64::from(seen));
                    weights.dot(v)
                };
                compare(
                    gathered(),
                    &attention(q.view(), k.view(), v.view(), mask.view()),
                    &expected(&case),
                )
                .axes(axes())
                .given("q", q)
                .given("k", k)
                .given("v", v)
                .given("mask", mask)
                .smell(
                    say(
                        "the mask is inverted: true is what may be seen",
                        "掩码反了：true 表示可以看",
                    ),
                    expected(&inverted),
                )
                .smell(say("the mask is not used", "没有用掩码"), expected(&all))
                .smell(
                    say(
                        "the mask comes after the softmax: the weights of a row no \
                longer sum to one",
                        "掩码用在了 softmax 之后：一行权重的和不再是一",
                    ),
                    late,
                )
                .smell(
                    say(
                        "the scale is forgotten: divide by √d",
                        "漏了缩放：要除以 √d",
                    ),
                    scaled(&case, 1.0),
                )
                .smell(
                    say("divided by d, and not by its root", "除以了 d，而不是 √d"),
                    scaled(&case, 1.0 / d),
                )
                .smell(
                    say(
                        "divided by the root of the width of the values; it is that \
                of queries and keys",
                        "除以了值的宽度的平方根；应是查询和键的宽度",
                    ),
                    scaled(&case, 1.0 / d_v.sqrt()),
                )
                .smell(
                    say("multiplied by √d, and not divided", "乘以了 √d，应是除以"),
                    scaled(&case, d.sqrt()),
                )
                .smell(
                    say(
                        "the softmax runs over the queries, and should over the \
                keys: each row of weights sums to one",
                        "softmax 沿查询做了，应沿键：每一行权重的和是一",
                    ),
                    softmax_of(&case).dot(v),
                )
                .check()
            },
        ),
        case("survives_large_scores", "分数很大也不出错", || {
            let (q, k) = (
                array![[40.0, 0.0], [0.0, -40.0]],
                array![[40.0, 40.0], [0.0, 0.0]],
            );
            let (v, mask) = (array![[1.0], [2.0]], array![[true, true], [true, true]]);
            compare(
                gathered(),
                &attention(q.view(), k.view(), v.view(), mask.view()),
                &array![[1.0], [2.0]],
            )
            .axes(axes())
            .given("q", &q)
            .given("k", &k)
            .given("v", &v)
            .check()
        }),
        case(
            "a_query_that_sees_nothing_gathers_nothing",
            "什么也看不到的查询得到零",
            || {
                let x = array![[1.0, 2.0], [3.0, 4.0]];
                let mask = array![[false, false], [true, false]];
                compare(
                    gathered(),
                    &attention(x.view(), x.view(), x.view(), mask.view()),
                    &array![[0.0, 0.0], [1.0, 2.0]],
                )
                .axes(axes())
                .given("q, k, v", &x)
                .given("mask", &mask)
                .check()
            },
        ),
        case(
            "gives_the_heads_of_the_shipped_model",
            "每个头与发布的模型相同",
            || {
                // The 7B: queries and keys are turned already, values are the last third of W_pack.
                let q: Array3<f64> = goldens::act("tiny7b", "plain.layers.0.q_rot");
                let k: Array3<f64> = goldens::act("tiny7b", "plain.layers.0.k_rot");
                let pack: Array2<f64> = goldens::act("tiny7b", "plain.layers.0.W_pack");
                let concat: Array2<f64> = goldens::act("tiny7b", "plain.layers.0.attn_concat");
                let (heads, tokens, d) = q.dim();
                for head in 0..heads {
                    let of_head = s![.., head * d..(head + 1) * d];
                    let values = pack.slice(s![.., 2 * heads * d..]);
                    let [q, k] = [&q, &k].map(|x| x.index_axis(Axis(0), head));
                    compare(
                        say(
                            format!("what head {head} gathers"),
                            format!("第 {head} 个头收集到的"),
                        ),
                        &attention(
                            q,
                            k,
                            values.slice(of_head),
                            causal_mask(0, tokens, tokens).view(),
                        ),
                        &concat.slice(of_head).to_owned(),
                    )
                    .within(goldens::TOLERANCE)
                    .axes(axes())
                    .check()?;
                }
                Ok(())
            },
        ),
    ]
}
