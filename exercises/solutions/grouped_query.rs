//! Heads that share keys, solved.

use ndarray::{Array2, ArrayView2, s};

/// One query head: its number, `q: [tokens, d]`, `k: [tokens, d]` and `v: [tokens, d]`. Returns `[tokens, d]`.
pub type Attention<'a> =
    dyn Fn(usize, ArrayView2<f64>, ArrayView2<f64>, ArrayView2<f64>) -> Array2<f64> + 'a;

/// The maps of a layer, and how their rows are cut.
pub struct Maps<'a> {
    /// `[H · d, D]`
    pub w_q: ArrayView2<'a, f64>,
    /// `[N · d, D]`
    pub w_k: ArrayView2<'a, f64>,
    /// `[N · d, D]`
    pub w_v: ArrayView2<'a, f64>,
    /// `[D, H · d]`
    pub w_o: ArrayView2<'a, f64>,
    /// H, a multiple of N.
    pub heads: usize,
    /// N
    pub kv_heads: usize,
}

/// Grouped-query attention of `x: [tokens, D]`. Returns `[tokens, D]`.
pub fn grouped_query(x: ArrayView2<f64>, maps: &Maps, attention: &Attention) -> Array2<f64> {
    let d = maps.w_q.nrows() / maps.heads;
    let group = maps.heads / maps.kv_heads;
    let [q, k, v] = [maps.w_q, maps.w_k, maps.w_v].map(|w| x.dot(&w.t()));
    let mut y = Array2::zeros(q.dim());
    for head in 0..maps.heads {
        let of_head = s![.., head * d..(head + 1) * d];
        let shared = head / group;
        let of_group = s![.., shared * d..(shared + 1) * d];
        let gathered = attention(head, q.slice(of_head), k.slice(of_group), v.slice(of_group));
        y.slice_mut(of_head).assign(&gathered);
    }
    y.dot(&maps.w_o.t())
}

/// A map of the keys (or values) of `heads` heads, `w: [heads · d, D]`, as one of `kv_heads`, each the mean of its
/// group. Returns `[kv_heads · d, D]`.
pub fn share(w: ArrayView2<f64>, heads: usize, kv_heads: usize) -> Array2<f64> {
    let d = w.nrows() / heads;
    let group = heads / kv_heads;
    let mut shared = Array2::zeros((kv_heads * d, w.ncols()));
    for (row, w) in w.rows().into_iter().enumerate() {
        let (head, i) = (row / d, row % d);
        shared
            .row_mut(head / group * d + i)
            .scaled_add(1.0 / group as f64, &w);
    }
    shared
}
