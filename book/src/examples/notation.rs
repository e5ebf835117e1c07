//! One linear map, with tokens as columns and with tokens as rows.

use crate::numbers::Numbers;
use baichuan2::tensor::LinearMap;
use ndarray::array;

/// The numbers of the chapter *Notation*.
pub(super) fn numbers(n: &mut Numbers) {
    let w = array![[1.0, 0.0, 2.0], [0.0, -1.0, 1.0]];
    let x = array![
        [1.0, 5.0, 1.0],
        [0.0, 2.0, 3.0],
        [4.0, 0.0, 0.0],
        [1.0, 1.0, 1.0]
    ];
    n.matrix("w", w.view(), 0);
    n.matrix("w_t", w.t(), 0);
    n.matrix("x_columns", x.t(), 0);
    n.matrix("x_rows", x.view(), 0);
    n.matrix("y_columns", w.dot(&x.t()).view(), 0);
    n.matrix("y_rows", w.apply(x.view()).view(), 0);
}
