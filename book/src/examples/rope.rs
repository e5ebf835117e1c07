//! A head of two planes, and a head of `embedded:rope` that looks for the token before.

use crate::numbers::{Numbers, rounded};
use baichuan2::{
    embedded::EmbeddedModel,
    probe::{LayerSite, Site, Trace},
    rope::{permutation, planes, rope_formal, score_by_plane, theta},
};
use ndarray::{Array1, Axis, array};

const BASE: f64 = 1e4;

/// The numbers of the chapter *RoPE*.
pub(super) fn numbers(n: &mut Numbers) {
    dials(n);
    by_hand(n);
    trained(n);
    turns(n);
}

/// Where one plane points at some positions, for the drawing: y grows downwards there.
fn dials(n: &mut Numbers) {
    for position in [1, 2, 4, 5] {
        let at = rope_formal(array![1.0, 0.0].view(), position, BASE);
        n.number(&format!("x{position}"), 56.0 * at[0], 1);
        n.number(&format!("y{position}"), -56.0 * at[1], 1);
    }
}

fn by_hand(n: &mut Numbers) {
    let (d, q) = (4, array![1.0, 0.0, 1.0, 0.0]);
    n.vector("q", q.view(), 0);
    n.number("theta0", theta(0, d, BASE), 0);
    n.number("theta1", theta(1, d, BASE), 2);
    n.number("slow5", 5.0 * theta(1, d, BASE), 2);
    let at = |position| rope_formal(q.view(), position, BASE);
    for (name, position) in [("q5", 5), ("k2", 2), ("q105", 105), ("k102", 102)] {
        n.vector(name, at(position).view(), 3);
    }
    n.number("score", at(5).dot(&at(2)), 4);
    n.number("score_later", at(105).dot(&at(102)), 4);

    let halves = q.select(Axis(0), &permutation(d));
    n.vector("halves", halves.view(), 0);
    let rows = [0, 1, 3, 6, 44, 314].map(|distance| {
        let planes = score_by_plane(halves.view(), halves.view(), f64::from(distance), BASE);
        let mut row = vec![distance.to_string()];
        row.extend(planes.iter().map(|&score| rounded(score, 3)));
        row.push(format!("**{}**", rounded(planes.sum(), 3)));
        row
    });
    let head = [
        "$m - n$",
        "$\\cos(m - n)$",
        "$\\cos 0.01(m - n)$",
        "$q \\cdot k$",
    ];
    n.table("distances", &head, &rows);
}

/// Head 0 of layer 2, which looks at the token before, and the planes that matter most to it.
fn trained(n: &mut Numbers) {
    let model = EmbeddedModel::Rope;
    let decoder = model.checkpoint().decoder().expect("a test opens it");
    let d = decoder.config().head_dim;
    let tokenizer = model.tokenizer();
    let text = "moon fish tree boat sun cat | moon fish tree boat sun cat";
    let (query, key) = (9, 8);
    const SITE: Site = Site::Layer(2, LayerSite::WPack);
    let mut trace = Trace::of(|at| at == SITE);
    decoder
        .forward(
            &tokenizer.encode(text),
            &mut decoder.new_cache(),
            Some(&mut trace),
        )
        .expect("a short text");
    let pieces = tokenizer.pieces(text);
    n.text("text", text);
    n.text("query", pieces[query]);
    n.text("key", pieces[key]);

    let packed = &trace.values[&SITE.to_string()];
    let head = |token: usize, first: usize| -> Array1<f64> {
        let row = packed.index_axis(Axis(0), token);
        (first..first + d).map(|i| f64::from(row[i])).collect()
    };
    let (q, k) = (head(query, 0), head(key, decoder.config().hidden_size));
    let root = (d as f64).sqrt();
    let mut strongest: Vec<usize> = (0..d / 2).collect();
    let planes = planes(q.view(), k.view(), BASE);
    strongest.sort_by(|&a, &b| {
        let length = |i: usize| planes[i].query * planes[i].key;
        length(b).total_cmp(&length(a))
    });
    strongest[..2].sort_unstable();
    let [fast, slow] = [strongest[0], strongest[1]];
    let rows = [0, 1, 2, 4, 7, 13, 26].map(|distance| {
        let scores = score_by_plane(q.view(), k.view(), f64::from(distance), BASE) / root;
        let number = |score| rounded(score, 2);
        let rest = scores.sum() - scores[fast] - scores[slow];
        let [fast, slow, rest] = [scores[fast], scores[slow], rest].map(number);
        let all = format!("**{}**", number(scores.sum()));
        vec![distance.to_string(), fast, slow, rest, all]
    });
    n.text("fast", fast);
    n.text("slow", slow);
    n.number("theta_fast", planes[fast].theta, 0);
    n.number("theta_slow", planes[slow].theta, 2);
    let head = [
        "$m - n$".to_owned(),
        format!("$i = {fast}$"),
        format!("$i = {slow}$"),
        format!("$\\sum_{{i \\ne {fast}, {slow}}}$"),
        "$q \\cdot k / \\sqrt{d}$".to_owned(),
    ];
    n.table("trained", &head.each_ref().map(String::as_str), &rows);
}

/// How many tokens once around takes.
fn turns(n: &mut Numbers) {
    let turn = |i, d| std::f64::consts::TAU / theta(i, d, BASE);
    let longer = |d, tokens: f64| (0..d / 2).filter(|&i| turn(i, d) > tokens).count();
    n.number("first_turn", turn(0, 128), 2);
    n.number("last_turn", turn(63, 128), 0);
    n.text("longer_7b", longer(128, 4096.0));
    n.text("longer_small", longer(24, 256.0));

    let off = |i: usize| {
        let angle = 4095.0 * theta(i, 128, BASE);
        (f64::from(4095.0_f32 * theta(i, 128, BASE) as f32) - angle).abs()
    };
    let off = (0..64).map(off).fold(0.0, f64::max);
    n.text("off", format!("{:.5}", off));
}
