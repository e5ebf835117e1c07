use crate::{
    compare::compare,
    harness::{Trial, case, property, say},
    random::matrix,
};
use baichuan2::attention::{
    Bias, GroupedQueryParameters, Visibility, attend, grouped_query_attention_formal,
};
use ndarray::{Array2, ArrayView2, Axis, array, s};
use proptest::prelude::*;
use your_code::grouped_query::{Maps, grouped_query, share};

fn axes() -> [String; 2] {
    [say("token", "词元"), say("dimension", "维度")]
}

fn head(q: ArrayView2<f64>, k: ArrayView2<f64>, v: ArrayView2<f64>) -> Array2<f64> {
    let bias = Bias {
        visibility: Visibility::Causal { first: 0 },
        alibi_slope: None,
    };
    attend(q, k, v, &bias).output
}

#[derive(Clone, Debug)]
struct Layer {
    x: Array2<f64>,
    w_q: Array2<f64>,
    w_k: Array2<f64>,
    w_v: Array2<f64>,
    w_o: Array2<f64>,
    kv_heads: usize,
    group: usize,
    d: usize,
}

fn layers() -> impl Strategy<Value = Layer> {
    (1..4_usize, 1..4_usize, 1..4_usize, 1..3_usize, 1..6_usize).prop_flat_map(
        |(tokens, kv_heads, group, d, width)| {
            let rows = kv_heads * d;
            (
                matrix(tokens, width),
                matrix(rows * group, width),
                matrix(rows, width),
                matrix(rows, width),
                matrix(width, rows * group),
            )
                .prop_map(move |(x, w_q, w_k, w_v, w_o)| Layer {
                    x,
                    // So small that no score overflows the page's softmax.
                    w_q: w_q / 4.0,
                    w_k: w_k / 4.0,
                    w_v,
                    w_o,
                    kv_heads,
                    group,
                    d,
                })
        },
    )
}

/// The page's algorithm, where query head h reads the keys and values of `kv(h)`.
fn expected(layer: &Layer, kv: impl Fn(usize) -> usize) -> Array2<f64> {
    let heads = layer.kv_heads * layer.group;
    let part = |w: &Array2<f64>, head: usize| {
        w.slice(s![head * layer.d..(head + 1) * layer.d, ..])
            .to_owned()
    };
    let parameters = GroupedQueryParameters {
        w_q: (0..heads).map(|h| part(&layer.w_q, h)).collect(),
        // Repeated for each head, so that any sharing can be tried.
        w_k: (0..heads).map(|h| part(&layer.w_k, kv(h))).collect(),
        w_v: (0..heads).map(|h| part(&layer.w_v, kv(h))).collect(),
        w_o: layer.w_o.clone(),
    };
    let n = layer.x.nrows();
    let mask = Array2::from_shape_fn(
        (n, n),
        |(i, j)| if j <= i { 0.0 } else { f64::NEG_INFINITY },
    );
    grouped_query_attention_formal(
        layer.x.view(),
        layer.x.view(),
        &parameters,
        mask.view(),
        &mut Vec::new(),
    )
}

fn ours(layer: &Layer) -> Array2<f64> {
    let maps = Maps {
        w_q: layer.w_q.view(),
        w_k: layer.w_k.view(),
        w_v: layer.w_v.view(),
        w_o: layer.w_o.view(),
        heads: layer.kv_heads * layer.group,
        kv_heads: layer.kv_heads,
    };
    grouped_query(layer.x.view(), &maps, &|_, q, k, v| head(q, k, v))
}

