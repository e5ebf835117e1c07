use crate::{
    compare::compare,
    goldens,
    harness::{Trial, case, property, say},
    random::matrix,
};
use baichuan2::{
    alibi,
    attention::{Bias, Visibility, attend},
};
use ndarray::{Array2, ArrayView2, Axis, Ix2, concatenate, s};
use proptest::prelude::*;
use your_code::multi_head::multi_head;

fn result() -> String {
    say("the result", "结果")
}

fn axes() -> [String; 2] {
    [say("token", "词元"), say("dimension", "维度")]
}

fn head(
    q: ArrayView2<f64>,
    k: ArrayView2<f64>,
    v: ArrayView2<f64>,
    slope: Option<f64>,
) -> Array2<f64> {
    let bias = Bias {
        visibility: Visibility::Causal { first: 0 },
        alibi_slope: slope,
    };
    attend(q, k, v, &bias).output
}

#[derive(Clone, Debug)]
struct Layer {
    x: Array2<f64>,
    w_pack: Array2<f64>,
    w_o: Array2<f64>,
    heads: usize,
}

fn layers() -> impl Strategy<Value = Layer> {
    (1..4_usize, 1..4_usize, 1..4_usize).prop_flat_map(|(tokens, heads, d)| {
        let width = heads * d;
        (
            matrix(tokens, width),
            matrix(3 * width, width),
            matrix(width, width),
        )
            // Small enough that no head looks at one token alone.
            .prop_map(move |(x, w_pack, w_o)| Layer {
                x,
                w_pack: w_pack / 4.0,
                w_o,
                heads,
            })
    })
}

/// Head by head, from the rows of `w_pack` that `rows(third, head, dimension)` names.
fn expected(layer: &Layer, rows: impl Fn(usize, usize, usize) -> usize) -> Array2<f64> {
    let Layer {
        x,
        w_pack,
        w_o,
        heads,
    } = layer;
    let d = x.ncols() / heads;
    let gathered: Vec<Array2<f64>> = (0..*heads)
        .map(|number| {
            let [q, k, v] = [0, 1, 2].map(|third| {
                let rows: Vec<usize> = (0..d).map(|i| rows(third, number, i)).collect();
                x.dot(&w_pack.select(Axis(0), &rows).t())
            });
            head(q.view(), k.view(), v.view(), None)
        })
        .collect();
    let gathered: Vec<_> = gathered.iter().map(|y| y.view()).collect();
    concatenate(Axis(1), &gathered)
        .expect("heads of one length")
        .dot(&w_o.t())
}

