use crate::{
    compare::{compare, compare_number},
    goldens,
    harness::{Finding, Trial, case, property, say},
};
use baichuan2::tensor::softmax;
use ndarray::{Array1, Axis, arr0, array};
use proptest::prelude::*;
use serde_json::Value;
use your_code::top_p::{draw, top_p};

/// The distribution where those tokens stay of which `stays` says so, told the place in the order, what is likelier, and its own probability.
fn keeping(probabilities: &Array1<f64>, stays: impl Fn(usize, f64, f64) -> bool) -> Array1<f64> {
    let kept = kept(probabilities, stays);
    &kept / kept.sum()
}

/// The same, not divided by the sum.
fn kept(probabilities: &Array1<f64>, stays: impl Fn(usize, f64, f64) -> bool) -> Array1<f64> {
    probabilities.mapv(|own| {
        let likelier: Vec<f64> = probabilities.iter().copied().filter(|&p| p > own).collect();
        if stays(likelier.len(), likelier.iter().sum(), own) {
            own
        } else {
            0.0
        }
    })
}

fn check(probabilities: &Array1<f64>, p: f64) -> Finding {
    let stays = |place, likelier, _| place == 0 || likelier < p;
    let by_id = {
        let mut sum = 0.0;
        let kept = probabilities.mapv(|own| {
            let stays = sum < p || sum == 0.0;
            sum += own;
            if stays { own } else { 0.0 }
        });
        &kept / kept.sum()
    };
    let from_below = {
        let below = |own: f64| probabilities.iter().filter(|&&p| p < own).sum::<f64>();
        let least = probabilities.iter().copied().fold(f64::INFINITY, f64::min);
        keeping(probabilities, |_, _, own| own == least || below(own) < p)
    };
    let sorted = {
        let mut sorted = keeping(probabilities, stays).to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        Array1::from(sorted)
    };
    let among_kept = kept(probabilities, stays);
    let largest = probabilities.iter().copied().fold(0.0, f64::max);
    let again = among_kept.mapv(|p| if p > 0.0 { p.exp() } else { 0.0 });
    compare(
        say("what is left", "留下的分布"),
        &top_p(probabilities.view(), p),
        &keeping(probabilities, stays),
    )
    .axes([say("id", "id")])
    .given("probabilities", probabilities)
    .given("p", &p)
    .smell(
        say(
            "what is left does not sum to one: divide by its sum",
            "留下的加起来不是一：要除以它们的和",
        ),
        among_kept,
    )
    .smell(
        say(
            "the token with which p is reached is left out; without it p is not reached",
            "漏掉了使总和达到 p 的那个词元；没有它就达不到 p",
        ),
        keeping(probabilities, |place, likelier, own| {
            place == 0 || likelier + own < p
        }),
    )
    .smell(
        say(
            "the token with which p is reached is left out, unless it reaches p exactly",
            "漏掉了使总和超过 p 的那个词元",
        ),
        keeping(probabilities, |place, likelier, own| {
            place == 0 || likelier + own <= p
        }),
    )
    .smell(
        say(
            "one token too many where p is reached exactly",
            "恰好达到 p 时多留了一个",
        ),
        keeping(probabilities, |place, likelier, _| {
            place == 0 || likelier <= p
        }),
    )
    .smell(
        say(
            "the likeliest is left out: it stays for every p",
            "漏掉了最可能的：不论 p 是多少它都留下",
        ),
        kept(probabilities, |_, likelier, _| likelier < p)
            / kept(probabilities, |_, likelier, _| likelier < p).sum(),
    )
    .smell(
        say(
            "in the order of ids; the likeliest come first",
            "按 id 的次序取了；应先取最可能的",
        ),
        by_id,
    )
    .smell(
        say(
            "the least likely come first, and the likeliest should",
            "先取了最不可能的；应先取最可能的",
        ),
        from_below,
    )
    .smell(
        say(
            "sorted; each probability belongs at the place of its id",
            "排过序了；每个概率应放在它的 id 处",
        ),
        sorted,
    )
    .smell(
        say(
            "p is compared with each probability; it is what they reach together",
            "拿 p 与每个概率比了；应与它们的总和比",
        ),
        keeping(probabilities, |place, _, own| place == 0 || own >= p),
    )
    .smell(
        say(
            "relative to the likeliest: that is min-p",
            "与最可能的相比：那是 min-p",
        ),
        keeping(probabilities, |_, _, own| own >= p * largest),
    )
    .smell(
        say(
            "a softmax of probabilities; they only have to be divided by their sum",
            "对概率又取了 softmax；只需除以它们的和",
        ),
        &again / again.sum(),
    )
    .smell(
        say("nothing is cut off", "什么也没有去掉"),
        probabilities.clone(),
    )
    .check()
}

