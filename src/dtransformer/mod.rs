//! The decoder as a whole: token ids in, a distribution over the next token out.
//!
//! $$ X_0 = W_e[\mathrm{ids}], \quad
//!    X' = X + \mathrm{Attention}(\mathrm{RMSNorm}(X)), \quad
//!    X \leftarrow X' + \mathrm{SwiGLU}(\mathrm{RMSNorm}(X')), \quad
//!    P = \mathrm{softmax}(\mathrm{NormHead}(\mathrm{RMSNorm}(X_L))) $$
//!
//! * Page: *Algorithm: DTransformer*; here [`dtransformer_formal`], and as shipped [`DTransformer`].
//! * Paper: Phuong and Hutter 2022, arXiv 2207.09238, algorithm 10; Baichuan 2, arXiv 2309.10305, section 2.
//! * Shipped: `BaichuanForCausalLM` in `modeling_baichuan.py` of each size.
//!
//! # As printed, as shipped
//!
//! * Step 2 adds a column of $W_p$ to each embedding. Neither size has such a matrix: RoPE turns queries and keys inside attention, ALiBi biases scores.
//! * Step 4 writes the normalized $X$ back over $X$ before adding to it, so that every block starts from a normalized stream and the residual is lost.
//!   The norm feeds the block alone: the test `the_printed_norm_overwrites_the_stream`.
//! * Step 4 puts one more map before SwiGLU: see [`swiglu`](crate::swiglu). Offsets β and biases are in no checkpoint. Step 6 has no NormHead.

mod config;
mod error;
mod formal;
mod layer;

pub use config::{Config, ConfigError, Parameter, Position};
pub use error::Error;
pub use formal::dtransformer_formal;
pub use layer::Layer;

use crate::{
    alibi,
    attention::{CacheFormat, KeyValueCache, grouped_query::Positions},
    probe::{AnyProbe, LayerProbe, Probe, Site, pass_on},
    rms_norm::RmsNorm,
    rope::Rotation,
    tensor::{LinearMap, StoredTensor, expect_shape, softmax, threads},
    unembedding::Unembedding,
};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, NdFloat, s};

/// Where a decoder's parameters come from: a checkpoint, or a random number generator.
pub trait ParameterSource<A> {
    /// How matrices are held.
    type Matrix: LinearMap<A>;
    /// What can go wrong on the way.
    type Error: From<Error>;

    /// A matrix of `parameter.shape`, `[out, in]`.
    fn matrix(&mut self, parameter: &Parameter) -> Result<Self::Matrix, Self::Error>;

    /// A vector of `parameter.shape`, `[d]`.
    fn vector(&mut self, parameter: &Parameter) -> Result<Array1<A>, Self::Error>;
}

/// The decoder over weights as stored: what runs a checkpoint.
pub type Decoder = DTransformer<f32, StoredTensor>;

/// The decoder as shipped, in the float `A`, its matrices held as `M`.
#[derive(Clone, Debug)]
pub struct DTransformer<A, M> {
    config: Config,
    embed_tokens: M,
    layers: Vec<Layer<A, M>>,
    norm: RmsNorm<A>,
    unembedding: Unembedding<A, M>,
}

impl<A: NdFloat, M: LinearMap<A> + Clone> DTransformer<A, M> {
    /// Builds the decoder of `config`, asking `source` for each of [`Config::parameters`] in turn.
    ///
    /// # Errors
    /// Hyperparameters that no decoder can have, a parameter of another shape, or whatever `source` could not do.
    pub fn new<S>(config: Config, source: &mut S) -> Result<Self, S::Error>
    where
        S: ParameterSource<A, Matrix = M>,
    {
        config.validate().map_err(Error::from)?;
        let mut parameters = config.parameters().into_iter();
        let mut next = || {
            parameters
                .next()
                .expect("as many parameters as the configuration lists")
        };
        let embed_tokens = matrix(source, &next())?;
        let mut layers = Vec::new();
        for _ in 0..config.num_hidden_layers {
            layers.push(Layer::new(&config, source, &mut next)?);
        }
        let norm = norm(&config, source, &next())?;
        let head = if config.tie_word_embeddings {
            embed_tokens.clone()
        } else {
            matrix(source, &next())?
        };
        let unembedding = Unembedding::new(head, config.norm_head);
        Ok(DTransformer {
            config,
            embed_tokens,
            layers,
            norm,
            unembedding,
        })
    }

