use crate::{
    compare::{compare, compare_number},
    harness::{Finding, Trial, case, property, say},
    random::{matrix, vector},
};
use baichuan2::{attention::Running as Oracle, tensor::softmax};
use ndarray::{Array1, Array2, Axis, arr0, array, s};
use proptest::{collection::vec, prelude::*};
use your_code::memory_efficient::Running;

/// Scores with values, and the sizes of the blocks in which they come.
#[derive(Clone, Debug)]
struct Row {
    scores: Array1<f64>,
    values: Array2<f64>,
    blocks: Vec<usize>,
}

fn rows() -> impl Strategy<Value = Row> {
    (vec(1..4_usize, 1..5), 1..3_usize).prop_flat_map(|(blocks, d_v)| {
        let n = blocks.iter().sum();
        (vector(n), matrix(n, d_v), vec(prop::bool::weighted(0.2), n)).prop_map(
            move |(mut scores, values, hidden)| {
                for (score, hidden) in scores.iter_mut().zip(hidden) {
                    if hidden {
                        *score = f64::NEG_INFINITY;
                    }
                }
                Row {
                    scores,
                    values,
                    blocks: blocks.clone(),
                }
            },
        )
    })
}

/// The blocks, one after the other.
fn blocks(row: &Row) -> Vec<(Array1<f64>, Array2<f64>)> {
    let mut from = 0;
    row.blocks
        .iter()
        .map(|n| {
            let block = (
                row.scores.slice(s![from..from + n]).to_owned(),
                row.values.slice(s![from..from + n, ..]).to_owned(),
            );
            from += n;
            block
        })
        .collect()
}

/// What `meet` makes of all blocks, from (max, sum, weighted).
fn mistaken(row: &Row, meet: impl Fn(f64, f64, f64) -> (f64, f64, f64)) -> Array1<f64> {
    // `meet` gets the old and the new maximum and that of the block alone, and says the maximum to go on with and
    // what sum and output fade by.
    let (mut max, mut sum) = (f64::NEG_INFINITY, 0.0);
    let mut weighted = Array1::<f64>::zeros(row.values.ncols());
    for (scores, values) in blocks(row) {
        let of_block = scores.fold(f64::NEG_INFINITY, |m, &s| m.max(s));
        let (next, fade_sum, fade_weighted) = meet(max, max.max(of_block), of_block);
        if next == f64::NEG_INFINITY {
            continue;
        }
        let exp = scores.mapv(|s| (s - next).exp());
        sum = sum * fade_sum + exp.sum();
        weighted = weighted * fade_weighted + exp.dot(&values);
        max = next;
    }
    weighted / sum
}

fn given(comparison: crate::compare::Comparison, row: &Row) -> crate::compare::Comparison {
    comparison
        .given("scores", &row.scores)
        .given("values", &row.values)
        .given("blocks of so many keys", &row.blocks)
}

fn output() -> String {
    say("the output", "输出")
}

fn run(row: &Row) -> Running {
    let mut running = Running::new(row.values.ncols());
    for (scores, values) in blocks(row) {
        running.meet(scores.view(), values.view());
    }
    running
}

fn at_once(row: &Row) -> Array1<f64> {
    softmax(row.scores.view().insert_axis(Axis(0)))
        .row(0)
        .dot(&row.values)
}

fn check(row: &Row) -> Finding {
    let fade = |from: f64, to: f64| (from - to).exp();
    given(compare(output(), &run(row).output(), &at_once(row)), row)
        .axes([say("dimension", "维度")])
        .smell(
            say(
                "what was summed before is never made relative to the new \
                maximum",
                "之前的和从未换算到新的最大值",
            ),
            mistaken(row, |_, new, _| (new, 1.0, 1.0)),
        )
        .smell(
            say(
                "the sum is made relative to the new maximum, the output is \
                not",
                "和换算到了新的最大值，输出没有",
            ),
            mistaken(row, |old, new, _| (new, fade(old, new), 1.0)),
        )
        .smell(
            say(
                "the output is made relative to the new maximum, the sum is \
                not",
                "输出换算到了新的最大值，和没有",
            ),
            mistaken(row, |old, new, _| (new, 1.0, fade(old, new))),
        )
        .smell(
            say(
                "the fading is upside down: e^(old − new), which is at most 1",
                "换算因子颠倒了：应是 e^(旧 − 新)，不大于 1",
            ),
            mistaken(row, |old, new, _| {
                let by = if old == f64::NEG_INFINITY {
                    0.0
                } else {
                    fade(new, old)
                };
                (new, by, by)
            }),
        )
        .smell(say("it is never divided by the sum", "没有除以和"), {
            let max = row.scores.fold(f64::NEG_INFINITY, |m, &s| m.max(s));
            row.scores.mapv(|s| (s - max).exp()).dot(&row.values)
        })
        .smell(
            say(
                "each block's softmax alone, and the last of them wins",
                "每块各做 softmax，只剩最后一块",
            ),
            {
                let (scores, values) = blocks(row).pop().expect("a block");
                softmax(scores.view().insert_axis(Axis(0)))
                    .row(0)
                    .dot(&values)
            },
        )
        .check()
}

