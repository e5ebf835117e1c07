//! How an observer sees every intermediate of a forward pass, changes it, and stops the pass.
//!
//! A [`Probe`] handed to the pass is shown each intermediate as it is made, under the name of the shipped model's module. Without one
//! nothing is copied, named or kept. [`Trace`] is the probe that keeps them all; [`Without`] switches heads off.
//!
//! What a probe [edits](Probe::edits) is changed first and seen then, so that what is seen is what goes on through the pass.

mod summary;
mod without;

pub use summary::Summary;
pub use without::{NoSuchHead, Without};

use indexmap::IndexMap;
use ndarray::{Array, ArrayD, ArrayView, ArrayViewD, ArrayViewMutD, Dimension};
use std::fmt;

/// A head, by layer and place in it, both counted from 0.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Head {
    /// Its layer.
    pub layer: usize,
    /// Which of the layer's heads it is.
    pub head: usize,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.layer, self.head))
    }
}

/// A place in the forward pass where an intermediate can be seen. Its text is the name of the shipped model's module: `layers.3.q_rot`.
///
/// ```
/// use baichuan2::probe::{LayerSite, Site};
/// assert_eq!(Site::Layer(3, LayerSite::QRot).to_string(), "layers.3.q_rot");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Site {
    /// Token embeddings, `[tokens, d]`.
    Embed,
    /// Within a layer, counted from 0.
    Layer(usize, LayerSite),
    /// After the last norm, `[tokens, d]`.
    FinalNorm,
    /// One score per token id, `[tokens, vocab]`.
    Logits,
}

/// A place within a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerSite {
    /// After the norm before attention, `[tokens, d]`.
    InputLayernorm,
    /// Queries, keys and values side by side, before any rotation, `[tokens, (H + 2 N_kv) · head_dim]`.
    WPack,
    /// Queries after rotation (as they are, with ALiBi), `[H, tokens, head_dim]`.
    QRot,
    /// Keys after rotation (as they are, with ALiBi), those of this pass, `[N_kv, tokens, head_dim]`.
    KRot,
    /// Scaled scores with bias, `[H, tokens, keys]`. As in the shipped evaluation code, a hidden key has the lowest finite number,
    /// and ALiBi's bias is the absolute one, $m_h j$.
    AttnScoresMasked,
    /// Attention weights, `[H, tokens, keys]`.
    AttnProbs,
    /// The heads' outputs side by side, `[tokens, H · head_dim]`.
    AttnConcat,
    /// After the output map of attention, before it is added to the stream, `[tokens, d]`.
    SelfAttn,
    /// After the norm before the feed-forward layer, `[tokens, d]`.
    PostAttentionLayernorm,
    /// The gate before SiLU, `[tokens, d_mlp]`.
    GateProj,
    /// What is gated, `[tokens, d_mlp]`.
    UpProj,
    /// After the feed-forward layer, before it is added to the stream, `[tokens, d]`.
    Mlp,
    /// The stream after the layer, `[tokens, d]`.
    Out,
}

impl Site {
    /// Every place of a decoder of `layers` layers, in the order in which they are passed.
    ///
    /// ```
    /// use baichuan2::probe::Site;
    /// let names: Vec<String> = Site::all(2).map(|site| site.to_string()).collect();
    /// assert_eq!(names.len(), 29);
    /// assert_eq!(names[..2], ["embed", "layers.0.input_layernorm"]);
    /// ```
    pub fn all(layers: usize) -> impl Iterator<Item = Site> {
        let of_layer = |layer| LayerSite::ALL.map(|site| Site::Layer(layer, site));
        [Site::Embed]
            .into_iter()
            .chain((0..layers).flat_map(of_layer))
            .chain([Site::FinalNorm, Site::Logits])
    }

