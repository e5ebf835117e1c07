//! What each block adds to the logit of a token: direct logit attribution.
//!
//! The stream is a sum: the embedding, and what each attention and each feed-forward layer added to it. The last norm divides it by one number; with that
//! number held as it is, the logit of token $t$ is linear in the stream, and so a sum of shares too:
//!
//! $$ x_L = e + \sum_{l} (a_l + f_l), \qquad
//!    \mathrm{logit}\_t = x_L \cdot r_t = e \cdot r_t + \sum_l (a_l \cdot r_t + f_l \cdot r_t), \qquad
//!    r_t = \frac{\gamma \odot w_t}{\mathrm{RMS}(x_L)} $$
//!
//! with $w_t$ the row of the output matrix, normalized where NormHead is on. What attention adds is a sum as well, over its heads:
//! $a_l = \sum_h C_h W_o^{(h)\top}$.
//!
//! * Source: Elhage et al. 2021, *A Mathematical Framework for Transformer Circuits*, the residual stream as a sum and *direct path* logits; Wang et al. 2022,
//!   arXiv 2211.00593, section 3.1 (heads that write in the direction of a logit), which freezes the norm likewise.
//!
//! A share is what a block adds *directly*. What later blocks made of it is counted as theirs.

use crate::{
    dtransformer::DTransformer,
    probe::{LayerSite, Site, Trace},
    tensor::{LinearMap, ShapeError, expect_shape},
};
use ndarray::{Array1, ArrayView1, Axis, NdFloat, s};
use thiserror::Error;

/// A logit that cannot be attributed.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum AttributionError {
    /// The trace has not kept what is needed.
    #[error("the trace has no {0}, which the attribution is made of")]
    NotSeen(Site),
    /// The trace is of fewer tokens.
    #[error("there is no token {row} in a pass of {rows}")]
    NoSuchRow {
        /// The token, counted from the first of the pass.
        row: usize,
        /// Tokens of the pass.
        rows: usize,
    },
    /// An id that is not in the vocabulary.
    #[error("token id {id} is outside the vocabulary of {vocab_size} ids")]
    NoSuchToken {
        /// The id.
        id: u32,
        /// Ids run below this.
        vocab_size: usize,
    },
    /// The trace is of another decoder.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// The shares of a logit. They sum to it, if no probe [edited](crate::probe::Probe::edits) the stream itself (`out`).
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny7b");
/// use baichuan2::{attribution::Attribution, checkpoint::Checkpoint, probe::Trace};
///
/// let decoder = Checkpoint::open(folder)?.decoder()?;
/// let mut trace = Trace::of(Attribution::<f32>::wants);
/// let logits = decoder.forward(&[126, 301, 282], &mut decoder.new_cache(), Some(&mut trace))?;
/// let shares = Attribution::of(&decoder, &trace, 2, 17)?; // of id 17, after the last token
/// assert!((shares.logit - logits[[2, 17]]).abs() < 1e-5);
/// assert!((shares.embed + shares.self_attn.sum() + shares.mlp.sum() - shares.logit).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution<A> {
    /// Of the token's embedding.
    pub embed: A,
    /// Of each layer's attention, `[layers]`.
    pub self_attn: Array1<A>,
    /// Of each layer's feed-forward network, `[layers]`.
    pub mlp: Array1<A>,
    /// The logit.
    pub logit: A,
}

impl<A: NdFloat> Attribution<A> {
    /// The places that a trace must keep: [`of`](Self::of) needs all of them but `attn_concat`, which is for [`of_heads`].
    pub fn wants(site: Site) -> bool {
        use LayerSite::{AttnConcat, Mlp, Out, SelfAttn};
        matches!(
            site,
            Site::Embed | Site::Layer(_, AttnConcat | SelfAttn | Mlp | Out)
        )
    }

    /// The shares in the logit of `id` after the token `row` of the pass that `trace` has seen.
    ///
    /// # Errors
    /// See [`AttributionError`].
    pub fn of<M: LinearMap<A> + Clone>(
        decoder: &DTransformer<A, M>,
        trace: &Trace<A>,
        row: usize,
        id: u32,
    ) -> Result<Self, AttributionError> {
        let (layers, d) = (decoder.layers().len(), decoder.config().hidden_size);
        let last = seen(trace, Site::Layer(layers - 1, LayerSite::Out), row, d)?;
        let direction = direction(decoder, last, id)?;
        let share = |site| Ok(seen(trace, site, row, d)?.dot(&direction));
        let shares = |site| {
            (0..layers)
                .map(|layer| share(Site::Layer(layer, site)))
                .collect::<Result<Array1<A>, AttributionError>>()
        };
        Ok(Attribution {
            embed: share(Site::Embed)?,
            self_attn: shares(LayerSite::SelfAttn)?,
            mlp: shares(LayerSite::Mlp)?,
            logit: last.dot(&direction),
        })
    }
}

/// The shares of the heads of `layer` in the logit of `id` after the token `row`, `[H]`. They sum to the share of the layer's attention.
///
/// # Errors
/// See [`AttributionError`].
pub fn of_heads<A: NdFloat, M: LinearMap<A> + Clone>(
    decoder: &DTransformer<A, M>,
    trace: &Trace<A>,
    layer: usize,
    row: usize,
    id: u32,
) -> Result<Array1<A>, AttributionError> {
    let config = decoder.config();
    let at = Site::Layer(layer, LayerSite::AttnConcat);
    let attention = decoder.layers().get(layer).map(|layer| layer.self_attn());
    let attention = attention.ok_or(AttributionError::NotSeen(at))?;
    let concat = seen(trace, at, row, config.num_attention_heads * config.head_dim)?;
    let last = Site::Layer(decoder.layers().len() - 1, LayerSite::Out);
    let last = seen(trace, last, row, config.hidden_size)?;
    let direction = direction(decoder, last, id)?;
    let outputs = attention.head_outputs(concat.insert_axis(Axis(0)));
    Ok(outputs.index_axis(Axis(1), 0).dot(&direction))
}

/// $r_t$, with which the product of the stream is the logit of `id`, the norm's scale being that of `stream: [d]`, what the last layer left. Returns `[d]`.
///
/// # Errors
/// [`AttributionError::NoSuchToken`], or a stream of another width.
pub fn direction<A: NdFloat, M: LinearMap<A> + Clone>(
    decoder: &DTransformer<A, M>,
    stream: ArrayView1<A>,
    id: u32,
) -> Result<Array1<A>, AttributionError> {
    let config = decoder.config();
    if id as usize >= config.vocab_size {
        return Err(AttributionError::NoSuchToken {
            id,
            vocab_size: config.vocab_size,
        });
    }
    expect_shape("stream", &[config.hidden_size], stream.shape())?;
    let norm = decoder.norm();
    Ok(decoder.unembedding().row(id as usize) * &norm.gamma / norm.rms(stream))
}

/// One row of what was seen at a place of rank 2.
fn seen<A: NdFloat>(
    trace: &Trace<A>,
    site: Site,
    row: usize,
    width: usize,
) -> Result<ArrayView1<'_, A>, AttributionError> {
    let value = trace.get(site).ok_or(AttributionError::NotSeen(site))?;
    let rows = value.shape().first().copied().unwrap_or(0);
    expect_shape(&site.to_string(), &[rows, width], value.shape())?;
    if row >= rows {
        return Err(AttributionError::NoSuchRow { row, rows });
    }
    Ok(value.slice(s![row, ..]))
}