fn check_draw(probabilities: &Array1<f64>, u: f64) -> Finding {
    let sums: Vec<f64> = probabilities
        .iter()
        .scan(0.0, |sum, p| {
            *sum += p;
            Some(*sum)
        })
        .collect();
    let n = sums.len();
    let first = |stops: &dyn Fn(usize) -> bool| (0..n).find(|&id| stops(id));
    let last = (0..n)
        .rfind(|&id| probabilities[id] > 0.0)
        .expect("a distribution");
    let expected = first(&|id| probabilities[id] > 0.0 && u < sums[id]).unwrap_or(last);
    let likeliest = (0..n).fold(0, |best, id| {
        if probabilities[id] > probabilities[best] {
            id
        } else {
            best
        }
    });
    let at_border = first(&|id| u <= sums[id]).unwrap_or(last);
    let own = first(&|id| u < probabilities[id]).unwrap_or(last);
    let got = draw(probabilities.view(), u);
    let mut comparison = compare_number(say("the id", "id"), got, expected)
        .given("probabilities", probabilities)
        .given("u", &u);
    if got < n && probabilities[got] == 0.0 {
        comparison = comparison.smell(
            say("this token has the probability 0", "这个词元的概率是 0"),
            arr0(got),
        );
    }
    if u >= sums[n - 1] {
        comparison = comparison.smell(
            say("u lies above the sum, which was rounded: the last token that has a probability takes the rest", "u 超过了舍入后的总和：余下的归最后一个有概率的词元"),
            arr0(got),
        );
    }
    comparison
        .smell(
            say(
                "the likeliest, whatever u is",
                "不管 u 是多少，总取最可能的",
            ),
            arr0(likeliest),
        )
        .smell(
            say(
                "at a border u belongs to the next token: its place begins with the border",
                "u 落在边界上时属于下一个词元：边界是它的起点",
            ),
            arr0(at_border),
        )
        .smell(
            say(
                "u is compared with each probability; it falls on their sums",
                "拿 u 与每个概率比了；应与它们的累加和比",
            ),
            arr0(own),
        )
        .smell(say("one too far", "多走了一个"), arr0(expected + 1))
        .check()
}

/// Different probabilities, as sixty-fourths or so: sums of them are exact.
fn distribution() -> impl Strategy<Value = Array1<f64>> {
    let parts = prop_oneof![
        Just(vec![1.0]),
        Just(vec![3.0, 1.0]),
        Just(vec![8.0, 4.0, 3.0, 1.0]),
        Just(vec![16.0, 7.0, 5.0, 3.0, 1.0]),
        Just(vec![20.0, 18.0, 11.0, 9.0, 6.0]),
        Just(vec![40.0, 10.0, 6.0, 5.0, 2.0, 1.0]),
    ];
    let shuffled = parts.prop_flat_map(|parts| Just(parts).prop_shuffle());
    shuffled.prop_map(|parts| {
        let sum: f64 = parts.iter().sum();
        Array1::from(parts) / sum
    })
}