    /// Whether a probe may change what stands here: all but queries and keys after their rotation (change them in `W_pack`), scores and weights.
    ///
    /// ```
    /// use baichuan2::probe::{LayerSite, Site};
    /// assert!(Site::Embed.can_be_edited());
    /// assert!(!Site::Layer(0, LayerSite::AttnProbs).can_be_edited());
    /// ```
    pub fn can_be_edited(self) -> bool {
        use LayerSite::{AttnProbs, AttnScoresMasked, KRot, QRot};
        !matches!(
            self,
            Site::Layer(_, QRot | KRot | AttnScoresMasked | AttnProbs)
        )
    }
}

impl LayerSite {
    /// Every place of a layer, in the order in which they are passed.
    pub const ALL: [LayerSite; 13] = [
        LayerSite::InputLayernorm,
        LayerSite::WPack,
        LayerSite::QRot,
        LayerSite::KRot,
        LayerSite::AttnScoresMasked,
        LayerSite::AttnProbs,
        LayerSite::AttnConcat,
        LayerSite::SelfAttn,
        LayerSite::PostAttentionLayernorm,
        LayerSite::GateProj,
        LayerSite::UpProj,
        LayerSite::Mlp,
        LayerSite::Out,
    ];
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Site::Embed => f.write_str("embed"),
            Site::Layer(layer, site) => write!(f, "layers.{layer}.{site}"),
            Site::FinalNorm => f.write_str("final_norm"),
            Site::Logits => f.write_str("logits"),
        }
    }
}

impl fmt::Display for LayerSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LayerSite::InputLayernorm => "input_layernorm",
            LayerSite::WPack => "W_pack",
            LayerSite::QRot => "q_rot",
            LayerSite::KRot => "k_rot",
            LayerSite::AttnScoresMasked => "attn_scores_masked",
            LayerSite::AttnProbs => "attn_probs",
            LayerSite::AttnConcat => "attn_concat",
            LayerSite::SelfAttn => "self_attn",
            LayerSite::PostAttentionLayernorm => "post_attention_layernorm",
            LayerSite::GateProj => "gate_proj",
            LayerSite::UpProj => "up_proj",
            LayerSite::Mlp => "mlp",
            LayerSite::Out => "out",
        })
    }
}

/// An observer of a forward pass.
///
/// ```
/// use baichuan2::probe::{Probe, Site};
/// /// Remembers the length of the stream after each layer.
/// struct Norms(Vec<f32>);
/// impl Probe for Norms {
///     fn wants(&self, site: Site) -> bool {
///         matches!(site, Site::Layer(_, baichuan2::probe::LayerSite::Out))
///     }
///     fn see(&mut self, _: Site, value: ndarray::ArrayViewD<f32>) {
///         self.0.push(value.iter().map(|x| x * x).sum::<f32>().sqrt());
///     }
/// }
/// ```
pub trait Probe<A = f32> {
    /// Whether to be shown this place. Attention weights are made as a whole only for a probe that wants them.
    fn wants(&self, site: Site) -> bool;

    /// Shown an intermediate of a place it wants.
    fn see(&mut self, site: Site, value: ArrayViewD<A>);

    /// Whether to change what stands at this place. Asked only of places that [can be edited](Site::can_be_edited).
    ///
    /// ```
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny7b");
    /// use baichuan2::{checkpoint::Checkpoint, probe::{LayerSite, Probe, Site}};
    /// use ndarray::{ArrayViewD, ArrayViewMutD};
    /// /// A decoder without its feed-forward layers.
    /// struct NoMlp;
    /// impl Probe for NoMlp {
    ///     fn wants(&self, _: Site) -> bool { false }
    ///     fn see(&mut self, _: Site, _: ArrayViewD<f32>) {}
    ///     fn edits(&self, site: Site) -> bool { matches!(site, Site::Layer(_, LayerSite::Mlp)) }
    ///     fn edit(&mut self, _: Site, mut value: ArrayViewMutD<f32>) { value.fill(0.0); }
    /// }
    /// let decoder = Checkpoint::open(folder)?.decoder()?;
    /// let run = |probe: Option<&mut dyn Probe>| decoder.forward(&[126, 301], &mut decoder.new_cache(), probe);
    /// assert_ne!(run(None)?, run(Some(&mut NoMlp))?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn edits(&self, _site: Site) -> bool {
        false
    }

    /// Changes an intermediate of a place it edits, in place. Keys and values made from what was changed stay in the cache.
    fn edit(&mut self, _site: Site, _value: ArrayViewMutD<A>) {}

    /// Whether to give the pass up. Asked before each layer and before the logits; the pass then ends with
    /// [`Error::Stopped`](crate::dtransformer::Error::Stopped), and its cache is as before.
    fn stop(&self) -> bool {
        false
    }
}

