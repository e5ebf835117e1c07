//! LoRA: the query, key and value projections move along few directions, all else stands still.
//!
//! $$ W = W_0 + \frac{\alpha}{r} B A, \qquad A \in \mathbb{R}^{r \times d}, \quad B \in \mathbb{R}^{n \times r} $$
//!
//! $W_0$ is frozen, $A$ begins random and $B$ as zeros, so that the model begins as it was. Since $W$ is a function of $A$ and $B$, their gradients
//! follow from that of $W$ by the chain rule:
//!
//! $$ \bar A = \frac{\alpha}{r} B^\top \bar W, \qquad \bar B = \frac{\alpha}{r} \bar W A^\top $$
//!
//! * Paper: Hu et al. 2021, arXiv 2106.09685, section 4.1.
//! * Shipped: `fine-tune.py --use_lora`: on `W_pack`, $r = 1$, $\alpha = 32$, and a dropout of 0.1, which is left out here.

use crate::training::{Parameters, parameters::normal};
use ndarray::{Array2, NdFloat, linalg::general_mat_mul};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The pairs $A$, $B$ of a model, and the $W_0$ that they are added to.
#[derive(Clone, Debug)]
pub struct Lora<A> {
    /// $\alpha / r$.
    scale: A,
    /// Which of the model's parameters are $W$.
    places: Vec<usize>,
    base: Vec<Array2<A>>,
    /// $A$ and $B$ of the first place, $A$ and $B$ of the next, …
    pub(super) factors: Parameters<A>,
}

/// The names of modules that get a pair: `W_pack`, or its thirds where they are apart.
pub const MODULES: [&str; 4] = ["W_pack", "q_proj", "k_proj", "v_proj"];

/// The places of those modules among the parameters.
pub(super) fn places(parameters: &[crate::dtransformer::Parameter]) -> Vec<usize> {
    let is_one = |name: &str| {
        let module = name
            .strip_suffix(".weight")
            .and_then(|m| m.rsplit('.').next());
        module.is_some_and(|module| MODULES.contains(&module))
    };
    let named = parameters.iter().enumerate();
    named
        .filter(|(_, p)| is_one(&p.name))
        .map(|(i, _)| i)
        .collect()
}

impl<A: NdFloat> Lora<A> {
    /// Pairs for a model, of which `rank` is $r$. $A$ is normal with a deviation of $1/\sqrt d$, so that $A x$ is as large as a normalized $x$.
    pub fn new(of: &Parameters<A>, rank: usize, alpha: f64, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let places = places(&of.config.parameters());
        let base: Vec<_> = places.iter().map(|&i| of.arrays[i].clone()).collect();
        let pair = |w: &Array2<A>| {
            let (n, d) = w.dim();
            let deviation = (d as f64).sqrt().recip();
            let a = Array2::from_shape_simple_fn((rank, d), || {
                A::from(deviation * normal(&mut random)).expect("a weight fits a float")
            });
            [a, Array2::zeros((n, rank))]
        };
        Lora {
            scale: A::from(alpha / rank as f64).expect("a scale fits a float"),
            factors: Parameters {
                config: of.config.clone(),
                arrays: base.iter().flat_map(pair).collect(),
            },
            places,
            base,
        }
    }

