//! One head of attention.
//!
//! $$ \tilde V = \mathrm{softmax}\left(\frac{Q K^\top}{\sqrt{d_{attn}}} + B\right) V, \qquad Q = X W_q^\top + b_q, \quad K = Z W_k^\top + b_k, \quad V = Z W_v^\top + b_v $$
//!
//! with tokens as rows; $B$ is −∞ where a key is hidden, and holds ALiBi's bias.
//!
//! * Page: *Algorithm: Attention*.
//! * Paper: Vaswani et al. 2017, arXiv 1706.03762, equation 1; Phuong and Hutter 2022, arXiv 2207.09238, algorithm 4.
//! * Shipped: `Attention` in the 7B's, `BaichuanAttention` in the 13B's `modeling_baichuan.py`.
//!
//! # As printed, as shipped
//!
//! * Step 5 hides what the mask marks, against the page's own use of it: see [`mask`](super::mask).
//! * Step 4 misprints $K^\top Q$ as $KTQ$, and step 6 takes the softmax over keys, which are rows there and columns here.
//! * The shipped maps have no biases.

use super::{Bias, Visibility, memory_efficient::is_finite};
use crate::tensor::{softmax, softmax_formal};
use ndarray::{Array1, Array2, ArrayView2, Axis, NdFloat, s};

/// $W_{qkv}$ of the page: the parameters of one head.
#[derive(Clone, Debug)]
pub struct AttentionParameters<A> {
    /// $W_q$, `[d_attn, d_x]`.
    pub w_q: Array2<A>,
    /// $b_q$, `[d_attn]`.
    pub b_q: Array1<A>,
    /// $W_k$, `[d_attn, d_z]`.
    pub w_k: Array2<A>,
    /// $b_k$, `[d_attn]`.
    pub b_k: Array1<A>,
    /// $W_v$, `[d_out, d_z]`.
    pub w_v: Array2<A>,
    /// $b_v$, `[d_out]`.
    pub b_v: Array1<A>,
}

/// The page's algorithm: `x: [ℓ_x, d_x]` attends to the context `z: [ℓ_z, d_z]`; `mask: [ℓ_x, ℓ_z]` is true where it may look.
///
/// Returns `[ℓ_x, d_out]`. It shares no code with [`attend`].
///
/// ```
/// use baichuan2::attention::{AttentionParameters, attention_formal};
/// use ndarray::{array, Array1};
/// let p = AttentionParameters {
///     w_q: array![[0.0]], b_q: array![0.0], w_k: array![[1.0]], b_k: array![0.0],
///     w_v: array![[10.0]], b_v: array![1.0],
/// };
/// // A query of zero likes all keys alike: the mean of the values 11 and 31.
/// let v = attention_formal(array![[1.0]].view(), array![[1.0], [3.0]].view(), &p, array![[true, true]].view());
/// assert_eq!(v, array![[21.0]]);
/// ```
pub fn attention_formal<A: NdFloat>(
    x: ArrayView2<A>,
    z: ArrayView2<A>,
    p: &AttentionParameters<A>,
    mask: ArrayView2<bool>,
) -> Array2<A> {
    let q = x.dot(&p.w_q.t()) + &p.b_q; // 1. query
    let k = z.dot(&p.w_k.t()) + &p.b_k; // 2. key
    let v = z.dot(&p.w_v.t()) + &p.b_v; // 3. value
    let mut s = q.dot(&k.t()); // 4. score
    for (at, s) in s.indexed_iter_mut() {
        if !mask[at] {
            *s = A::neg_infinity(); // 5. what may not be seen
        }
    }
    let root = A::from(q.ncols()).expect("a length fits a float").sqrt();
    let mut v_tilde = Array2::zeros((x.nrows(), v.ncols()));
    for (s, mut out) in s.rows().into_iter().zip(v_tilde.rows_mut()) {
        out.assign(&softmax_formal((&s / root).view()).dot(&v)); // 6. ṽ
    }
    v_tilde
}

/// What one head of attention made, whole.
#[derive(Clone, Debug)]
pub struct Head<A> {
    /// Scaled scores with bias, −∞ where hidden, `[queries, keys]`.
    pub scores: Array2<A>,
    /// Weights, `[queries, keys]`; each row sums to one.
    pub weights: Array2<A>,
    /// What is gathered, `[queries, d_v]`.
    pub output: Array2<A>,
}

/// What a product of a query and a key of so many dimensions is multiplied by, $1/\sqrt{d}$.
pub(super) fn scale<A: NdFloat>(d: usize) -> A {
    A::from(d).expect("a length fits a float").sqrt().recip()
}

/// One head as shipped, from projected `q: [queries, d]`, `k: [keys, d]` and `v: [keys, d_v]`, with its whole map of weights.
///
/// It holds `queries × keys` numbers; [`attend_in_blocks`](super::attend_in_blocks) gives the same output without them.
///
/// ```
/// use baichuan2::attention::{Bias, Visibility, attend};
/// use ndarray::array;
/// let bias = Bias { visibility: Visibility::Causal { first: 0 }, alibi_slope: None };
/// let (q, v) = (array![[0.0], [0.0]], array![[2.0], [4.0]]);
/// let head = attend(q.view(), q.view(), v.view(), &bias);
/// assert_eq!(head.weights, array![[1.0, 0.0], [0.5, 0.5]]);
/// assert_eq!(head.output, array![[2.0], [3.0]]);
/// ```
///
/// # Panics
/// Where the shapes do not fit each other, or a mask does not fit them.
pub fn attend<A: NdFloat>(
    q: ArrayView2<A>,
    k: ArrayView2<A>,
    v: ArrayView2<A>,
    bias: &Bias,
) -> Head<A> {
    if let Visibility::Mask(mask) = bias.visibility {
        assert_eq!(mask.dim(), (q.nrows(), k.nrows()), "mask: [queries, keys]");
    }
    let scale = scale(q.ncols());
    let mut scores = q.dot(&k.t());
    for ((i, j), s) in scores.indexed_iter_mut() {
        *s = bias.score_of(i, j, scale, *s);
    }
    let weights = softmax(scores.view());
    debug_assert_eq!(weights.len_of(Axis(1)), v.nrows());
    let mut output = weights.dot(&v);
    if !is_finite(v) {
        // A weight of zero does not silence a value that is not finite: each query meets what it may see alone.
        for (i, mut output) in output.rows_mut().into_iter().enumerate() {
            let seen = bias.visibility.reach(&(i..i + 1), v.nrows());
            output.assign(&weights.slice(s![i, ..seen]).dot(&v.slice(s![..seen, ..])));
        }
    }
    Head {
        scores,
        weights,
        output,
    }
}