pub fn trials() -> Vec<Trial> {
    vec![
        property(
            "blocks_give_what_the_whole_row_gives",
            "分块与整行结果相同",
            rows(),
            |row| check(&row),
        ),
        property(
            "remembers_relative_to_the_largest",
            "记住的量相对于最大值",
            rows(),
            |row| {
                let mut running = Running::new(row.values.ncols());
                let mut oracle = Oracle::new(1, row.values.ncols());
                for (i, (scores, values)) in blocks(&row).into_iter().enumerate() {
                    running.meet(scores.view(), values.view());
                    oracle.meet(scores.clone().insert_axis(Axis(0)), values.view());
                    let after = |what: &str| {
                        say(
                            format!("{what} after block {i}"),
                            format!("第 {i} 块之后的 {what}"),
                        )
                    };
                    let of_block = scores.fold(f64::NEG_INFINITY, |m, &s| m.max(s));
                    let of_max = compare_number(after("max"), running.max, oracle.max[0])
                        .smell(
                            say("the maximum of this block alone", "只是这一块的最大值"),
                            arr0(of_block),
                        )
                        .smell(
                            say(
                                "max begins at 0, and should at −∞",
                                "max 从 0 开始了，应从 −∞ 开始",
                            ),
                            arr0(oracle.max[0].max(0.0)),
                        )
                        .smell(
                            say("max never moves", "max 从不变动"),
                            arr0(f64::NEG_INFINITY),
                        );
                    given(of_max, &row).check()?;
                    given(
                        compare_number(after("sum"), running.sum, oracle.sum[0]),
                        &row,
                    )
                    .check()?;
                    given(
                        compare(
                            after("weighted"),
                            &running.weighted,
                            &oracle.weighted.row(0).to_owned(),
                        ),
                        &row,
                    )
                    .check()?;
                }
                Ok(())
            },
        ),
        case(
            "survives_scores_that_climb",
            "分数一路上升也不出错",
            || {
                check(&Row {
                    scores: array![-2000.0, -1000.0, 0.0, 1000.0, 2000.0],
                    values: array![[1.0], [2.0], [3.0], [4.0], [5.0]],
                    blocks: vec![1, 2, 2],
                })
            },
        ),
        case(
            "survives_scores_that_fall",
            "分数一路下降也不出错",
            || {
                check(&Row {
                    scores: array![2000.0, 1000.0, -2000.0],
                    values: array![[1.0], [2.0], [3.0]],
                    blocks: vec![1, 1, 1],
                })
            },
        ),
        case(
            "a_block_may_be_hidden_whole",
            "可以有整块被隐藏",
            || {
                let hidden = f64::NEG_INFINITY;
                let values = array![[1.0, 0.0], [2.0, 0.0], [3.0, 1.0], [4.0, 0.0]];
                for scores in [
                    array![hidden, hidden, 0.0, 0.0],
                    array![0.0, 0.0, hidden, hidden],
                ] {
                    check(&Row {
                        scores,
                        values: values.clone(),
                        blocks: vec![2, 2],
                    })?;
                }
                Ok(())
            },
        ),
        case(
            "a_query_that_saw_nothing_gathers_nothing",
            "什么也没看到的查询得到零",
            || {
                let hidden = f64::NEG_INFINITY;
                let row = Row {
                    scores: array![hidden, hidden],
                    values: array![[1.0], [2.0]],
                    blocks: vec![1, 1],
                };
                given(compare(output(), &run(&row).output(), &array![0.0]), &row).check()?;
                compare(
                    say("the output before any key", "还没有遇到键时的输出"),
                    &Running::new(2).output(),
                    &array![0.0, 0.0],
                )
                .check()
            },
        ),
    ]
}
