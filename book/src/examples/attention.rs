//! Four words of which the last looks for a name: scores, weights and output by [`attend`]; the same softmax where exponentials overflow.

use crate::numbers::{Numbers, rounded};
use baichuan2::{
    attention::{AttentionParameters, Bias, Visibility, attend, attention_formal, causal_mask},
    dtransformer::Config,
    tensor::{softmax, softmax_formal},
};
use ndarray::{Array1, Array2, Axis, array};

/// The words, in both languages.
const WORDS: [&str; 4] = ["Ivy", "met", "Tom", "she"];
const WORDS_ZH: [&str; 4] = ["小红", "遇见", "小明", "她"];

/// The numbers of the chapter *Attention*.
pub(super) fn numbers(n: &mut Numbers) {
    // What is looked for, and what is there: a name, a girl, a boy, a verb.
    let q = array![
        [0.0, 0.0, 0.0, 2.0],
        [2.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 2.0],
        [2.0, 2.0, -2.0, 0.0],
    ];
    let k = array![
        [2.0, 2.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 2.0],
        [2.0, 0.0, 2.0, 0.0],
        [0.0, 2.0, 0.0, 0.0],
    ];
    let v = array![[10.0, 0.0], [0.0, 0.0], [0.0, 10.0], [0.0, 0.0]];
    n.vector("q_she", q.row(3), 0);
    let with_values = |mut keys: Vec<Vec<String>>| {
        for (row, v) in keys.iter_mut().zip(v.rows()) {
            row.push(format!("({}, {})", v[0], v[1]));
        }
        keys
    };
    let columns = ["query of", "name", "girl", "boy", "verb"];
    n.table("queries", &columns, &rows(&q, 0, WORDS));
    let columns = ["key and value of", "name", "girl", "boy", "verb", "value"];
    n.table("keys_values", &columns, &with_values(rows(&k, 0, WORDS)));
    let columns = ["查询", "名字", "女孩", "男孩", "动词"];
    n.table("queries_zh", &columns, &rows(&q, 0, WORDS_ZH));
    let columns = ["键和值", "名字", "女孩", "男孩", "动词", "值"];
    n.table(
        "keys_values_zh",
        &columns,
        &with_values(rows(&k, 0, WORDS_ZH)),
    );

    let bias = |visibility| Bias {
        visibility,
        alibi_slope: None,
    };
    let causal = bias(Visibility::Causal { first: 0 });
    let head = attend(q.view(), k.view(), v.view(), &causal);
    let products = q.dot(&k.t());
    n.vector("products_she", products.row(3), 0);
    n.vector("scores_she", head.scores.row(3), 0);
    for (words, end) in [(WORDS, ""), (WORDS_ZH, "_zh")] {
        let columns: Vec<&str> = [""].into_iter().chain(words).collect();
        n.table(
            &format!("scores{end}"),
            &columns,
            &rows(&head.scores, 0, words),
        );
        n.table(
            &format!("weights{end}"),
            &columns,
            &rows(&head.weights, 3, words),
        );
    }
    n.vector("output_she", head.output.row(3), 2);
    let exp = head.scores.row(3).mapv(f64::exp);
    n.number("e4", exp[0], 2);
    n.number("e2", exp[3], 2);
    n.number("sum", exp.sum(), 2);
    for (j, word) in WORDS.iter().enumerate() {
        let weight = head.weights[[3, j]];
        n.number(&format!("w_{word}"), weight, 3);
        n.number(&format!("px_{word}"), (18.0 * weight).max(0.8), 1);
    }

    // The page's algorithm on tokens that are one-hot, so that its maps hold the queries, keys and values themselves.
    let eye = Array2::eye(4);
    let p = AttentionParameters {
        w_q: q.t().to_owned(),
        b_q: Array1::zeros(4),
        w_k: k.t().to_owned(),
        b_k: Array1::zeros(4),
        w_v: v.t().to_owned(),
        b_v: Array1::zeros(2),
    };
    let mask = causal_mask(0, 4, 4);
    let page = attention_formal(eye.view(), eye.view(), &p, mask.view());
    assert!((&page - &head.output).iter().all(|e| e.abs() < 1e-12));

    let all = attend(q.view(), k.view(), v.view(), &bias(Visibility::All));
    n.vector("open_Ivy", all.weights.row(0), 3);
    let printed = mask.mapv(|sees| !sees);
    let printed = attend(
        q.view(),
        k.view(),
        v.view(),
        &bias(Visibility::Mask(printed.view())),
    );
    n.vector("printed_Ivy", printed.weights.row(0), 3);
    n.vector("printed_she", printed.weights.row(3), 0);

    // The scale: scores as a head of a real model has them, and without their division.
    let d = Config::baichuan2_7b().head_dim;
    let root = (d as f64).sqrt();
    let usual = array![1.0, 0.0, -1.0, 0.5];
    n.text("d", d);
    n.number("root_d", root, 1);
    n.vector("usual", usual.view(), 1);
    n.vector("usual_weights", of_row(&usual).view(), 2);
    n.vector("unscaled_weights", of_row(&(&usual * root)).view(), 3);

    // The same weights a hundred higher: in f32.
    let high = head.scores.row(3).mapv(|s| (s + 100.0) as f32);
    n.vector("high", high.mapv(f64::from).view(), 0);
    n.number("ln_largest", f64::from(f32::MAX).ln(), 2);
    let formal = softmax_formal(high.view()).mapv(f64::from);
    n.vector("high_formal", formal.view(), 3);
    n.vector("high_shipped", of_row(&high).mapv(f64::from).view(), 3);
}

fn of_row<A: ndarray::NdFloat>(scores: &Array1<A>) -> Array1<A> {
    softmax(scores.view().insert_axis(Axis(0))).remove_axis(Axis(0))
}

/// The rows of a table, each behind its word; what is hidden is −∞.
fn rows(matrix: &Array2<f64>, decimals: usize, words: [&str; 4]) -> Vec<Vec<String>> {
    let cell = |x: f64| match x {
        f64::NEG_INFINITY => "−∞".to_owned(),
        x => rounded(x, decimals),
    };
    let cells = matrix.rows().into_iter().zip(words);
    cells
        .map(|(row, word)| {
            // Chinese has no italics.
            [if word.is_ascii() {
                format!("*{word}*")
            } else {
                word.into()
            }]
            .into_iter()
            .chain(row.iter().map(|&x| cell(x)))
            .collect()
        })
        .collect()
}
