//! The gated feed-forward layer.
//!
//! $$ \mathrm{Swish}\_\beta(x) = x \sigma(\beta x) = \frac{x}{1 + e^{-\beta x}}, \qquad
//!    \mathrm{SwiGLU}(x) = \mathrm{Swish}\_\beta(x W + b) \otimes (x V + c) $$
//!
//! * Page: *SwiGLU*, the formula of its overview.
//! * Paper: Shazeer 2020, arXiv 2002.05202, equations 5 and 6.
//! * Shipped: `MLP` in `modeling_baichuan.py`: `down_proj(silu(gate_proj(x)) * up_proj(x))`, β = 1, no biases.
//!
//! # As printed, as shipped
//!
//! The page's *DTransformer* (step 4) writes $W_{mlp2} \mathrm{SwiGLU}(W_{mlp1} X + b_1) + b_2$, one map before SwiGLU and one after. But SwiGLU holds two maps
//! itself, and no checkpoint has a fourth: the shipped layer is $(\mathrm{SiLU}(X G^\top) \odot X U^\top) D^\top$. Three matrices in place of two
//! is why its width is not $4d$ but $\tfrac83 d$, rounded up to a multiple of 128 ([`ffn_width`]).

use crate::{
    probe::{LayerProbe, LayerSite},
    tensor::{LinearMap, exp_in_place, threads},
};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, NdFloat, Zip};

/// The parameters of the page's SwiGLU.
#[derive(Clone, Debug)]
pub struct SwiGluParameters<A> {
    /// $W$, the gate, stored `[d_mlp, d]`.
    pub w: Array2<A>,
    /// $V$, what is gated, stored `[d_mlp, d]`.
    pub v: Array2<A>,
    /// Bias of the gate, `[d_mlp]`.
    pub b: Array1<A>,
    /// Bias of what is gated, `[d_mlp]`.
    pub c: Array1<A>,
    /// β of Swish: 1 is SiLU, 0 half the identity, ∞ ReLU.
    pub beta: A,
}

/// The page's SwiGLU of one token. `x: [d]`. Returns `[d_mlp]`.
///
/// ```
/// use baichuan2::swiglu::{SwiGluParameters, swiglu_formal};
/// use ndarray::array;
/// let p = SwiGluParameters {
///     w: array![[1.0]], v: array![[3.0]], b: array![0.0], c: array![1.0], beta: 0.0,
/// };
/// assert_eq!(swiglu_formal(array![2.0].view(), &p), array![2.0 / 2.0 * 7.0]);
/// ```
pub fn swiglu_formal<A: NdFloat>(x: ArrayView1<A>, p: &SwiGluParameters<A>) -> Array1<A> {
    let swish = |x: A| x * (A::one() / (A::one() + (-p.beta * x).exp())); // x · σ(βx)
    (p.w.dot(&x) + &p.b).mapv(swish) * (p.v.dot(&x) + &p.c)
}

/// The feed-forward layer as shipped, for every token of a sequence.
///
/// ```
/// use baichuan2::{probe::LayerProbe, swiglu::SwiGlu};
/// use ndarray::array;
/// let ffn = SwiGlu { gate: array![[1.0]], up: array![[2.0]], down: array![[3.0]] };
/// let y = ffn.forward(array![[1.0]].view(), &mut LayerProbe::none());
/// assert_eq!(y, array![[1.0 / (1.0 + f64::exp(-1.0)) * 2.0 * 3.0]]);
/// ```
#[derive(Clone, Debug)]
pub struct SwiGlu<M> {
    /// $G$, `[d_mlp, d]`.
    pub gate: M,
    /// $U$, `[d_mlp, d]`.
    pub up: M,
    /// $D$, `[d, d_mlp]`.
    pub down: M,
}

impl<M> SwiGlu<M> {
    /// $(\mathrm{SiLU}(X G^\top) \odot X U^\top) D^\top$. `x: [tokens, d]`. Returns `[tokens, d]`.
    ///
    /// # Panics
    /// Where the shapes of `x` and the maps do not chain.
    pub fn forward<A: NdFloat>(&self, x: ArrayView2<A>, probe: &mut LayerProbe<A>) -> Array2<A>
    where
        M: LinearMap<A>,
    {
        let mut gated = self.gate.apply(x);
        probe.pass_on(LayerSite::GateProj, &mut gated);
        let mut up = self.up.apply(x);
        probe.pass_on(LayerSite::UpProj, &mut up);
        silu_times(&mut gated, up.view());
        let mut y = self.down.apply(gated.view());
        probe.pass_on(LayerSite::Mlp, &mut y);
        y
    }
}

