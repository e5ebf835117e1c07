//! Many heads side by side, solved.

use ndarray::{Array2, ArrayView2, s};

/// One head: its number, `q: [tokens, d]`, `k: [tokens, d]` and `v: [tokens, d]`. Returns `[tokens, d]`.
pub type Attention<'a> =
    dyn Fn(usize, ArrayView2<f64>, ArrayView2<f64>, ArrayView2<f64>) -> Array2<f64> + 'a;

/// Multi-head attention of `x: [tokens, D]`; `w_pack: [3 · D, D]`, `w_o: [D, D]`. Returns `[tokens, D]`.
pub fn multi_head(
    x: ArrayView2<f64>,
    w_pack: ArrayView2<f64>,
    w_o: ArrayView2<f64>,
    heads: usize,
    attention: &Attention,
) -> Array2<f64> {
    let width = x.ncols();
    let d = width / heads;
    let packed = x.dot(&w_pack.t());
    let mut y = Array2::zeros(x.dim());
    for head in 0..heads {
        let of = |third: usize| {
            let first = third * width + head * d;
            packed.slice(s![.., first..first + d])
        };
        y.slice_mut(s![.., head * d..(head + 1) * d])
            .assign(&attention(head, of(0), of(1), of(2)));
    }
    y.dot(&w_o.t())
}