/// Keeps every intermediate under its name, or those of chosen places.
pub struct Trace<A = f32> {
    chosen: fn(Site) -> bool,
    /// Name to value, in the order in which they were made.
    pub values: IndexMap<String, ArrayD<A>>,
}

impl<A> Trace<A> {
    /// A trace of everything.
    pub fn everything() -> Self {
        Trace::of(|_| true)
    }

    /// A trace of the places that `chosen` accepts.
    ///
    /// ```
    /// use baichuan2::probe::{LayerSite, Site, Trace};
    /// let maps: Trace = Trace::of(|site| matches!(site, Site::Layer(_, LayerSite::AttnProbs)));
    /// assert!(maps.values.is_empty());
    /// ```
    pub fn of(chosen: fn(Site) -> bool) -> Self {
        Trace {
            chosen,
            values: IndexMap::new(),
        }
    }

    /// The value seen at `site`, if it was.
    pub fn get(&self, site: Site) -> Option<&ArrayD<A>> {
        self.values.get(&site.to_string())
    }
}

impl<A: Clone> Probe<A> for Trace<A> {
    fn wants(&self, site: Site) -> bool {
        (self.chosen)(site)
    }

    fn see(&mut self, site: Site, value: ArrayViewD<A>) {
        self.values.insert(site.to_string(), value.to_owned());
    }
}

/// The probe of a pass, if there is one.
pub(crate) type AnyProbe<'a, A> = Option<&'a mut dyn Probe<A>>;

/// Shows `value` to a probe that wants it.
fn show<A, D: Dimension>(probe: &mut AnyProbe<'_, A>, site: Site, value: ArrayView<'_, A, D>) {
    if let Some(probe) = probe
        && probe.wants(site)
    {
        probe.see(site, value.into_dyn());
    }
}

/// Lets a probe change `value`, which goes on through the pass, and shows it.
pub(crate) fn pass_on<A, D: Dimension>(
    probe: &mut AnyProbe<'_, A>,
    site: Site,
    value: &mut Array<A, D>,
) {
    debug_assert!(site.can_be_edited());
    if let Some(probe) = probe
        && probe.edits(site)
    {
        probe.edit(site, value.view_mut().into_dyn());
    }
    show(probe, site, value.view());
}

/// The probe of a pass, within one layer of it.
pub struct LayerProbe<'a, A> {
    probe: AnyProbe<'a, A>,
    layer: usize,
}

impl<'a, A> LayerProbe<'a, A> {
    /// The part of `probe` that sees layer `layer`.
    pub fn new(probe: Option<&'a mut dyn Probe<A>>, layer: usize) -> Self {
        LayerProbe { probe, layer }
    }

    /// Sees nothing.
    pub fn none() -> Self {
        LayerProbe {
            probe: None,
            layer: 0,
        }
    }

    pub(crate) fn wants(&self, site: LayerSite) -> bool {
        self.probe
            .as_ref()
            .is_some_and(|probe| probe.wants(Site::Layer(self.layer, site)))
    }

    /// Shows what cannot be changed, or not any more.
    pub(crate) fn see<D: Dimension>(&mut self, site: LayerSite, value: ArrayView<'_, A, D>) {
        show(&mut self.probe, Site::Layer(self.layer, site), value);
    }

    /// See [`pass_on`].
    pub(crate) fn pass_on<D: Dimension>(&mut self, site: LayerSite, value: &mut Array<A, D>) {
        pass_on(&mut self.probe, Site::Layer(self.layer, site), value);
    }
}
