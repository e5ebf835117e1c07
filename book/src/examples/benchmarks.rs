//! How far apart two scores must be to mean anything.

use crate::numbers::Numbers;

/// The numbers of the chapter *Benchmarks and safety*.
pub(super) fn numbers(n: &mut Numbers) {
    // HumanEval has 164 problems; the scores are those of table 1 of the report.
    let problems = 164.0;
    for (name, score) in [("7b", 18.29), ("13b", 17.07), ("gpt4", 69.51)] {
        let p = score / 100.0;
        n.number(&format!("score_{name}"), score, 2);
        n.number(&format!("solved_{name}"), p * problems, 0);
        n.number(&format!("error_{name}"), error(p, problems), 1);
    }
    n.number("c_eval_lift", 54.00 - 25.0, 0);
    n.number("c_eval_range", 75.0, 0);
    n.number("above_guess", 100.0 * (54.00 - 25.0) / 75.0, 0);
    // C-Eval has more than ten thousand questions (section 5.1).
    n.number("error_c_eval", error(0.54, 10_000.0), 1);

    // Table 9, without its average: sensitive topics, discrimination, profanity, unethical content, physical health, mental health, financial privacy.
    let table = [
        (
            "chatglm",
            [61.80, 96.40, 99.10, 97.31, 100.00, 98.23, 97.34],
        ),
        ("llama", [53.40, 98.27, 99.04, 97.25, 100.00, 99.80, 97.79]),
        (
            "baichuan",
            [87.10, 98.97, 99.10, 98.36, 100.00, 99.80, 98.12],
        ),
    ];
    for (name, columns) in table {
        let others = &columns[1..];
        n.number(&format!("sensitive_{name}"), columns[0], 1);
        n.number(
            &format!("others_{name}"),
            others.iter().sum::<f64>() / others.len() as f64,
            1,
        );
    }
}

/// The standard error of a share `p` of `n` questions, in points.
fn error(p: f64, n: f64) -> f64 {
    100.0 * (p * (1.0 - p) / n).sqrt()
}
