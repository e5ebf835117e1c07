use crate::{
    compare::compare,
    goldens,
    harness::{Trial, case, property, say},
    random::matrix,
};
use baichuan2::attention::causal_mask as oracle;
use ndarray::{Array2, Array3, Axis, s};
use proptest::{collection::vec, prelude::*};
use your_code::causal_mask::{causal_mask, hide, without_padding};

fn mask() -> String {
    say("the mask", "掩码")
}

fn axes() -> [String; 2] {
    [say("query", "查询"), say("key", "键")]
}

fn of(queries: usize, keys: usize, sees: impl Fn(usize, usize) -> bool) -> Array2<bool> {
    Array2::from_shape_fn((queries, keys), |(i, j)| sees(i, j))
}

/// Scores and any mask.
fn masked() -> impl Strategy<Value = (Array2<f64>, Array2<bool>)> {
    (1..5_usize, 1..5_usize).prop_flat_map(|(queries, keys)| {
        let mask = vec(any::<bool>(), queries * keys);
        let mask = mask.prop_map(move |v| {
            Array2::from_shape_vec((queries, keys), v).expect("as many as queries × keys")
        });
        (matrix(queries, keys), mask)
    })
}

pub fn trials() -> Vec<Trial> {
    vec![
        property(
            "shows_each_token_its_past_and_itself",
            "每个词元看得到过去和自己",
            1..7_usize,
            |n| {
                compare(mask(), &causal_mask(0, n, n), &oracle(0, n, n))
                    .axes(axes())
                    .given("first", &0_usize)
                    .given("queries, keys", &n)
                    .smell(
                        say("a token does not see itself", "词元看不到自己"),
                        of(n, n, |i, j| j < i),
                    )
                    .smell(
                        say(
                            "a token sees its future, and not its past",
                            "词元看到的是未来，不是过去",
                        ),
                        of(n, n, |i, j| j >= i),
                    )
                    .smell(
                        say("a token sees one token too far", "多看了一个词元"),
                        of(n, n, |i, j| j <= i + 1),
                    )
                    .check()
            },
        ),
        property(
            "counts_keys_from_the_beginning_of_the_text",
            "键从文本开头数起",
            (0..5_usize, 1..5_usize, 0..3_usize),
            |(first, queries, later)| {
                let keys = first + queries + later;
                compare(
                    mask(),
                    &causal_mask(first, queries, keys),
                    &oracle(first, queries, keys),
                )
                .axes(axes())
                .given("first", &first)
                .given("queries", &queries)
                .given("keys", &keys)
                .smell(
                    say(
                        "`first` is not used: query 0 stands at position `first`, \
                not at 0",
                        "没有用到 `first`：第 0 个查询在位置 `first`，不在 0",
                    ),
                    oracle(0, queries, keys),
                )
                .smell(
                    say(
                        "`first` is added on the side of the keys",
                        "`first` 加在了键的一边",
                    ),
                    of(queries, keys, |i, j| j + first <= i),
                )
                .smell(
                    say("the cached tokens are hidden", "缓存的词元被隐藏了"),
                    of(queries, keys, |i, j| j >= first && j <= first + i),
                )
                .check()?;
                // A pass in two parts shows what the whole one shows.
                let n = first + queries;
                compare(
                    say(
                        "the mask of the last queries of a text",
                        "一段文字最后几个查询的掩码",
                    ),
                    &causal_mask(first, queries, n),
                    &oracle(0, n, n).slice_move(s![first.., ..]),
                )
                .check()
            },
        ),
        property(
            "nobody_sees_padding",
            "谁也看不到填充",
            masked(),
            |(_, m)| {
                let real: Vec<bool> = (0..m.ncols()).map(|j| j >= m.ncols() / 2).collect();
                let expected = of(m.nrows(), m.ncols(), |i, j| m[[i, j]] && real[j]);
                compare(mask(), &without_padding(m.view(), &real), &expected)
                    .axes(axes())
                    .given("mask", &m)
                    .given("real", &real)
                    .smell(
                        say(
                            "a token may be seen where it is real *or* the mask allows; \
                it must be both",
                            "「是真词元」*或*「掩码允许」就放行了；应当两者都要",
                        ),
                        of(m.nrows(), m.ncols(), |i, j| m[[i, j]] || real[j]),
                    )
                    .smell(
                        say(
                            "padding queries are hidden, and padding keys should be",
                            "隐藏了填充的查询，应隐藏填充的键",
                        ),
                        of(m.nrows(), m.ncols(), |i, j| {
                            m[[i, j]] && real.get(i).copied().unwrap_or(true)
                        }),
                    )
                    .smell(
                        say(
                            "the padding is shown and the text hidden",
                            "填充可见而正文被隐藏",
                        ),
                        of(m.nrows(), m.ncols(), |i, j| m[[i, j]] && !real[j]),
                    )
                    .check()
            },
        ),
        property(
            "hides_with_a_score_that_leaves_nothing",
            "隐藏之后权重恰好为零",
            masked(),
            |(scores, m)| {
                let put = |hidden: f64| {
                    Array2::from_shape_fn(m.dim(), |at| if m[at] { scores[at] } else { hidden })
                };
                compare(
                    say("the scores", "分数"),
                    &hide(scores.view(), m.view()),
                    &put(f64::NEG_INFINITY),
                )
                .axes(axes())
                .given("scores", &scores)
                .given("mask", &m)
                .smell(
                    say(
                        "a score of 0 hides nothing: e^0 is 1. What exponential is 0?",
                        "分数 0 什么也没隐藏：e^0 是 1。什么的指数是 0？",
                    ),
                    put(0.0),
                )
                .smell(
                    say(
                        "the mask is added as 0 and 1, as the page prints it; that \
                hides nothing",
                        "把掩码当作 0 和 1 加了上去（正如那一页所印）；这什么也没隐藏",
                    ),
                    Array2::from_shape_fn(m.dim(), |at| scores[at] + f64::from(m[at])),
                )
                .smell(
                    say(
                        "what may be seen is hidden, and the rest shown",
                        "该看的隐藏了，该藏的露出来了",
                    ),
                    Array2::from_shape_fn(m.dim(), |at| {
                        if m[at] { f64::NEG_INFINITY } else { scores[at] }
                    }),
                )
                .smell(
                    say(
                        "−1e9 is only nearly nothing; −∞ is exact",
                        "−1e9 只是近乎没有；−∞ 才是精确的没有",
                    ),
                    put(-1e9),
                )
                .smell(
                    say(
                        "the smallest f64 is finite: a row of nothing else becomes \
                uniform. −∞ is exact",
                        "最小的 f64 是有限的：全是它的一行会变成均匀分布。−∞ 才精确",
                    ),
                    put(f64::MIN),
                )
                .smell(
                    say("+∞ takes everything", "+∞ 会夺走一切"),
                    put(f64::INFINITY),
                )
                .check()
            },
        ),
        case(
            "hides_what_the_shipped_model_hides",
            "隐藏的与发布的模型相同",
            || {
                let scores: Array3<f64> =
                    goldens::act("tiny13b", "plain.layers.0.attn_scores_masked");
                // It puts the smallest f32 in place of −∞.
                let shown = scores.index_axis(Axis(0), 0).mapv(|s| s > -1e30);
                let n = shown.nrows();
                compare(mask(), &causal_mask(0, n, n), &shown)
                    .axes(axes())
                    .check()
            },
        ),
    ]
}
