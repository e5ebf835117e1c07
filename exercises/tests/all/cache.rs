use crate::{
    compare::compare,
    goldens,
    harness::{Finding, Trial, case, property, say},
    random::matrix,
};
use baichuan2::attention::{Bias, Visibility, attend};
use ndarray::{Array2, Array3, ArrayView2, Axis, concatenate, s};
use proptest::{collection::vec, prelude::*};
use your_code::cache::Cache;

fn gathered() -> String {
    say(
        "what all tokens gathered, piece by piece",
        "所有词元逐段收集到的",
    )
}

fn axes() -> [String; 2] {
    [say("token", "词元"), say("dimension", "维度")]
}

fn attention(
    q: ArrayView2<f64>,
    k: ArrayView2<f64>,
    v: ArrayView2<f64>,
    mask: ArrayView2<bool>,
) -> Array2<f64> {
    let bias = Bias {
        visibility: Visibility::Mask(mask),
        alibi_slope: None,
    };
    attend(q, k, v, &bias).output
}

fn causal(q: ArrayView2<f64>, k: ArrayView2<f64>, v: ArrayView2<f64>) -> Array2<f64> {
    let bias = Bias {
        visibility: Visibility::Causal { first: 0 },
        alibi_slope: None,
    };
    attend(q, k, v, &bias).output
}

/// Queries, keys and values of one text.
#[derive(Clone, Debug)]
struct Text {
    q: Array2<f64>,
    k: Array2<f64>,
    v: Array2<f64>,
}

impl Text {
    fn part(&self, from: usize, to: usize) -> [ArrayView2<'_, f64>; 3] {
        [&self.q, &self.k, &self.v].map(|x| x.slice(s![from..to, ..]))
    }
}

/// A text, and the lengths of the pieces in which it arrives.
fn texts() -> impl Strategy<Value = (Text, Vec<usize>)> {
    (vec(1..4_usize, 1..4), 1..3_usize, 1..3_usize).prop_flat_map(|(pieces, d, d_v)| {
        let n = pieces.iter().sum();
        (matrix(n, d), matrix(n, d), matrix(n, d_v))
            .prop_map(move |(q, k, v)| (Text { q, k, v }, pieces.clone()))
    })
}

/// Each piece by what `step` makes of it, one below the other.
fn by_pieces(pieces: &[usize], mut step: impl FnMut(usize, usize) -> Array2<f64>) -> Array2<f64> {
    let mut from = 0;
    let parts: Vec<Array2<f64>> = pieces
        .iter()
        .map(|n| {
            let part = step(from, from + n);
            from += n;
            part
        })
        .collect();
    let parts: Vec<_> = parts.iter().map(|part| part.view()).collect();
    // Pieces of other widths are told as such where they are compared one by one.
    concatenate(Axis(0), &parts).expect("checked piece by piece")
}

/// Feeds the pieces to a cache. Each result must have the shape of its piece.
fn feed(
    cache: &mut Cache,
    text: &Text,
    pieces: &[usize],
) -> Result<Array2<f64>, crate::harness::Problem> {
    let mut shapes: Finding = Ok(());
    let all = by_pieces(pieces, |from, to| {
        let [q, k, v] = text.part(from, to);
        let got = cache.step(q, k, v, &attention);
        let shape = (to - from, v.ncols());
        if got.dim() != shape {
            shapes = compare(
                say("what a piece gathered", "一段收集到的"),
                &got,
                &Array2::<f64>::zeros(shape),
            )
            .axes(axes())
            .check();
            return Array2::zeros(shape);
        }
        got
    });
    shapes.map(|()| all)
}

fn cache_for(text: &Text) -> Cache {
    Cache::new(text.k.ncols(), text.v.ncols())
}

