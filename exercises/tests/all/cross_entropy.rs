use crate::{
    compare::{Comparison, compare_number},
    goldens,
    harness::{Finding, Trial, case, property, say},
    random::matrix,
};
use baichuan2::training::loss as oracle;
use ndarray::{Array2, arr0, array, s};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::Value;
use your_code::cross_entropy::{cross_entropy, loss};

/// `log softmax` of each row, at its id.
fn logs(logits: &Array2<f64>, ids: &[usize]) -> Vec<f64> {
    let log = |(row, &id)| oracle::log_probability(row, id);
    logits.rows().into_iter().zip(ids).map(log).collect()
}

fn mean(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, n) = numbers
        .into_iter()
        .fold((0.0, 0.0), |(sum, n), x| (sum + x, n + 1.0));
    sum / n
}

fn expected_entropy(logits: &Array2<f64>, ids: &[usize]) -> f64 {
    let targets: Vec<u32> = ids[1..].iter().map(|&id| id as u32).collect();
    oracle::cross_entropy(logits.slice(s![..ids.len() - 1, ..]), &targets)
}

fn expected_max_z(logits: &Array2<f64>, ids: &[usize]) -> f64 {
    oracle::max_z(logits.slice(s![..ids.len() - 1, ..]))
}

/// What is given, and the mistakes of the cross-entropy; `more` is what a loss adds to it.
fn entropy_smells(
    comparison: Comparison,
    logits: &Array2<f64>,
    ids: &[usize],
    more: f64,
) -> Comparison {
    let n = ids.len() as f64;
    let right = logs(logits, &ids[1..]);
    let sum = -right.iter().sum::<f64>();
    let all = logits.mapv(f64::exp).sum().ln();
    let of_all = mean(
        ids[1..]
            .iter()
            .zip(logits.rows())
            .map(|(&id, z)| all - z[id]),
    );
    let probability = -mean(right.iter().map(|log| log.exp()));
    let no_sum = -mean(ids[1..].iter().zip(logits.rows()).map(|(&id, z)| z[id]));
    [
        (say("each row is asked for its own token, and should be asked for the next", "每一行问的是它自己的词元；应问下一个"), -mean(logs(logits, ids))),
        (say("each row is asked for its own token (all but the last), and should be asked for the next", "每一行（最后一行除外）问的是它自己的词元；应问下一个"), -mean(logs(logits, &ids[..ids.len() - 1]))),
        (say("each row is asked for the token before it: shifted the wrong way", "每一行问的是前一个词元：错开的方向反了"), -mean(logs(&logits.slice(s![1.., ..]).to_owned(), ids).into_iter().take(ids.len() - 1))),
        (say("a sum where the mean belongs", "用了和，应是均值"), sum),
        (say("divided by the number of tokens; there is one loss less", "除以了词元数；损失比词元少一个"), sum / n),
        (say("the sign: a logarithm of a probability is negative, a loss is not", "符号：概率的对数是负的，损失不是"), -sum / (n - 1.0)),
        (say("in bits; this one is in nats (the natural logarithm)", "单位是比特；这里要用奈特（自然对数）"), sum / (n - 1.0) / 2f64.ln()),
        (say("the softmax runs over all rows at once", "softmax 跨过了所有行"), of_all),
        (say("the logarithm is missing: these are probabilities", "漏了对数：这是概率"), probability),
        (say("the logit itself, without the logarithm of the sum", "只有 logit 本身，没有减去和的对数"), no_sum),
    ]
    .into_iter()
    .filter(|(_, makes)| makes.is_finite())
    .fold(comparison, |c, (text, makes)| c.smell(text, arr0(makes + more)))
    .smell(say("e^z overflowed, or ln was taken of a probability that underflowed to 0: simplify before you compute", "e^z 溢出了，或对下溢为 0 的概率取了 ln：先化简再算"), arr0(f64::INFINITY))
    .given("logits", logits)
    .given("ids", &ids.to_vec())
}

fn check_entropy(logits: &Array2<f64>, ids: &[usize]) -> Finding {
    let comparison = compare_number(
        say("the cross-entropy", "交叉熵"),
        cross_entropy(logits.view(), ids),
        expected_entropy(logits, ids),
    );
    entropy_smells(comparison, logits, ids, 0.0).check()
}

