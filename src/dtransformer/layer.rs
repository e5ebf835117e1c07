//! One layer of the decoder: attention and the feed-forward network, each on a normalized copy of the stream and added back to it.

use super::{Config, Error, Parameter, ParameterSource, matrix, norm};
use crate::{
    attention::{
        CacheOverflow, GroupedQueryAttention, LayerCache, Projection, grouped_query::Positions,
    },
    probe::{LayerProbe, LayerSite},
    rms_norm::RmsNorm,
    swiglu::SwiGlu,
    tensor::LinearMap,
};
use ndarray::{Array2, NdFloat};

/// `DecoderLayer` of the shipped code.
#[derive(Clone, Debug)]
pub struct Layer<A, M> {
    input_layernorm: RmsNorm<A>,
    self_attn: GroupedQueryAttention<M>,
    post_attention_layernorm: RmsNorm<A>,
    mlp: SwiGlu<M>,
}

impl<A: NdFloat, M: LinearMap<A>> Layer<A, M> {
    /// Takes the next parameters of `source`, in the order of [`Config::parameters`].
    pub(super) fn new<S>(
        config: &Config,
        source: &mut S,
        mut next: impl FnMut() -> Parameter,
    ) -> Result<Self, S::Error>
    where
        S: ParameterSource<A, Matrix = M>,
    {
        let input_layernorm = norm(config, source, &next())?;
        let projection = if config.packed_qkv {
            Projection::Packed(matrix(source, &next())?)
        } else {
            Projection::Separate {
                query: matrix(source, &next())?,
                key: matrix(source, &next())?,
                value: matrix(source, &next())?,
            }
        };
        let self_attn = GroupedQueryAttention::new(
            projection,
            matrix(source, &next())?,
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        )
        .map_err(Error::from)?;
        Ok(Layer {
            input_layernorm,
            self_attn,
            post_attention_layernorm: norm(config, source, &next())?,
            mlp: SwiGlu {
                gate: matrix(source, &next())?,
                up: matrix(source, &next())?,
                down: matrix(source, &next())?,
            },
        })
    }

    /// Its attention.
    pub fn self_attn(&self) -> &GroupedQueryAttention<M> {
        &self.self_attn
    }

    /// Takes the stream `x: [tokens, d]` through the layer, in place.
    ///
    /// # Errors
    /// Keys or values that the cache's format cannot hold.
    pub fn forward(
        &self,
        x: &mut Array2<A>,
        positions: &Positions<A>,
        cache: &mut LayerCache<A>,
        probe: &mut LayerProbe<A>,
    ) -> Result<(), CacheOverflow> {
        let mut normed = self.input_layernorm.forward(x.view());
        probe.pass_on(LayerSite::InputLayernorm, &mut normed);
        *x += &self
            .self_attn
            .forward(normed.view(), positions, cache, probe)?;
        let mut normed = self.post_attention_layernorm.forward(x.view());
        probe.pass_on(LayerSite::PostAttentionLayernorm, &mut normed);
        *x += &self.mlp.forward(normed.view(), probe);
        probe.pass_on(LayerSite::Out, x);
        Ok(())
    }
}
