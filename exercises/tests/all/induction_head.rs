use crate::{
    compare::{compare_number, equal},
    goldens,
    harness::{Finding, Problem, Trial, case, property, say},
};
use baichuan2::{
    embedded::EmbeddedModel,
    heads::{self, Behaviour, HeadScores, Repeated},
    probe::{LayerSite, Site, Trace},
    training::corpus::copied_words,
};
use ndarray::{Array1, Array2, Array3, Array4, ArrayD, ArrayView2, Axis, Ix3, arr0, s, stack};
use proptest::{collection::vec, prelude::*};
use std::{collections::BTreeSet, sync::LazyLock};
use your_code::induction_head::{Head, by_chance, find, score};

/// Weights, a multiple of 1/16 each, that a causal head could have.
fn map(n: usize) -> impl Strategy<Value = Array2<f64>> {
    vec(0..16_u32, n * n).prop_map(move |parts| {
        let mut map = Array2::zeros((n, n));
        for i in 0..n {
            // Sixteen parts are given out, what is left to the first.
            let mut left = 16;
            for j in (1..=i).rev() {
                let part = (parts[i * n + j] % (left + 1)).min(left);
                map[[i, j]] = f64::from(part) / 16.0;
                left -= part;
            }
            map[[i, 0]] = f64::from(left) / 16.0;
        }
        map
    })
}

/// Few different tokens, so that they repeat.
fn tokens(n: usize) -> impl Strategy<Value = Vec<u32>> {
    vec(0..4_u32, n)
}

fn alike(n: usize) -> Array2<f64> {
    Array2::from_shape_fn(
        (n, n),
        |(i, j)| if j <= i { 1.0 / (i + 1) as f64 } else { 0.0 },
    )
}

/// The mean, over the queries with a target, of what `weight` sees at each of its targets.
fn mean(
    tokens: &[u32],
    targets: impl Fn(usize) -> Vec<usize>,
    weight: impl Fn(usize, usize) -> f64,
) -> Option<f64> {
    let sums: Vec<f64> = (0..tokens.len())
        .map(&targets)
        .enumerate()
        .filter(|(_, targets)| !targets.is_empty())
        .map(|(i, targets)| targets.into_iter().map(|j| weight(i, j)).sum())
        .collect();
    (!sums.is_empty()).then(|| sums.iter().sum::<f64>() / sums.len() as f64)
}

fn targets(tokens: &[u32], i: usize) -> Vec<usize> {
    (1..i).filter(|&j| tokens[j - 1] == tokens[i]).collect()
}

fn expected_score(map: ArrayView2<f64>, tokens: &[u32]) -> Option<f64> {
    mean(tokens, |i| targets(tokens, i), |i, j| map[[i, j]])
}

/// Two optional scores.
fn check_score(what: String, got: Option<f64>, map: &Array2<f64>, tokens: &[u32]) -> Finding {
    let Some(expected) = expected_score(map.view(), tokens) else {
        return equal(what, &got, &None)
            .given("tokens", &tokens.to_vec())
            .check();
    };
    let Some(got) = got else {
        return equal(what, &got, &Some(expected))
            .given("map", map)
            .given("tokens", &tokens.to_vec())
            .check();
    };
    let n = tokens.len();
    let own = |i: usize| targets(tokens, i);
    let with_itself = |i: usize| {
        (1..=i)
            .filter(|&j| tokens[j - 1] == tokens[i])
            .collect::<Vec<_>>()
    };
    let last = |i: usize| own(i).last().copied().into_iter().collect::<Vec<_>>();
    let first = |i: usize| own(i).first().copied().into_iter().collect::<Vec<_>>();
    let or_nan = |x: Option<f64>| arr0(x.unwrap_or(f64::NAN));
    let at = |i: usize, j: usize| map.get([i, j]).copied().unwrap_or(0.0);
    let queries = (0..n).filter(|&i| !own(i).is_empty()).count() as f64;
    let of_targets: usize = (0..n).map(|i| own(i).len()).sum();
    compare_number(what, got, expected)
        .given("map", map)
        .given("tokens", &tokens.to_vec())
        .smell(say("this is the weight on the earlier place of the same token; an induction head looks at what follows it there", "这是落在同一词元之前位置上的权重；归纳头看的是那里的下一个"), or_nan(mean(tokens, own, |i, j| at(i, j - 1))))
        .smell(say("one place too far: two after the earlier occurrence", "多走了一格：看到了之前位置的后两个"), or_nan(mean(tokens, own, |i, j| at(i, j + 1))))
        .smell(say("the query itself counts as a target, where its token stands twice in a row", "词元连着出现两次时，查询自己也被算成了目标"), or_nan(mean(tokens, with_itself, at)))
        .smell(say("only the last occurrence counts, and all earlier ones should", "只算了最近的一次出现，应算之前所有的"), or_nan(mean(tokens, last, at)))
        .smell(say("only the first occurrence counts, and all earlier ones should", "只算了最早的一次出现，应算之前所有的"), or_nan(mean(tokens, first, at)))
        .smell(say("rows are queries and columns are keys; here they change places", "行是查询，列是键；这里对调了"), or_nan(mean(tokens, own, |i, j| at(j, i))))
        .smell(say("a mean over all queries, and should be over those that have a target", "对所有查询取了平均，应只对有目标的查询"), arr0(expected * queries / n as f64))
        .smell(say("a sum over the queries, and should be a mean", "对查询求了和，应取平均"), arr0(expected * queries))
        .smell(say("a mean over the targets, and should be over the queries: what a query has on all its targets is one number", "对目标取了平均，应对查询：一个查询落在所有目标上的权重是一个数"), arr0(expected * queries / of_targets as f64))
        .check()
}

