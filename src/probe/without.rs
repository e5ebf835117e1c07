//! Heads switched off: what is a decoder without them?

use super::{AnyProbe, Head, LayerSite, Probe, Site};
use ndarray::{ArrayViewD, ArrayViewMutD, Axis, Slice};
use std::collections::BTreeSet;
use thiserror::Error;

/// A head that a decoder does not have.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "there is no head {head}: the decoder has {layers} layers of {heads} heads, both counted from 0"
)]
pub struct NoSuchHead {
    /// The head.
    pub head: Head,
    /// Layers of the decoder.
    pub layers: usize,
    /// Heads of each of them.
    pub heads: usize,
}

/// The probe that switches heads off: what they gathered is replaced by zeros (*zero ablation*), and so they add nothing to the stream.
///
/// Keys and values are left as they are. Everything else is as another probe, if there is one, would have it; what that one sees of `attn_concat` has the
/// zeros.
///
/// * Source: Michel, Levy and Neubig 2019, *Are Sixteen Heads Really Better than One?*, arXiv 1905.10650, section 2.3: the mask $\xi_h = 0$.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny7b");
/// use baichuan2::{checkpoint::Checkpoint, probe::{Head, Trace, Without}};
///
/// let decoder = Checkpoint::open(folder)?.decoder()?;
/// let mut trace = Trace::everything();
/// let off = [Head { layer: 0, head: 1 }];
/// let config = decoder.config();
/// let mut probe = Without::new(off, config.num_hidden_layers, config.num_attention_heads)?.then(&mut trace);
/// decoder.forward(&[126, 301, 282], &mut decoder.new_cache(), Some(&mut probe))?;
/// assert_eq!(trace.values["layers.0.attn_concat"].shape(), [3, 64]); // four heads of 16
/// assert!(trace.values["layers.0.attn_concat"].slice(ndarray::s![.., 16..32]).iter().all(|&x| x == 0.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Without<'p, A = f32> {
    off: BTreeSet<Head>,
    heads: usize,
    then: AnyProbe<'p, A>,
}

impl<A> Without<'_, A> {
    /// Switches the heads `off` of a decoder of so many `layers` of so many `heads` each.
    ///
    /// # Errors
    /// A head that is not there.
    pub fn new(
        off: impl IntoIterator<Item = Head>,
        layers: usize,
        heads: usize,
    ) -> Result<Self, NoSuchHead> {
        let off: BTreeSet<Head> = off.into_iter().collect();
        let missing = |head: &&Head| head.layer >= layers || head.head >= heads;
        match off.iter().find(missing) {
            Some(&head) => Err(NoSuchHead {
                head,
                layers,
                heads,
            }),
            None => Ok(Without {
                off,
                heads,
                then: None,
            }),
        }
    }

    /// With `probe`, which sees, changes and stops whatever it likes, after this one.
    pub fn then<'q>(self, probe: &'q mut dyn Probe<A>) -> Without<'q, A> {
        Without {
            off: self.off,
            heads: self.heads,
            then: Some(probe),
        }
    }

    /// The heads of a layer that are off.
    fn of(&self, layer: usize) -> impl Iterator<Item = usize> {
        let from = |layer| Head { layer, head: 0 };
        self.off
            .range(from(layer)..from(layer + 1))
            .map(|head| head.head)
    }
}

impl<A: Clone + num_traits::Zero> Probe<A> for Without<'_, A> {
    fn wants(&self, site: Site) -> bool {
        self.then.as_ref().is_some_and(|then| then.wants(site))
    }

    fn see(&mut self, site: Site, value: ArrayViewD<A>) {
        if let Some(then) = &mut self.then {
            then.see(site, value);
        }
    }

    fn edits(&self, site: Site) -> bool {
        let mine = match site {
            Site::Layer(layer, LayerSite::AttnConcat) => self.of(layer).next().is_some(),
            _ => false,
        };
        mine || self.then.as_ref().is_some_and(|then| then.edits(site))
    }

    fn edit(&mut self, site: Site, mut value: ArrayViewMutD<A>) {
        if let Site::Layer(layer, LayerSite::AttnConcat) = site {
            let head_dim = value.len_of(Axis(1)) / self.heads;
            for head in self.of(layer) {
                let columns = Slice::from(head * head_dim..(head + 1) * head_dim);
                value.slice_axis_mut(Axis(1), columns).fill(A::zero());
            }
        }
        if let Some(then) = &mut self.then
            && then.edits(site)
        {
            then.edit(site, value);
        }
    }

    fn stop(&self) -> bool {
        self.then.as_ref().is_some_and(|then| then.stop())
    }
}
