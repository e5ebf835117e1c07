//! One row of scores seen by heads of several slopes, and the slopes of 6 and of 40 heads.

use crate::numbers::{Numbers, rounded};
use baichuan2::{
    alibi::{absolute_bias, relative_bias, slopes},
    embedded::EmbeddedModel,
    tensor::{softmax, softmax_formal},
};
use ndarray::{Array1, ArrayView1, array};

/// The numbers of the chapter *ALiBi*.
pub(super) fn numbers(n: &mut Numbers) {
    by_hand(n);
    as_printed(n);
    small_model(n);
    forty(n);
}

/// The scores of the fourth of four tokens, before any bias.
fn scores() -> Array1<f64> {
    array![2.0, 0.0, 1.0, 0.0]
}

fn weights(scores: ArrayView1<f64>) -> Array1<f64> {
    softmax(scores.insert_axis(ndarray::Axis(0))).remove_axis(ndarray::Axis(0))
}

fn by_hand(n: &mut Numbers) {
    let s = scores();
    n.vector("s", s.view(), 0);
    let bias = |slope| relative_bias::<f64>(slope, 3, 1, 4).row(0).to_owned();
    n.vector("bias", bias(0.5).view(), 1);
    n.vector("biased", (&s + &bias(0.5)).view(), 1);
    n.vector("weights", weights(s.view()).view(), 3);
    n.vector("weights_steep", weights((&s + &bias(0.5)).view()).view(), 3);
    n.vector(
        "weights_flat",
        weights((&s + &bias(1.0 / 256.0)).view()).view(),
        3,
    );

    let absolute = absolute_bias::<f64>(0.5, 1, 4).row(0).to_owned();
    n.vector("absolute", absolute.view(), 1);
    let shifted = &absolute - &bias(0.5);
    n.number("apart", shifted[0], 1);
    n.vector(
        "weights_absolute",
        weights((&s + &absolute).view()).view(),
        3,
    );
}

/// The printed formula, (q·k + m)/√d: of these scores and of a width of 16.
fn as_printed(n: &mut Numbers) {
    let products = scores() * 4.0;
    let printed = |m: f64| softmax_formal(((&products + m) / 4.0).view());
    n.vector("printed_none", printed(0.0).view(), 3);
    n.vector("printed", printed(0.5).view(), 3);
}

fn small_model(n: &mut Numbers) {
    let decoder = EmbeddedModel::Alibi.checkpoint().decoder();
    let heads = decoder
        .expect("a test opens it")
        .config()
        .num_attention_heads;
    n.text("heads", heads);
    let rows: Vec<Vec<String>> = slopes(heads)
        .into_iter()
        .enumerate()
        .map(|(head, m)| {
            vec![
                (head + 1).to_string(),
                format!("1/{}", 1.0 / m),
                rounded((-m).exp(), 3),
                rounded(2_f64.ln() / m, 1),
            ]
        })
        .collect();
    let head = ["$h$", "$m_h$", "$e^{-m_h}$", "$\\ln 2 / m_h$"];
    n.table("small", &head, &rows);
}

/// The slopes of the 13B beside one series straight through all of its heads.
fn forty(n: &mut Numbers) {
    let m = slopes(40);
    let rows = [1, 2, 31, 32, 33, 34, 40].map(|h: i32| {
        let straight = (-8.0 * f64::from(h) / 40.0).exp2();
        let own = m[h as usize - 1];
        vec![h.to_string(), rounded(own, 4), rounded(straight, 4)]
    });
    n.table("forty", &["$h$", "$m_h$", "$2^{-8h/40}$"], &rows);
}