/// Every map of a pass of a small model over a text, `[layers, heads, tokens, tokens]`.
fn maps_of(model: EmbeddedModel, ids: &[u32]) -> Array4<f64> {
    let decoder = model
        .checkpoint()
        .decoder()
        .expect("a test of the library opens it");
    let mut trace = Trace::of(|site| matches!(site, Site::Layer(_, LayerSite::AttnProbs)));
    decoder
        .forward(ids, &mut decoder.new_cache(), Some(&mut trace))
        .expect("the ids are the model's");
    let of_layer = |maps: &ArrayD<f32>| maps.mapv(f64::from).into_dimensionality::<Ix3>();
    let maps: Result<Vec<Array3<f64>>, _> = trace.values.values().map(of_layer).collect();
    let maps = maps.expect("[heads, tokens, tokens]");
    let views: Vec<_> = maps.iter().map(|maps| maps.view()).collect();
    stack(Axis(0), &views).expect("as many heads in each layer")
}

/// A model's tokens for the words that its corpus copies.
fn words(model: EmbeddedModel) -> Vec<u32> {
    let tokenizer = model.tokenizer();
    let ids = copied_words()
        .into_iter()
        .map(|word| tokenizer.encode(&format!(" {word}")));
    let one: BTreeSet<u32> = ids
        .filter_map(|ids| <[u32; 1]>::try_from(ids).ok())
        .flatten()
        .collect();
    one.into_iter().collect()
}

/// `</s>`, and `copy` of these tokens twice.
fn twice(among: &[u32], copy: usize) -> Repeated {
    Repeated::draw(among, 2, copy, 1, 7)
        .expect("there are enough to draw from")
        .remove(0)
}

/// A model, words that stand there twice, and its maps of them.
struct Sample {
    model: EmbeddedModel,
    text: Repeated,
    maps: Array4<f64>,
}

/// Words of a copy.
const COPY: usize = 10;

fn samples() -> &'static [Sample] {
    static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
        EmbeddedModel::ALL
            .into_iter()
            .map(|model| {
                let text = twice(&words(model), COPY);
                Sample {
                    model,
                    maps: maps_of(model, text.ids()),
                    text,
                }
            })
            .collect()
    });
    &SAMPLES
}

/// The head that the library ranks first.
fn ranked_first(sample: &Sample) -> Head {
    let decoder = sample
        .model
        .checkpoint()
        .decoder()
        .expect("a test of the library opens it");
    let scores =
        HeadScores::of(&decoder, std::slice::from_ref(&sample.text)).expect("the decoder takes it");
    let (best, _) = scores.ranking(Behaviour::Induction)[0];
    Head {
        layer: best.layer,
        head: best.head,
    }
}

/// What heads of that kind are taken for an induction head by.
fn check_found(
    what: String,
    got: Option<Head>,
    maps: &Array4<f64>,
    tokens: &[u32],
    expected: Option<Head>,
) -> Finding {
    if got == expected {
        return Ok(());
    }
    let chance = mean(
        tokens,
        |i| targets(tokens, i),
        |i, j| alike(tokens.len())[[i, j]],
    );
    let of = |head: Option<Head>| match head {
        Some(Head { layer, head }) if layer < maps.dim().0 && head < maps.dim().1 => {
            let map = maps.index_axis(Axis(0), layer);
            let score = expected_score(map.index_axis(Axis(0), head), tokens).unwrap_or(f64::NAN);
            say(
                format!("layer {layer}, head {head}, with a score of {score:.4}"),
                format!("第 {layer} 层第 {head} 个头，分数 {score:.4}"),
            )
        }
        Some(Head { layer, head }) => say(
            format!("layer {layer}, head {head}, which is not there"),
            format!("第 {layer} 层第 {head} 个头，并不存在"),
        ),
        None => say("none", "没有"),
    };
    let (expected, got) = (of(expected), of(got));
    let bar = chance.map_or(String::new(), |c| {
        say(
            format!(
                "\n  by chance a head has {c:.4}, and it needs {:.4}",
                2.0 * c
            ),
            format!("\n  碰巧的分数是 {c:.4}，需要达到 {:.4}", 2.0 * c),
        )
    });
    Err(Problem::wrong(say(
        format!("{what}: expected {expected}; got {got}{bar}"),
        format!("{what}：应为 {expected}；得到 {got}{bar}"),
    )))
}

