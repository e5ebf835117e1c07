//! Figures to draw in tests.

use super::{Colors, Figure, Panel, Scale};
use ndarray::Array2;

/// Attention that falls off with distance, over tokens `t0`, `t1`, ….
pub(super) fn figure(tokens: usize, panels: usize) -> Figure {
    let mut weights = Array2::from_shape_fn((tokens, tokens), |(i, j)| {
        if j <= i {
            0.5_f32.powi((i - j) as i32)
        } else {
            0.0
        }
    });
    for mut row in weights.rows_mut() {
        let sum = row.sum();
        row /= sum;
    }
    let panel = |i| Panel {
        title: format!("head {i}"),
        weights: weights.clone(),
    };
    Figure {
        title: "a title".into(),
        labels: (0..tokens).map(|i| format!("t{i}")).collect(),
        panels: (0..panels).map(panel).collect(),
        columns: 1,
        scale: Scale::Row,
        colors: Colors::Viridis,
        hide_first: false,
    }
}