/// $g \leftarrow \mathrm{SiLU}(g) \cdot u$, element by element: $g u / (1 + e^{-g})$.
fn silu_times<A: NdFloat>(gated: &mut Array2<A>, up: ArrayView2<A>) {
    // An exponential takes the time of reading some thirty bytes.
    let (tokens, width) = gated.dim();
    let rows = threads::share(tokens, 32 * width);
    threads::for_each_chunk(gated.view_mut(), Axis(0), rows, |first, mut gated| {
        let mut e = vec![A::zero(); gated.ncols()];
        for (mut gated, up) in gated
            .rows_mut()
            .into_iter()
            .zip(up.rows().into_iter().skip(first))
        {
            e.iter_mut().zip(&gated).for_each(|(e, &g)| *e = -g);
            exp_in_place(&mut e);
            Zip::from(&mut gated)
                .and(&up)
                .and(&e)
                .for_each(|g, &u, &e| *g = *g / (A::one() + e) * u);
        }
    });
}

/// The width that the recipe gives a model of width `d`: 8/3 · d, rounded up to a multiple of 128.
///
/// ```
/// use baichuan2::swiglu::ffn_width;
/// assert_eq!([ffn_width(4096), ffn_width(5120)], [11008, 13696]);
/// ```
pub fn ffn_width(d: usize) -> usize {
    (8 * d).div_ceil(3).next_multiple_of(128)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{largest_difference, matrix, vector};
    use proptest::prelude::*;

    /// Input, gate, up and down of random shapes.
    fn layer() -> impl Strategy<Value = (Array2<f64>, SwiGlu<Array2<f64>>)> {
        (1..7_usize, 1..9_usize, 1..17_usize).prop_flat_map(|(tokens, d, width)| {
            (
                matrix(tokens, d),
                matrix(width, d),
                matrix(width, d),
                matrix(d, width),
            )
                .prop_map(|(x, gate, up, down)| (x, SwiGlu { gate, up, down }))
        })
    }

    proptest! {
        /// Catches: gate and up exchanged; SiLU on the wrong one, or after the product; a transposed map.
        #[test]
        fn shipped_is_the_page_with_beta_one_and_no_biases((x, ffn) in layer()) {
            let width = ffn.gate.nrows();
            let p = SwiGluParameters {
                w: ffn.gate.clone(), v: ffn.up.clone(),
                b: Array1::zeros(width), c: Array1::zeros(width), beta: 1.0,
            };
            let y = ffn.forward(x.view(), &mut LayerProbe::none());
            prop_assert_eq!(y.dim(), x.dim());
            for (x, y) in x.rows().into_iter().zip(y.rows()) {
                let page = ffn.down.dot(&swiglu_formal(x, &p));
                prop_assert!(largest_difference(&page, &y.to_owned()) < 1e-9);
            }
        }

        /// β and both biases. Catches: a β outside the sigmoid; a bias left out or added after the gate.
        #[test]
        fn swish_runs_from_half_the_identity_to_relu(x in vector(3), b in vector(2), c in vector(2), w in matrix(2, 3), v in matrix(2, 3)) {
            let at = |beta| swiglu_formal(x.view(), &SwiGluParameters { w: w.clone(), v: v.clone(), b: b.clone(), c: c.clone(), beta });
            let (gate, up) = (w.dot(&x) + &b, v.dot(&x) + &c);
            prop_assert!(largest_difference(&at(0.0), &(&gate / 2.0 * &up)) < 1e-12);
            prop_assume!(gate.iter().all(|g| g.abs() > 0.01));
            prop_assert!(largest_difference(&at(1e5), &(gate.mapv(|g| g.max(0.0)) * &up)) < 1e-9);
        }
    }

    /// Catches: SiLU as x·e^x/(1+e^x), which overflows.
    #[test]
    fn large_inputs_stay_finite() {
        let one = || ndarray::array![[1.0_f32]];
        let ffn = SwiGlu {
            gate: one(),
            up: one(),
            down: one(),
        };
        let y = ffn.forward(
            ndarray::array![[1e4], [-1e4]].view(),
            &mut LayerProbe::none(),
        );
        assert_eq!(y, ndarray::array![[1e8], [0.0]]);
    }

    /// The report's sizes, and one that is a multiple already. Catches: a width rounded down, or to another multiple.
    #[test]
    fn the_width_is_the_recipes() {
        assert_eq!([4096, 5120, 96].map(ffn_width), [11_008, 13_696, 256]);
    }
}