    /// Its hyperparameters.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its layers, the first one first.
    pub fn layers(&self) -> &[Layer<A, M>] {
        &self.layers
    }

    /// The norm before the logits.
    pub fn norm(&self) -> &RmsNorm<A> {
        &self.norm
    }

    /// The map from the stream to logits.
    pub fn unembedding(&self) -> &Unembedding<A, M> {
        &self.unembedding
    }

    /// An empty cache that may grow to the context the model was trained on.
    pub fn new_cache(&self) -> KeyValueCache<A> {
        self.new_cache_of(self.config.context)
    }

    /// An empty cache that may grow to `tokens`: beyond the trained context a model runs, but no longer on what it has learned.
    pub fn new_cache_of(&self, tokens: usize) -> KeyValueCache<A> {
        self.new_cache_in(CacheFormat::Full, tokens)
    }

    /// The same, its keys and values kept in `format`.
    pub fn new_cache_in(&self, format: CacheFormat, tokens: usize) -> KeyValueCache<A> {
        let c = &self.config;
        KeyValueCache::new(
            format,
            c.num_hidden_layers,
            c.num_key_value_heads,
            c.head_dim,
            tokens,
        )
    }

    /// Logits after each of `ids`, which follow what `cache` holds. Returns `[tokens, vocab]`.
    ///
    /// # Errors
    /// No ids, an id outside the vocabulary, more tokens than the cache may hold, logits that are not finite, keys or values beyond what the cache's
    /// format holds, a probe that [stops](Probe::stop) the pass. The cache is then as before.
    ///
    /// # Panics
    /// Where `cache` was made for a decoder of other sizes.
    pub fn forward(
        &self,
        ids: &[u32],
        cache: &mut KeyValueCache<A>,
        probe: Option<&mut dyn Probe<A>>,
    ) -> Result<Array2<A>, Error> {
        self.pass(ids, cache, probe, 0)
    }