/// What the shipped code made of the small model's last logits: the distribution after top-k, and what top-p left of it.
fn golden(size: &str) -> (Array1<f64>, f64, Array1<f64>) {
    let json = std::fs::read(goldens::file(&format!("{size}/golden.json")))
        .expect("the goldens are there");
    let golden: Value = serde_json::from_slice(&json).expect("the goldens are JSON");
    let sampling = &golden["sampling"];
    let list =
        |name: &str| serde_json::from_value::<Vec<f64>>(sampling[name].clone()).expect("numbers");
    let number = |name: &str| sampling[name].as_f64().expect("a number");
    let top_k = list("after_top_k_kept");
    let mut logits = Array1::from(list("after_repetition_penalty")) / number("temperature");
    for (id, logit) in logits.iter_mut().enumerate() {
        if !top_k.contains(&(id as f64)) {
            *logit = f64::NEG_INFINITY;
        }
    }
    let probabilities = softmax(logits.insert_axis(Axis(0)).view()).remove_axis(Axis(0));
    let mut left = Array1::zeros(probabilities.len());
    for (id, p) in list("after_top_p_kept")
        .into_iter()
        .zip(list("probs_of_kept"))
    {
        left[id as usize] = p;
    }
    (probabilities, number("top_p"), left)
}

pub fn trials() -> Vec<Trial> {
    vec![
        case("does_the_example", "做对题目里的例子", || {
            check(&array![0.125, 0.5, 0.0625, 0.25, 0.0625], 0.75)
        }),
        property(
            "keeps_the_fewest_that_reach_p",
            "留下达到 p 的最少几个",
            (distribution(), 0..=64_i32),
            |(probabilities, p)| check(&probabilities, f64::from(p) / 64.0),
        ),
        case(
            "keeps_the_likeliest_for_any_p",
            "p 再小也留下最可能的",
            || {
                check(&array![0.25, 0.625, 0.125], 0.0)?;
                check(&array![0.25, 0.625, 0.125], 0.1)
            },
        ),
        case(
            "keeps_everything_for_a_p_of_one",
            "p 为 1 时全部留下",
            || check(&array![0.25, 0.625, 0.125], 1.0),
        ),
        case(
            "keeps_what_the_shipped_code_keeps",
            "留下的与发布的代码相同",
            || {
                for size in ["tiny7b", "tiny13b"] {
                    let (probabilities, p, left) = golden(size);
                    compare(
                        say(
                            format!("what is left of {size}"),
                            format!("{size} 留下的分布"),
                        ),
                        &top_p(probabilities.view(), p),
                        &left,
                    )
                    .within(goldens::TOLERANCE)
                    .axes([say("id", "id")])
                    .given("p", &p)
                    .check()?;
                }
                Ok(())
            },
        ),
        property(
            "draws_where_u_falls",
            "u 落在哪里就抽哪个",
            (distribution(), 0..64_i32),
            |(probabilities, u)| check_draw(&probabilities, f64::from(u) / 64.0),
        ),
        case(
            "never_draws_what_cannot_be",
            "概率为零的永不被抽中",
            || {
                let p = array![0.0, 0.5, 0.0, 0.5, 0.0];
                [0.0, 0.25, 0.5, 0.75]
                    .iter()
                    .try_for_each(|&u| check_draw(&p, u))
            },
        ),
        case(
            "survives_rounded_sums",
            "总和有舍入也不出错",
            || {
                check_draw(&array![0.3, 0.0, 0.6999, 0.0], 0.99995)?;
                check_draw(&array![0.9999, 0.0], 0.99999)
            },
        ),
        property(
            "draws_only_what_top_p_left",
            "只抽 top-p 留下的",
            (distribution(), 0..=8_i32, 0..64_i32),
            |(probabilities, p, u)| {
                let left = top_p(probabilities.view(), f64::from(p) / 8.0);
                // Odd: no border lies there, whichever way it was rounded.
                check_draw(&left, f64::from(2 * u + 1) / 128.0)
            },
        ),
    ]
}