    /// The place of each $W$ among the model's parameters, with its $A$ `[r, d]` and $B$ `[n, r]`.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, &Array2<A>, &Array2<A>)> {
        let pairs = self.places.iter().zip(self.factors.arrays.as_chunks().0);
        pairs.map(|(&place, [a, b])| (place, a, b))
    }

    /// Sets each $W$ of the model to $W_0 + \frac{\alpha}{r} B A$.
    pub fn apply(&self, to: &mut Parameters<A>) {
        for ((place, a, b), base) in self.pairs().zip(&self.base) {
            let w = &mut to.arrays[place];
            w.assign(base);
            general_mat_mul(self.scale, b, a, A::one(), w);
        }
    }

    /// $\bar A$ and $\bar B$, in the order of the factors, of the whole model's gradient.
    pub fn gradient(&self, of_the_model: &Parameters<A>) -> Parameters<A> {
        let pair = |(place, a, b): (usize, &Array2<A>, &Array2<A>)| {
            let w_bar = &of_the_model.arrays[place];
            [
                b.t().dot(w_bar) * self.scale,
                w_bar.dot(&a.t()) * self.scale,
            ]
        };
        Parameters {
            config: self.factors.config.clone(),
            arrays: self.pairs().flat_map(pair).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dtransformer::{Config, Position},
        training::backward::{self, Batch, slope},
    };
    use proptest::prelude::*;

    /// A small model, `W_pack` or apart, and a batch.
    fn model(packed: bool, seed: u64) -> (Parameters<f64>, Batch) {
        let config = Config {
            vocab_size: 6,
            hidden_size: 6,
            intermediate_size: 5,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            num_key_value_heads: if packed { 2 } else { 1 },
            head_dim: 4,
            position: Position::Rope { base: 1e4 },
            packed_qkv: packed,
            ..Config::baichuan2_7b()
        };
        let batch = Batch {
            tokens: 4,
            ids: vec![1, 5, 2, 3, 4, 0, 1, 1],
            targets: [5, 2, 3, 4, 0, 1, 1, 3].map(Some).to_vec(),
        };
        (Parameters::random(&config, 0.8, seed), batch)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

        /// Catches: a factor α/r forgotten in a gradient or in W; A and B exchanged; a gradient of one place given to another.
        #[test]
        fn the_gradient_of_the_factors_is_the_slope_of_the_loss(packed: bool, rank in 1..4_usize, seed: u64) {
            let (mut p, batch) = model(packed, seed);
            let mut lora = Lora::new(&p, rank, 1.7, seed);
            // B begins as zeros, where A has no gradient; a little further on, both have one.
            let another = Parameters::<f64>::random(&p.config, 0.3, seed ^ 1);
            for (b, other) in lora.factors.arrays.iter_mut().skip(1).step_by(2).zip(&another.arrays[..]) {
                let mut numbers = other.iter().cycle();
                b.mapv_inplace(|_| *numbers.next().unwrap());
            }
            lora.apply(&mut p);
            let mut gradient = Parameters::zeros(&p.config);
            backward::loss_and_gradient(&p, &batch, 0.0, batch.counted(), &mut gradient);
            let gradient = lora.gradient(&gradient);
            let each = if packed { 1 } else { 3 };
            prop_assert_eq!(gradient.arrays.len(), 2 * 2 * each);
            for i in 0..gradient.arrays.len() {
                let slope = slope::of(&lora.factors.arrays[i], |array| {
                    let (mut lora, mut p) = (lora.clone(), p.clone());
                    lora.factors.arrays[i] = array.clone();
                    lora.apply(&mut p);
                    backward::loss(&p, &batch, 0.0).total()
                });
                let error = slope::relative_error(&gradient.arrays[i], &slope);
                prop_assert!(error < 1e-6, "factor {i}: {error}");
                prop_assert!(slope.iter().any(|s| s.abs() > 1e-9), "factor {i} is not used");
            }
        }
    }

    /// Catches: B that begins random, A that begins as zeros (nothing would ever be learned); another seed that gives the same A.
    #[test]
    fn the_model_begins_as_it_was() {
        let (p, _) = model(true, 3);
        let lora = Lora::new(&p, 2, 32.0, 1);
        let mut applied = p.clone();
        lora.apply(&mut applied);
        assert_eq!(applied, p);
        for (_, a, b) in lora.pairs() {
            assert!(a.iter().all(|x| *x != 0.0) && b.iter().all(|x| *x == 0.0));
        }
        assert_ne!(Lora::new(&p, 2, 32.0, 2).factors, lora.factors);
    }
}