pub fn trials() -> Vec<Trial> {
    vec![
        property(
            "cuts_thirds_and_heads_where_they_lie",
            "三份和各头切在该切的位置",
            layers(),
            |layer| {
                let Layer {
                    x,
                    w_pack,
                    w_o,
                    heads,
                } = &layer;
                let heads = *heads;
                let width = x.ncols();
                let d = width / heads;
                let got = multi_head(x.view(), w_pack.view(), w_o.view(), heads, &|_, q, k, v| {
                    head(q, k, v, None)
                });
                let right = |third: usize, head: usize, i: usize| third * width + head * d + i;
                let unmixed = Layer {
                    w_o: Array2::eye(width),
                    ..layer.clone()
                };
                let transposed = Layer {
                    w_o: w_o.t().to_owned(),
                    ..layer.clone()
                };
                compare(result(), &got, &expected(&layer, right))
                    .axes(axes())
                    .given("x", x)
                    .given("w_pack", w_pack)
                    .given("w_o", w_o)
                    .given("heads", &heads)
                    .smell(
                        say(
                            "W_pack is cut into heads first and then into q, k, v; it \
                holds all queries, then all keys, then all values",
                            "先按头、再按 q、k、v 切了 W_pack；它先放所有查询，\
                再放所有键，最后放所有值",
                        ),
                        expected(&layer, |third, head, i| (head * 3 + third) * d + i),
                    )
                    .smell(
                        say(
                            "the dimensions of a head are taken H apart; they lie side \
                by side",
                            "每隔 H 取一维当作一个头；一个头的各维是挨在一起的",
                        ),
                        expected(&layer, |third, head, i| third * width + i * heads + head),
                    )
                    .smell(
                        say("queries and keys change places", "查询与键对调了"),
                        expected(&layer, |third, head, i| right([1, 0, 2][third], head, i)),
                    )
                    .smell(
                        say("keys and values change places", "键与值对调了"),
                        expected(&layer, |third, head, i| right([0, 2, 1][third], head, i)),
                    )
                    .smell(
                        say("W_o is forgotten", "漏了 W_o"),
                        expected(&unmixed, right),
                    )
                    .smell(
                        say(
                            "W_o is transposed: maps are stored [out, in], so that it \
                is Y · W_oᵀ",
                            "W_o 转置了：映射按 [out, in] 存放，应是 Y · W_oᵀ",
                        ),
                        expected(&transposed, right),
                    )
                    .smell(
                        say("keys are taken where values belong", "该用值的地方用了键"),
                        expected(&layer, |third, head, i| right(third.min(1), head, i)),
                    )
                    .smell(
                        say("every head is the first one", "每个头都成了第一个头"),
                        expected(&layer, |third, _, i| right(third, 0, i)),
                    )
                    .check()
            },
        ),
        case(
            "tells_each_head_its_number",
            "告诉每个头它的编号",
            || {
                // A head that gathers nothing but its number.
                let (x, w_pack) = (Array2::ones((2, 6)), Array2::ones((18, 6)));
                let w_o: Array2<f64> = Array2::eye(6);
                let got = multi_head(x.view(), w_pack.view(), w_o.view(), 3, &|head, q, _, _| {
                    Array2::from_elem(q.dim(), head as f64)
                });
                compare(
                    result(),
                    &got,
                    &Array2::from_shape_fn((2, 6), |(_, column)| (column / 2) as f64),
                )
                .axes(axes())
                .given("heads", &3_usize)
                .check()
            },
        ),
        case(
            "gives_the_attention_of_the_shipped_model",
            "注意力与发布的模型相同",
            || {
                // The 13B: each of its five heads has a slope of its own.
                let slopes = alibi::slopes(5);
                let x: Array2<f64> = goldens::act("tiny13b", "plain.layers.0.input_layernorm");
                let map = |name| {
                    goldens::weight::<Ix2>(
                        "tiny13b",
                        &format!("model.layers.0.self_attn.{name}.weight"),
                    )
                };
                let got = multi_head(
                    x.view(),
                    map("W_pack").view(),
                    map("o_proj").view(),
                    5,
                    &|number, q, k, v| head(q, k, v, Some(slopes[number])),
                );
                compare(
                    result(),
                    &got,
                    &goldens::act::<Ix2>("tiny13b", "plain.layers.0.self_attn"),
                )
                .within(goldens::TOLERANCE)
                .axes(axes())
                .smell(
                    say(
                        "what the heads gather, without W_o",
                        "只是各头收集到的，没有 W_o",
                    ),
                    goldens::act::<Ix2>("tiny13b", "plain.layers.0.attn_concat"),
                )
                .check()
            },
        ),
        property(
            "one_head_is_the_single_head",
            "只有一个头时就是单头",
            layers(),
            |layer| {
                let layer = Layer { heads: 1, ..layer };
                let Layer { x, w_pack, w_o, .. } = &layer;
                let got = multi_head(x.view(), w_pack.view(), w_o.view(), 1, &|_, q, k, v| {
                    head(q, k, v, None)
                });
                let width = x.ncols();
                let map = |third: usize| {
                    x.dot(&w_pack.slice(s![third * width..(third + 1) * width, ..]).t())
                };
                let single = head(map(0).view(), map(1).view(), map(2).view(), None);
                compare(result(), &got, &single.dot(&w_o.t()))
                    .axes(axes())
                    .given("x", x)
                    .check()
            },
        ),
    ]
}
