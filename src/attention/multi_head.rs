//! Several heads beside each other, each with parameters of its own, their outputs joined by one more map.
//!
//! $$ \tilde V = [y^1, y^2, \dots, y^H] W_o^\top + b_o, \qquad y^h = \mathrm{Attention}(X, Z \mid W^h_{qkv}, \mathrm{Mask}) $$
//!
//! * Page: *Algorithm: Multi-head Attention*.
//! * Paper: Vaswani et al. 2017, section 3.2.2; Phuong and Hutter 2022, algorithm 5.
//! * Shipped: both sizes of Baichuan 2 are plain multi-head: [`GroupedQueryAttention`](super::GroupedQueryAttention) with groups of one.
//!
//! # As printed, as shipped
//!
//! The page gives $W_o$ three axes, $d_{out} \times H \times d_{mid}$; the product of step 4 needs the last two joined into one, heads side by side,
//! as checkpoints store it.

use super::{AttentionParameters, attention_formal};
use ndarray::{Array1, Array2, ArrayView2, Axis, NdFloat, concatenate};

/// The parameters of all heads.
#[derive(Clone, Debug)]
pub struct MultiHeadParameters<A> {
    /// $W^h_{qkv}$ of each head.
    pub heads: Vec<AttentionParameters<A>>,
    /// $W_o$, `[d_out, H · d_mid]`.
    pub w_o: Array2<A>,
    /// $b_o$, `[d_out]`.
    pub b_o: Array1<A>,
}

/// The page's algorithm. `x: [ℓ_x, d_x]`, `z: [ℓ_z, d_z]`, `mask: [ℓ_x, ℓ_z]`. Returns `[ℓ_x, d_out]`.
///
/// ```
/// use baichuan2::attention::{AttentionParameters, MultiHeadParameters, multi_head_attention_formal};
/// use ndarray::array;
/// let head = |value| AttentionParameters {
///     w_q: array![[0.0]], b_q: array![0.0], w_k: array![[0.0]], b_k: array![0.0],
///     w_v: array![[value]], b_v: array![0.0],
/// };
/// let p = MultiHeadParameters { heads: vec![head(1.0), head(10.0)], w_o: array![[1.0, 1.0]], b_o: array![0.5] };
/// let x = array![[2.0]];
/// assert_eq!(multi_head_attention_formal(x.view(), x.view(), &p, array![[true]].view()), array![[22.5]]);
/// ```
///
/// # Panics
/// Where there is no head, or shapes do not fit.
pub fn multi_head_attention_formal<A: NdFloat>(
    x: ArrayView2<A>,
    z: ArrayView2<A>,
    p: &MultiHeadParameters<A>,
    mask: ArrayView2<bool>,
) -> Array2<A> {
    let y: Vec<_> = p
        .heads
        .iter() // 1. for each head
        .map(|head| attention_formal(x, z, head, mask)) // 2. yʰ
        .collect();
    let y: Vec<_> = y.iter().map(|y| y.view()).collect();
    let y: Array2<A> = concatenate(Axis(1), &y).expect("heads of one length"); // 3. Y
    y.dot(&p.w_o.t()) + &p.b_o // 4. Ṽ
}
