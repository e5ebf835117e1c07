//! All parameters of a decoder as one vector of arrays: what an optimizer moves, and what a gradient has the shape of.

use crate::{
    attention::Projection,
    checkpoint::{Checkpoint, Item},
    dtransformer::{Config, DTransformer, Error, Parameter, ParameterSource},
    swiglu::SwiGlu,
    tensor::ShapeError,
};
use ndarray::{Array1, Array2, ArrayView1, Axis, NdFloat};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// One array for each of [`Config::parameters`], in that order; a norm is a matrix of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters<A> {
    /// The decoder that they are of.
    pub config: Config,
    /// In the order of [`Config::parameters`].
    pub arrays: Vec<Array2<A>>,
}

/// The parameters of one layer.
pub struct LayerParameters<'p, A> {
    /// γ before attention, `[d]`.
    pub input_layernorm: ArrayView1<'p, A>,
    /// Where queries, keys and values come from.
    pub projection: Projection<&'p Array2<A>>,
    /// The output map of attention.
    pub o_proj: &'p Array2<A>,
    /// γ before the feed-forward layer, `[d]`.
    pub post_attention_layernorm: ArrayView1<'p, A>,
    /// The feed-forward layer.
    pub mlp: SwiGlu<&'p Array2<A>>,
}

impl<A: NdFloat> Parameters<A> {
    /// Zeros, to sum a gradient up in.
    pub fn zeros(config: &Config) -> Self {
        let arrays = config
            .parameters()
            .iter()
            .map(|p| Array2::zeros(rows_and_columns(p)))
            .collect();
        Parameters {
            config: config.clone(),
            arrays,
        }
    }

    /// A model before training: matrices normal with standard deviation `initializer_range`, norms 1. The same seed gives the same numbers.
    ///
    /// The maps that add to the stream (`o_proj`, `down_proj`) are made smaller by $\sqrt{2L}$, so that the stream starts out no larger
    /// in a deeper model (Radford et al. 2019, section 2.3).
    pub fn random(config: &Config, initializer_range: f64, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let residual = 1.0 / (2.0 * config.num_hidden_layers as f64).sqrt();
        let array = |p: &Parameter| {
            if p.shape.len() == 1 {
                return Array2::ones(rows_and_columns(p));
            }
            let adds_to_stream = p.name.contains("o_proj") || p.name.contains("down_proj");
            let deviation = initializer_range * if adds_to_stream { residual } else { 1.0 };
            Array2::from_shape_simple_fn(rows_and_columns(p), || {
                A::from(deviation * normal(&mut random)).expect("a weight fits a float")
            })
        };
        Parameters {
            config: config.clone(),
            arrays: config.parameters().iter().map(array).collect(),
        }
    }

    /// Name and array of each.
    pub fn named(&self) -> impl Iterator<Item = (Parameter, &Array2<A>)> {
        self.config.parameters().into_iter().zip(&self.arrays)
    }

    /// The token embedding, `[vocab, d]`.
    pub fn embed_tokens(&self) -> &Array2<A> {
        &self.arrays[0]
    }

    /// The place of the first array of layer `i`, and how many arrays a layer has.
    fn layer_at(&self, i: usize) -> (usize, usize) {
        let of_a_layer = if self.config.packed_qkv { 7 } else { 9 };
        (1 + i * of_a_layer, of_a_layer)
    }

    /// The parameters of layer `i`.
    pub fn layer(&self, i: usize) -> LayerParameters<'_, A> {
        let (at, of_a_layer) = self.layer_at(i);
        let arrays = &self.arrays[at..at + of_a_layer];
        let (projection, rest) = if self.config.packed_qkv {
            (Projection::Packed(&arrays[1]), &arrays[2..])
        } else {
            let [query, key, value] = [&arrays[1], &arrays[2], &arrays[3]];
            (Projection::Separate { query, key, value }, &arrays[4..])
        };
        LayerParameters {
            input_layernorm: arrays[0].row(0),
            projection,
            o_proj: &rest[0],
            post_attention_layernorm: rest[1].row(0),
            mlp: SwiGlu {
                gate: &rest[2],
                up: &rest[3],
                down: &rest[4],
            },
        }
    }

    /// The arrays of layer `i`, to add gradients to: the norm, the projection (one or three), `o_proj`, the norm, gate, up, down.
    pub(crate) fn layer_mut(&mut self, i: usize) -> &mut [Array2<A>] {
        let (at, of_a_layer) = self.layer_at(i);
        &mut self.arrays[at..at + of_a_layer]
    }

    /// The place of the last norm.
    pub(crate) fn norm_at(&self) -> usize {
        self.layer_at(self.config.num_hidden_layers).0
    }

    /// The place of the output matrix: behind the last norm, or the embedding where they are tied.
    pub(crate) fn head_at(&self) -> usize {
        if self.config.tie_word_embeddings {
            0
        } else {
            self.norm_at() + 1
        }
    }

    /// The Euclidean norm of all numbers together.
    pub fn norm(&self) -> f64 {
        let square = |array: &Array2<A>| {
            array
                .iter()
                .map(|x| x.to_f64().expect("a float"))
                .map(|x| x * x)
                .sum::<f64>()
        };
        self.arrays.iter().map(square).sum::<f64>().sqrt()
    }

    /// Adds another's numbers.
    pub fn add(&mut self, other: &Parameters<A>) {
        for (a, b) in self.arrays.iter_mut().zip(&other.arrays) {
            *a += b;
        }
    }

    /// Multiplies all numbers.
    pub fn scale(&mut self, by: A) {
        for array in &mut self.arrays {
            array.mapv_inplace(|x| x * by);
        }
    }

    /// The decoder as shipped, of these parameters.
    pub fn decoder(&self) -> Result<DTransformer<A, Array2<A>>, Error> {
        DTransformer::new(self.config.clone(), &mut Copies(self.arrays.iter()))
    }
}

impl Parameters<f32> {
    /// Those of a checkpoint, widened to f32.
    ///
    /// # Errors
    /// None is expected: a checkpoint that was opened has all of its parameters in their shapes.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self, ShapeError> {
        let array = |item: Item<'_>| match item.tensor.shape() {
            [_] => Ok(item.tensor.to_vector(item.name)?.insert_axis(Axis(0))),
            _ => item.tensor.to_matrix(item.name),
        };
        Ok(Parameters {
            config: checkpoint.config.clone(),
            arrays: checkpoint.iter().map(array).collect::<Result<_, _>>()?,
        })
    }
}

/// The arrays one after the other, in the order in which a decoder asks for them.
struct Copies<'p, A>(std::slice::Iter<'p, Array2<A>>);

impl<A: NdFloat> ParameterSource<A> for Copies<'_, A> {
    type Matrix = Array2<A>;
    type Error = Error;

    fn matrix(&mut self, _: &Parameter) -> Result<Array2<A>, Error> {
        Ok(self
            .0
            .next()
            .expect("as many arrays as the configuration lists")
            .clone())
    }

    fn vector(&mut self, p: &Parameter) -> Result<Array1<A>, Error> {
        Ok(self.matrix(p)?.row(0).to_owned())
    }
}

fn rows_and_columns(p: &Parameter) -> (usize, usize) {
    match p.shape.as_slice() {
        [rows, columns] => (*rows, *columns),
        shape => (1, shape.iter().product()),
    }
}

/// A standard normal number (Box and Muller 1958).
pub(super) fn normal(random: &mut ChaCha8Rng) -> f64 {
    use rand::RngExt;
    let (u, v): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