fn check_loss(logits: &Array2<f64>, ids: &[usize], lambda: f64) -> Finding {
    let entropy = expected_entropy(logits, ids);
    let max_z = expected_max_z(logits, ids);
    let rows = || logits.rows().into_iter().take(ids.len() - 1);
    let largest: Vec<f64> = rows()
        .map(|z| z.fold(f64::NEG_INFINITY, |m, &z| m.max(z)))
        .collect();
    let by_size = mean(rows().map(|z| z.fold(0.0_f64, |m, &z| m.max(z.abs())).powi(2)));
    let of_all_rows = mean(
        logits
            .rows()
            .into_iter()
            .map(|z| z.fold(f64::NEG_INFINITY, |m, &z| m.max(z)).powi(2)),
    );
    let log_sum = mean(rows().map(|z| z.mapv(f64::exp).sum().ln().powi(2)));
    let squares = mean(rows().map(|z| z.mapv(|z| z * z).sum()));
    let overall = largest
        .iter()
        .copied()
        .fold(f64::NEG_INFINITY, f64::max)
        .powi(2);
    let comparison = compare_number(
        say("the loss", "损失"),
        loss(logits.view(), ids, lambda),
        entropy + lambda * max_z,
    )
    .given("lambda", &lambda)
    .smell(
        say("there is no max-z term in it", "里面没有 max-z 项"),
        arr0(entropy),
    )
    .smell(say("λ is forgotten", "漏了 λ"), arr0(entropy + max_z))
    .smell(
        say(
            "the max-z term alone, without the cross-entropy",
            "只有 max-z 项，没有交叉熵",
        ),
        arr0(lambda * max_z),
    )
    .smell(
        say(
            "the largest logits are not squared",
            "最大的 logit 没有平方",
        ),
        arr0(entropy + lambda * mean(largest.iter().copied())),
    )
    .smell(
        say(
            "the mean is squared; it is the mean of squares",
            "先平均再平方了；应是平方的平均",
        ),
        arr0(entropy + lambda * mean(largest.iter().copied()).powi(2)),
    )
    .smell(
        say(
            "a sum over the rows where the mean belongs",
            "对行求了和，应是均值",
        ),
        arr0(entropy + lambda * max_z * largest.len() as f64),
    )
    .smell(
        say(
            "the last row is in the max-z term; it has nothing to predict",
            "最后一行也进了 max-z 项；它没有要预测的",
        ),
        arr0(entropy + lambda * of_all_rows),
    )
    .smell(
        say(
            "the largest in size, whatever its sign; it is the largest number",
            "取了绝对值最大的；应是数值最大的",
        ),
        arr0(entropy + lambda * by_size),
    )
    .smell(
        say(
            "this is the z-loss of PaLM, ln² Σ e^z; Baichuan 2 squares the largest logit",
            "这是 PaLM 的 z-loss，ln² Σ e^z；Baichuan 2 平方的是最大的 logit",
        ),
        arr0(entropy + lambda * log_sum),
    )
    .smell(
        say(
            "all logits are squared; only the largest of each row is",
            "平方了所有的 logit；应只平方每行最大的",
        ),
        arr0(entropy + lambda * squares),
    )
    .smell(
        say(
            "one largest logit for all rows; each row has its own",
            "所有行共用了一个最大值；每行有自己的",
        ),
        arr0(entropy + lambda * overall),
    );
    entropy_smells(comparison, logits, ids, lambda * max_z).check()
}

/// A text of two to six tokens.
fn text() -> impl Strategy<Value = (Array2<f64>, Vec<usize>)> {
    (2..6_usize, 1..5_usize).prop_flat_map(|(tokens, n)| (matrix(tokens, n), vec(0..n, tokens)))
}

/// Logits of the prompt as the shipped code computed them, its ids, and what it said of them.
fn golden(size: &str) -> (Array2<f64>, Vec<usize>, Value) {
    let json = std::fs::read(goldens::file(&format!("{size}/golden.json")))
        .expect("the goldens are there");
    let golden: Value = serde_json::from_slice(&json).expect("the goldens are JSON");
    let ids = serde_json::from_value(golden["prompt_ids"].clone()).expect("ids");
    (goldens::act(size, "plain.logits"), ids, golden)
}

pub fn trials() -> Vec<Trial> {
    vec![
        property(
            "is_surprised_by_the_next_token",
            "对下一个词元感到意外的程度",
            text(),
            |(logits, ids)| check_entropy(&logits, &ids),
        ),
        case(
            "knows_nothing_and_says_so",
            "一无所知时损失是 ln(词表大小)",
            || {
                let logits = Array2::zeros((4, 8));
                check_entropy(&logits, &[1, 3, 0, 7])
            },
        ),
        case(
            "large_logits_stay_finite",
            "logits 很大时损失仍有限",
            || {
                let logits = array![[0.0, 2000.0], [-2000.0, 0.0], [0.0, 0.0]];
                check_entropy(&logits, &[0, 0, 1])?;
                check_entropy(&array![[-900.0, -901.0], [0.0, 0.0]], &[1, 0])
            },
        ),
        property(
            "adds_the_max_z_term",
            "加上 max-z 项",
            (text(), select(&[0.3, 0.7, 1.1][..])),
            |((logits, ids), lambda)| check_loss(&logits, &ids, lambda),
        ),
        case(
            "gives_the_losses_of_the_shipped_models",
            "损失与发布的模型相同",
            || {
                for size in ["tiny7b", "tiny13b"] {
                    let (logits, ids, golden) = golden(size);
                    let number = |name: &str| golden[name].as_f64().expect("a number");
                    let entropy = cross_entropy(logits.view(), &ids);
                    let plain = compare_number(
                        say(
                            format!("the cross-entropy of {size}"),
                            format!("{size} 的交叉熵"),
                        ),
                        entropy,
                        number("loss_without_z"),
                    )
                    .within(goldens::TOLERANCE);
                    entropy_smells(plain, &logits, &ids, 0.0).check()?;
                    compare_number(
                        say(
                            format!("the perplexity of {size}, e^L"),
                            format!("{size} 的困惑度 e^L"),
                        ),
                        entropy.exp(),
                        number("prompt_ppl"),
                    )
                    .within(1e-4)
                    .check()?;
                    let lambda = number("z_loss_weight");
                    compare_number(
                        say(format!("the loss of {size}"), format!("{size} 的损失")),
                        loss(logits.view(), &ids, lambda),
                        number("loss_with_z"),
                    )
                    .within(goldens::TOLERANCE)
                    .given("lambda", &lambda)
                    .smell(
                        say("there is no max-z term in it", "里面没有 max-z 项"),
                        arr0(number("loss_without_z")),
                    )
                    .check()?;
                }
                Ok(())
            },
        ),
    ]
}
