//! Four numbers normalized, by hand and by [`RmsNorm`].

use crate::numbers::Numbers;
use baichuan2::rms_norm::{RmsNorm, rms_norm_formal};
use ndarray::{Array1, array};

/// The numbers of the chapter *RMSNorm*.
pub(super) fn numbers(n: &mut Numbers) {
    let x = array![3.0, -1.0, 1.0, 5.0];
    n.vector("x", x.view(), 0);
    let squares = x.mapv(|x| x * x);
    n.vector("squares", squares.view(), 0);
    n.number("sum", squares.sum(), 0);
    n.number("mean", squares.sum() / 4.0, 0);
    let (one, zero) = (Array1::ones(4), Array1::zeros(4));
    let norm = RmsNorm {
        gamma: one.clone(),
        eps: 1e-6,
    };
    n.number("rms", norm.rms(x.view()), 4);
    let y = norm.forward(x.view().insert_axis(ndarray::Axis(0)));
    n.vector("y", y.row(0), 4);
    n.number("mean_y2", y.mapv(|y| y * y).sum() / 4.0, 4);

    let louder = x.mapv(|x| 10.0 * x);
    n.vector("louder", louder.view(), 0);
    n.vector(
        "y_louder",
        norm.forward(louder.view().insert_axis(ndarray::Axis(0)))
            .row(0),
        4,
    );

    let silence = Array1::zeros(4);
    n.vector(
        "silence_formal",
        rms_norm_formal(silence.view(), one.view(), zero.view()).view(),
        0,
    );
    n.vector(
        "silence_shipped",
        norm.forward(silence.view().insert_axis(ndarray::Axis(0)))
            .row(0),
        0,
    );
}