pub fn trials() -> Vec<Trial> {
    vec![
        property(
            "pieces_give_what_the_whole_gives",
            "分段送入与一次送入结果相同",
            texts(),
            |(text, pieces)| {
                let got = feed(&mut cache_for(&text), &text, &pieces)?;
                let n = text.q.nrows();
                let [q, k, v] = text.part(0, n);
                let by = |mask: &dyn Fn(usize, usize, usize) -> bool| {
                    by_pieces(&pieces, |from, to| {
                        let mask =
                            Array2::from_shape_fn((to - from, to), |(i, j)| mask(from, i, j));
                        let [q, ..] = text.part(from, to);
                        let [_, k, v] = text.part(0, to);
                        attention(q, k, v, mask.view())
                    })
                };
                let alone = by_pieces(&pieces, |from, to| {
                    let [q, k, v] = text.part(from, to);
                    causal(q, k, v)
                });
                compare(gathered(), &got, &causal(q, k, v))
                    .axes(axes())
                    .given("q", &text.q)
                    .given("k", &text.k)
                    .given("v", &text.v)
                    .given("pieces of so many tokens", &pieces)
                    .smell(
                        say(
                            "each piece sees itself alone: nothing of before is kept, \
                or it is not looked at",
                            "每一段只看得到自己：之前的没有留下，或没有去看",
                        ),
                        alone,
                    )
                    .smell(
                        say(
                            "the mask forgets how many tokens were there before: query \
                i stands at first + i",
                            "掩码忘了前面已有多少词元：查询 i 在 first + i",
                        ),
                        by(&|_, i, j| j <= i),
                    )
                    .smell(
                        say(
                            "tokens of one piece see each other's future: new tokens \
                need a mask, too",
                            "同一段里的词元互相看到了未来：新词元也需要掩码",
                        ),
                        by(&|_, _, _| true),
                    )
                    .smell(
                        say(
                            "a token sees what was before it, and not itself: keep the \
                keys first, attend then",
                            "词元看到了之前的，却看不到自己：先存键，再做注意力",
                        ),
                        by(&|first, i, j| j < first + i),
                    )
                    .smell(
                        say(
                            "new tokens see only what was there before their piece came",
                            "新词元只看得到这一段到来之前的",
                        ),
                        by(&|first, _, j| j < first),
                    )
                    .check()
            },
        ),
        property(
            "keeps_what_came_in_order",
            "按到来的顺序保存",
            texts(),
            |(text, pieces)| {
                let mut cache = cache_for(&text);
                feed(&mut cache, &text, &pieces)?;
                let reversed: Vec<usize> = pieces.iter().rev().copied().collect();
                for (name, kept, came) in [
                    ("keys", &cache.keys, &text.k),
                    ("values", &cache.values, &text.v),
                ] {
                    compare(format!("cache.{name}"), kept, came)
                        .axes(axes())
                        .given("pieces of so many tokens", &pieces)
                        .smell(
                            say("the newest piece stands first", "最新的一段排在了最前面"),
                            by_pieces(&reversed, |from, to| {
                                let n = came.nrows();
                                came.slice(s![n - to..n - from, ..]).to_owned()
                            }),
                        )
                        .smell(say("a piece was put in twice", "有一段存了两遍"), {
                            let last =
                                came.slice(s![came.nrows() - pieces[pieces.len() - 1].., ..]);
                            concatenate(Axis(0), &[came.view(), last]).expect("one width")
                        })
                        .smell(
                            say("only the last piece is kept", "只留下了最后一段"),
                            came.slice(s![came.nrows() - pieces[pieces.len() - 1].., ..])
                                .to_owned(),
                        )
                        .check()?;
                }
                Ok(())
            },
        ),
        property(
            "goes_on_from_an_earlier_point",
            "能从较早的位置继续",
            (texts(), texts(), 0..8_usize),
            |((text, pieces), (other, _), kept)| {
                // The other text, cut to this one's widths, was a wrong turn.
                let mut cache = cache_for(&text);
                feed(&mut cache, &text, &pieces)?;
                cache.truncate(kept);
                let n = text.q.nrows();
                let kept = kept.min(n);
                let [_, k, v] = text.part(0, kept);
                compare(
                    say(
                        format!("cache.keys after truncate({kept})"),
                        format!("truncate({kept}) 之后的 cache.keys"),
                    ),
                    &cache.keys,
                    &k.to_owned(),
                )
                .axes(axes())
                .smell(
                    say(
                        "the last tokens are kept, and the first should be",
                        "留下了最后的词元，应留下最前的",
                    ),
                    text.k.slice(s![n - kept.., ..]).to_owned(),
                )
                .smell(say("nothing is forgotten", "什么都没有忘"), text.k.clone())
                .check()?;
                compare(
                    say(
                        format!("cache.values after truncate({kept})"),
                        format!("truncate({kept}) 之后的 cache.values"),
                    ),
                    &cache.values,
                    &v.to_owned(),
                )
                .axes(axes())
                .check()?;
                let (q, k, v) = (
                    Array2::from_elem((1, text.q.ncols()), other.q[[0, 0]]),
                    Array2::ones((1, text.k.ncols())),
                    Array2::ones((1, text.v.ncols())),
                );
                let got = cache.step(q.view(), k.view(), v.view(), &attention);
                let below = |a: ArrayView2<f64>, b: &Array2<f64>| {
                    concatenate(Axis(0), &[a, b.view()]).expect("one width")
                };
                let [_, old_k, old_v] = text.part(0, kept);
                let (keys, values) = (below(old_k, &k), below(old_v, &v));
                let all = Array2::from_elem((1, kept + 1), true);
                compare(
                    say("what the next token gathers", "下一个词元收集到的"),
                    &got,
                    &attention(q.view(), keys.view(), values.view(), all.view()),
                )
                .axes(axes())
                .check()
            },
        ),
        case(
            "writes_as_the_shipped_model_does",
            "写出的与发布的模型相同",
            || {
                // Seven tokens of prompt, then one by one.
                let q: Array3<f64> = goldens::act("tiny7b", "plain.layers.0.q_rot");
                let k: Array3<f64> = goldens::act("tiny7b", "cache.0.k");
                let v: Array3<f64> = goldens::act("tiny7b", "cache.0.v");
                let concat: Array2<f64> = goldens::act("tiny7b", "plain.layers.0.attn_concat");
                let d = q.len_of(Axis(2));
                for head in 0..q.len_of(Axis(0)) {
                    let [q, k, v] = [&q, &k, &v].map(|x| x.index_axis(Axis(0), head).to_owned());
                    let text = Text { q, k, v };
                    let got = feed(&mut cache_for(&text), &text, &[7, 1, 1, 1, 1, 1])?;
                    let expected = concat.slice(s![.., head * d..(head + 1) * d]).to_owned();
                    compare(gathered(), &got, &expected)
                        .within(goldens::TOLERANCE)
                        .axes(axes())
                        .check()?;
                }
                Ok(())
            },
        ),
    ]
}