pub fn trials() -> Vec<Trial> {
    vec![
        property(
            "each_group_shares_keys_and_values",
            "每组共用键和值",
            layers(),
            |layer| {
                let (n, group) = (layer.kv_heads, layer.group);
                compare(
                    say("the result", "结果"),
                    &ours(&layer),
                    &expected(&layer, |h| h / group),
                )
                .axes(axes())
                .given("x", &layer.x)
                .given("w_q", &layer.w_q)
                .given("w_k", &layer.w_k)
                .given("w_v", &layer.w_v)
                .given("w_o", &layer.w_o)
                .given("heads", &(n * group))
                .given("kv_heads", &n)
                .smell(
                    say(
                        "head h reads keys h mod N; the heads of a group stand next \
                to each other: ⌊h / (H / N)⌋",
                        "第 h 个头读了第 h mod N 组键；同组的头是挨着的：⌊h / (H / \
                N)⌋",
                    ),
                    expected(&layer, |h| h % n),
                )
                .smell(
                    say("all heads read the first keys", "所有头都读了第一组键"),
                    expected(&layer, |_| 0),
                )
                .smell(
                    say(
                        "h / N where h / (H / N) belongs",
                        "用了 h / N，应是 h / (H / N)",
                    ),
                    expected(&layer, |h| (h / n).min(n - 1)),
                )
                .smell(
                    say("the last keys first", "键的次序颠倒了"),
                    expected(&layer, |h| n - 1 - h / group),
                )
                .check()
            },
        ),
        property(
            "groups_of_one_are_multi_head",
            "一组一个头就是多头注意力",
            layers(),
            |layer| {
                let rows = layer.kv_heads * layer.d;
                let layer = Layer {
                    group: 1,
                    w_q: layer.w_q.slice(s![..rows, ..]).to_owned(),
                    w_o: layer.w_o.slice(s![.., ..rows]).to_owned(),
                    ..layer
                };
                compare(
                    say("the result with N = H", "N = H 时的结果"),
                    &ours(&layer),
                    &expected(&layer, |h| h),
                )
                .axes(axes())
                .given("heads", &layer.kv_heads)
                .check()
            },
        ),
        property(
            "sharing_takes_the_mean_of_each_group",
            "共用时取每组的平均",
            layers(),
            |layer| {
                let Layer {
                    w_q: w,
                    kv_heads: n,
                    group,
                    d,
                    ..
                } = &layer;
                let (n, group, d) = (*n, *group, *d);
                // Row i of the shared head g, as a mean of rows that `row(g, member, i)` names.
                let mean = |row: &dyn Fn(usize, usize, usize) -> usize| {
                    let mut shared = Array2::<f64>::zeros((n * d, w.ncols()));
                    for (to, mut shared) in shared.rows_mut().into_iter().enumerate() {
                        for member in 0..group {
                            shared += &w.row(row(to / d, member, to % d));
                        }
                    }
                    shared / group as f64
                };
                let right = mean(&|g, member, i| (g * group + member) * d + i);
                let first = Array2::from_shape_fn((n * d, w.ncols()), |(to, c)| {
                    w[[to / d * group * d + to % d, c]]
                });
                compare(
                    say("the shared map", "共享的映射"),
                    &share(w.view(), n * group, n),
                    &right,
                )
                .axes([say("row", "行"), say("column", "列")])
                .given("w", w)
                .given("heads", &(n * group))
                .given("kv_heads", &n)
                .smell(
                    say("a sum where the mean belongs", "用了和，应是平均"),
                    &right * group as f64,
                )
                .smell(
                    say(
                        "the first head of each group, and not the mean",
                        "取了每组的第一个头，应是平均",
                    ),
                    first,
                )
                .smell(
                    say(
                        "heads that stand N apart are put together; those of a \
                group are neighbours",
                        "把相隔 N 的头并在了一起；同组的头是相邻的",
                    ),
                    mean(&|g, member, i| (member * n + g) * d + i),
                )
                .smell(
                    say(
                        "rows that are neighbours are put together: heads are d \
                rows each, and row i of one goes with row i of the other",
                        "把相邻的行并在了一起：每个头有 d 行，一个头的第 i \
                行应与另一个头的第 i 行合并",
                    ),
                    mean(&|g, member, i| (g * d + i) * group + member),
                )
                .check()
            },
        ),
        case(
            "each_head_says_its_number",
            "告诉每个头它的编号",
            || {
                let x = array![[1.0]];
                let (wide, narrow) = (Array2::ones((4, 1)), Array2::ones((2, 1)));
                let w_o: Array2<f64> = array![[1.0, 10.0, 100.0, 1000.0]];
                let maps = Maps {
                    w_q: wide.view(),
                    w_k: narrow.view(),
                    w_v: narrow.view(),
                    w_o: w_o.view(),
                    heads: 4,
                    kv_heads: 2,
                };
                let got = grouped_query(x.view(), &maps, &|number, q, _, _| {
                    Array2::from_elem(q.dim(), number as f64)
                });
                compare(
                    say(
                        "the numbers that `attention` was told, with weights 1, 10, \
                100, 1000",
                        "传给 `attention` 的编号，权为 1、10、100、1000",
                    ),
                    &got,
                    &array![[3210.0]],
                )
                .check()
            },
        ),
        case(
            "a_shared_model_is_the_old_one_where_the_heads_were_alike",
            "同组的头本来一样时，合并前后模型不变",
            || {
                // Two heads with the same keys: their mean is either.
                let w = array![[1.0, 2.0], [3.0, 4.0], [1.0, 2.0], [3.0, 4.0]];
                compare(
                    say("the shared map", "共享的映射"),
                    &share(w.view(), 2, 1),
                    &w.select(Axis(0), &[0, 1]),
                )
                .given("w", &w)
                .check()
            },
        ),
    ]
}
