//! A model against itself: what must hold of any decoder, on the weights at hand.

use super::Check;
use crate::{
    dtransformer::{Decoder, Error},
    probe::{LayerSite, Site, Trace},
};
use ndarray::{Array2, Axis, concatenate, s};

/// Runs `ids` (two at the least) in ways that must agree: with and without a cache, with whole attention maps and in blocks, with a later token changed.
///
/// Differences are relative to the largest logit; what is allowed is the rounding of f32 through all layers.
///
/// # Errors
/// Ids that the decoder does not take.
pub fn consistency(decoder: &Decoder, ids: &[u32]) -> Result<Vec<Check>, Error> {
    let whole = decoder.forward(ids, &mut decoder.new_cache(), None)?;
    let scale = whole.fold(f32::MIN_POSITIVE, |max, l| max.max(l.abs()));
    let check = |what: &str, against: &str, other: &Array2<f32>, rows: usize, tolerance| {
        let (a, b) = (whole.slice(s![..rows, ..]), other.slice(s![..rows, ..]));
        let difference = a
            .iter()
            .zip(b)
            .fold(0.0_f32, |max, (a, b)| max.max((a - b).abs()));
        Check {
            what: what.to_owned(),
            against: against.to_owned(),
            numbers: a.len(),
            difference: f64::from(difference / scale),
            tolerance,
        }
    };
    const ROUNDING: f64 = 1e-3;

    let mut cache = decoder.new_cache();
    let cut = ids.len() / 2;
    let mut parts = vec![decoder.forward(&ids[..cut.max(1)], &mut cache, None)?];
    for id in &ids[cut.max(1)..] {
        parts.push(decoder.forward(&[*id], &mut cache, None)?);
    }
    let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
    let cached = concatenate(Axis(0), &views).expect("logits of one vocabulary");

    let mut maps = Trace::of(|site| matches!(site, Site::Layer(_, LayerSite::AttnProbs)));
    let watched = decoder.forward(ids, &mut decoder.new_cache(), Some(&mut maps))?;

    let mut changed = ids.to_vec();
    let last = changed.len() - 1;
    changed[last] = (changed[last] + 1) % decoder.config().vocab_size as u32;
    let changed = decoder.forward(&changed, &mut decoder.new_cache(), None)?;

    Ok(vec![
        check(
            "logits, half at once and then token by token",
            "logits, all at once",
            &cached,
            ids.len(),
            ROUNDING,
        ),
        check(
            "logits, with whole attention maps",
            "logits, in blocks",
            &watched,
            ids.len(),
            ROUNDING,
        ),
        check(
            "earlier logits, the last token changed",
            "logits",
            &changed,
            last,
            0.0,
        ),
    ])
}