    /// Logits after the last of `ids` alone: all that generation needs, without the `tokens × vocab` numbers of the others. Returns `[vocab]`.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_last(
        &self,
        ids: &[u32],
        cache: &mut KeyValueCache<A>,
        probe: Option<&mut dyn Probe<A>>,
    ) -> Result<Array1<A>, Error> {
        let logits = self.pass(ids, cache, probe, ids.len().saturating_sub(1))?;
        Ok(logits.index_axis_move(Axis(0), 0))
    }

    /// The page's $P$: row $t$ is the distribution over the token after `ids[..=t]`. Returns `[tokens, vocab]`.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn probabilities(&self, ids: &[u32]) -> Result<Array2<A>, Error> {
        let logits = self.forward(ids, &mut self.new_cache(), None)?;
        Ok(softmax(logits.view()))
    }

    fn pass(
        &self,
        ids: &[u32],
        cache: &mut KeyValueCache<A>,
        probe: Option<&mut dyn Probe<A>>,
        first_logits: usize,
    ) -> Result<Array2<A>, Error> {
        assert_eq!(
            cache.layers.len(),
            self.layers.len(),
            "a cache of another decoder"
        );
        self.check(ids, cache)?;
        let held = cache.len();
        let logits = match probe {
            None => threads::inside(|| self.logits(ids, cache, &mut None, first_logits)),
            watched => self.logits(ids, cache, &mut { watched }, first_logits),
        };
        if logits.is_err() {
            cache.truncate(held);
        }
        logits
    }

    fn logits(
        &self,
        ids: &[u32],
        cache: &mut KeyValueCache<A>,
        probe: &mut AnyProbe<A>,
        first_logits: usize,
    ) -> Result<Array2<A>, Error> {
        let held = cache.len();
        let x = self.stream(ids, cache, probe)?;
        let mut logits = self.unembedding.logits(x.slice(s![first_logits.., ..]));
        pass_on(probe, Site::Logits, &mut logits);
        let Some(row) = first_not_finite(logits.view()) else {
            return Ok(logits);
        };
        // Where it was an earlier token that broke, its row of the stream tells, also where only the last was asked for logits.
        let row = first_logits + row;
        let position = held + first_not_finite(x.view()).map_or(row, |broken| broken.min(row));
        Err(Error::NotFinite { position })
    }

    fn check(&self, ids: &[u32], cache: &KeyValueCache<A>) -> Result<(), Error> {
        let vocab_size = self.config.vocab_size;
        if ids.is_empty() {
            return Err(Error::NoTokens);
        }
        if let Some(position) = ids.iter().position(|&id| id as usize >= vocab_size) {
            return Err(Error::NoSuchToken {
                id: ids[position],
                position,
                vocab_size,
            });
        }
        let (held, new, limit) = (cache.len(), ids.len(), cache.limit);
        if held + new > limit {
            return Err(Error::ContextFull { held, new, limit });
        }
        Ok(())
    }

    /// The residual stream through all layers and the last norm, `[tokens, d]`.
    fn stream(
        &self,
        ids: &[u32],
        cache: &mut KeyValueCache<A>,
        probe: &mut AnyProbe<A>,
    ) -> Result<Array2<A>, Error> {
        let go_on = |probe: &AnyProbe<A>| match probe {
            Some(probe) if probe.stop() => Err(Error::Stopped),
            _ => Ok(()),
        };
        let mut x = self.embed(ids);
        pass_on(probe, Site::Embed, &mut x);
        let positions = self.positions(cache.len(), ids.len());
        for (i, (layer, cache)) in self.layers.iter().zip(&mut cache.layers).enumerate() {
            go_on(probe)?;
            // A reborrow for the length of the layer.
            let probe = probe
                .as_mut()
                .map(|probe| &mut **probe as &mut dyn Probe<A>);
            layer
                .forward(&mut x, &positions, cache, &mut LayerProbe::new(probe, i))
                .map_err(|overflow| Error::CacheOverflow { layer: i, overflow })?;
        }
        go_on(probe)?; // logits cost as much as a layer or more
        let mut x = self.norm.forward(x.view());
        pass_on(probe, Site::FinalNorm, &mut x);
        Ok(x)
    }

    /// The embedding of each id, `[tokens, d]`.
    fn embed(&self, ids: &[u32]) -> Array2<A> {
        let mut x = Array2::zeros((ids.len(), self.config.hidden_size));
        for (&id, row) in ids.iter().zip(x.rows_mut()) {
            self.embed_tokens.copy_row(id as usize, row);
        }
        x
    }

    fn positions(&self, first: usize, tokens: usize) -> Positions<A> {
        let c = &self.config;
        match c.position {
            Position::Rope { base } => {
                Positions::Rotated(Rotation::new(c.head_dim, base, first, tokens))
            }
            Position::Alibi => Positions::Biased(alibi::slopes(c.num_attention_heads)),
        }
    }

    /// Logits of a stream that was seen after some layer, as if that layer were the last: the logit lens. `x: [tokens, d]`. Returns `[tokens, vocab]`.
    ///
    /// ```
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny7b");
    /// use baichuan2::{checkpoint::Checkpoint, probe::{LayerSite, Site, Trace}};
    ///
    /// let decoder = Checkpoint::open(folder)?.decoder()?;
    /// let mut trace = Trace::of(|site| matches!(site, Site::Layer(_, LayerSite::Out)));
    /// decoder.forward(&[126, 301, 282], &mut decoder.new_cache(), Some(&mut trace))?;
    /// for out in trace.values.into_values() {
    ///     assert_eq!(decoder.logit_lens(out.view().into_dimensionality()?).dim(), (3, 320));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn logit_lens(&self, x: ArrayView2<A>) -> Array2<A> {
        self.unembedding.logits(self.norm.forward(x).view())
    }
}

/// The first row that holds NaN or infinity.
fn first_not_finite<A: NdFloat>(rows: ArrayView2<A>) -> Option<usize> {
    let broken = |row: ArrayView1<A>| row.iter().any(|x| !x.is_finite());
    rows.rows().into_iter().position(broken)
}

fn matrix<A, S: ParameterSource<A>>(source: &mut S, p: &Parameter) -> Result<S::Matrix, S::Error> {
    let matrix = source.matrix(p)?;
    expect_shape(&p.name, &p.shape, &matrix.out_in()).map_err(Error::from)?;
    Ok(matrix)
}

fn norm<A: NdFloat, S: ParameterSource<A>>(
    config: &Config,
    source: &mut S,
    p: &Parameter,
) -> Result<RmsNorm<A>, S::Error> {
    let gamma = source.vector(p)?;
    expect_shape(&p.name, &p.shape, gamma.shape()).map_err(Error::from)?;
    let eps = A::from(config.rms_norm_eps).expect("ε fits a float");
    Ok(RmsNorm { gamma, eps })
}

#[cfg(test)]
mod tests;