pub fn trials() -> Vec<Trial> {
    vec![
        case("a_perfect_head_scores_one", "完美的头得 1 分", || {
            // moon fish tree | moon fish tree: each of the second copy looks at what followed it in the first.
            let tokens = [1, 2, 3, 9, 1, 2, 3];
            let mut perfect = Array2::zeros((7, 7));
            for (query, key) in [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1), (5, 2), (6, 3)] {
                perfect[[query, key]] = 1.0;
            }
            check_score(
                say("the score", "分数"),
                score(perfect.view(), &tokens),
                &perfect,
                &tokens,
            )
        }),
        property(
            "the_score_is_the_weight_on_all_targets",
            "得分是落在全部目标上的权重",
            (2..8_usize).prop_flat_map(|n| (map(n), tokens(n))),
            |(map, tokens)| {
                check_score(
                    say("the score", "分数"),
                    score(map.view(), &tokens),
                    &map,
                    &tokens,
                )
            },
        ),
        property(
            "chance_is_attention_shared_equally",
            "碰巧的得分来自平均分配的注意力",
            (1..9_usize).prop_flat_map(tokens),
            |tokens| {
                let n = tokens.len();
                let got = by_chance(&tokens);
                let expected = expected_score(alike(n).view(), &tokens);
                match (got, expected) {
                    (Some(got), Some(expected)) => {
                        let as_if = |of: &dyn Fn(usize) -> f64| {
                            arr0(
                                mean(&tokens, |i| targets(&tokens, i), |i, _| of(i))
                                    .unwrap_or(f64::NAN),
                            )
                        };
                        compare_number(say("the score by chance", "碰巧的分数"), got, expected)
                            .given("tokens", &tokens)
                            .smell(
                                say(
                                    "shared among all tokens, and a query sees none behind itself",
                                    "分给了所有词元；查询看不到自己之后的",
                                ),
                                as_if(&|_| 1.0 / n as f64),
                            )
                            .smell(
                                say(
                                    "the query at i sees i + 1 keys: itself is one of them",
                                    "位置 i 的查询看得到 i + 1 个键：自己也是一个",
                                ),
                                as_if(&|i| 1.0 / i as f64),
                            )
                            .check()
                    }
                    _ => equal(say("the score by chance", "碰巧的分数"), &got, &expected)
                        .given("tokens", &tokens)
                        .check(),
                }
            },
        ),
        case(
            "agrees_with_the_library_on_every_head_of_a_trained_model",
            "训练好的模型的每个头都与库一致",
            || {
                for sample in samples() {
                    let (layers, heads, ..) = sample.maps.dim();
                    for (layer, head) in
                        (0..layers).flat_map(|layer| (0..heads).map(move |head| (layer, head)))
                    {
                        let map = sample.maps.slice(s![layer, head, .., ..]);
                        let expected =
                            Behaviour::Induction.score(map.mapv(|w| w as f32).view(), COPY);
                        let got = score(map, sample.text.ids()).unwrap_or(f64::NAN);
                        let what = say(
                            format!(
                                "the score of layer {layer}, head {head} of {}",
                                sample.model
                            ),
                            format!("{} 第 {layer} 层第 {head} 个头的分数", sample.model),
                        );
                        compare_number(what, got, expected).within(1e-6).check()?;
                    }
                }
                Ok(())
            },
        ),
        case(
            "finds_the_head_of_trained_models",
            "找到训练好的模型里的那个头",
            || {
                for sample in samples() {
                    let what = say(
                        format!("the induction head of {}", sample.model),
                        format!("{} 的归纳头", sample.model),
                    );
                    let ids = sample.text.ids();
                    check_found(
                        what,
                        find(sample.maps.view(), ids),
                        &sample.maps,
                        ids,
                        Some(ranked_first(sample)),
                    )?;
                }
                Ok(())
            },
        ),
        case(
            "finds_none_on_pieces_that_the_model_never_saw_copied",
            "模型从没见过被重复的片段，就找不到",
            || {
                let model = EmbeddedModel::Rope;
                let text = twice(&heads::ordinary_pieces(model.tokenizer().vocabulary()), 50);
                let maps = maps_of(model, text.ids());
                let what = say(
                    "random pieces of the vocabulary, twice: embedded:rope copies the words that it has seen copied",
                    "词表里的随机片段，两遍：embedded:rope 只复制它见过被复制的词",
                );
                check_found(what, find(maps.view(), text.ids()), &maps, text.ids(), None)
            },
        ),
        case(
            "finds_none_where_none_has_formed",
            "还没有形成时找不到",
            || {
                // Heads that look at the token before, at the first token, and at all alike.
                let tokens: Vec<u32> = [2].into_iter().chain(3..15).chain(3..15).collect();
                let n = tokens.len();
                let before =
                    Array2::from_shape_fn((n, n), |(i, j)| f64::from(j == i.saturating_sub(1)));
                let first = Array2::from_shape_fn((n, n), |(_, j)| f64::from(j == 0));
                let maps = stack(Axis(0), &[before.view(), first.view(), alike(n).view()])
                    .expect("one shape")
                    .insert_axis(Axis(0));
                check_found(
                    say("heads that do something else", "做别的事的头"),
                    find(maps.view(), &tokens),
                    &maps,
                    &tokens,
                    None,
                )?;
                // The small 13B of the golden numbers has random weights, and its prompt no token twice.
                let maps: Array3<f64> = goldens::act("tiny13b", "plain.layers.0.attn_probs");
                let ids: Array1<f64> = goldens::act("tiny13b", "plain.input_ids");
                let ids: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
                let maps = maps.insert_axis(Axis(0));
                check_found(
                    say("a text without a repetition", "没有重复的文本"),
                    find(maps.view(), &ids),
                    &maps,
                    &ids,
                    None,
                )
            },
        ),
        case(
            "several_heads_may_do_it",
            "可以有几个头都会",
            || {
                // Each looks at its targets with one weight, and leaves the rest to the first token.
                let tokens: Vec<u32> = [2].into_iter().chain(3..9).chain(3..9).collect();
                let n = tokens.len();
                let head = |weight: f64| {
                    Array2::from_shape_fn((n, n), |(i, j)| match targets(&tokens, i).contains(&j) {
                        true => weight,
                        false if j == 0 && targets(&tokens, i).is_empty() => 1.0,
                        false if j == 0 => 1.0 - weight,
                        false => 0.0,
                    })
                };
                let all = [0.5, 0.75, 1.0, 0.75, 0.5].map(head);
                let views: Vec<_> = all.iter().map(|map| map.view()).collect();
                let maps = stack(Axis(0), &views)
                    .expect("one shape")
                    .insert_axis(Axis(0));
                let what = say(
                    "five heads that all do it, the third best of all",
                    "五个头都这样做，第三个做得最好",
                );
                check_found(
                    what,
                    find(maps.view(), &tokens),
                    &maps,
                    &tokens,
                    Some(Head { layer: 0, head: 2 }),
                )
            },
        ),
        property(
            "the_highest_score_wins",
            "得分最高的胜出",
            (2..8_usize, 1..3_usize, 1..3_usize).prop_flat_map(|(n, layers, heads)| {
                (
                    vec(map(n), layers * heads),
                    Just((n, layers, heads)),
                    tokens(n),
                )
            }),
            |(all, (n, layers, heads), tokens)| {
                let maps = Array4::from_shape_fn((layers, heads, n, n), |(l, h, i, j)| {
                    all[l * heads + h][[i, j]]
                });
                let scores: Option<Vec<f64>> = all
                    .iter()
                    .map(|map| expected_score(map.view(), &tokens))
                    .collect();
                let expected = scores
                    .zip(expected_score(alike(n).view(), &tokens))
                    .and_then(|(scores, chance)| {
                        let best =
                            (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]))?;
                        // A tie, or a score on the bar itself, is nobody's mistake.
                        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
                        let tie =
                            (0..scores.len()).any(|i| i != best && near(scores[i], scores[best]));
                        (!tie && !near(scores[best], 2.0 * chance))
                            .then_some((best, scores[best] >= 2.0 * chance))
                    });
                let got = find(maps.view(), &tokens);
                match expected {
                    Some((best, enough)) => {
                        let expected = enough.then_some(Head {
                            layer: best / heads,
                            head: best % heads,
                        });
                        check_found(
                            say(
                                format!("the best of {layers} × {heads} heads, tokens {tokens:?}"),
                                format!("{layers} × {heads} 个头里最好的，词元 {tokens:?}"),
                            ),
                            got,
                            &maps,
                            &tokens,
                            expected,
                        )
                    }
                    None => Ok(()),
                }
            },
        ),
    ]
}
