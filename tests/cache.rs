//! The key/value cache in f16 beside the one in f32: the same model in half the memory.
#![cfg(feature = "files")]

use baichuan2::{
    attention::{CacheFormat, KeyValueCache},
    checkpoint::Checkpoint,
    dtransformer::Decoder,
};
use ndarray::{Array2, Axis, concatenate};
use std::path::Path;

#[path = "common/counting.rs"]
mod counting;

/// What f16 may make of a logit, of which the largest are 4.4: measured 4.8e-3.
const ALLOWED: f32 = 1e-2;

const TOKENS: usize = 150;

/// Logits of `ids`, passes cut at `cuts`.
fn logits(
    decoder: &Decoder,
    ids: &[u32],
    cuts: &[usize],
    cache: &mut KeyValueCache<f32>,
) -> Array2<f32> {
    let ends = cuts.iter().copied().chain([ids.len()]);
    let passes = ends.map(|end| {
        let new = &ids[cache.len()..end];
        decoder.forward(new, cache, None).unwrap()
    });
    let passes: Vec<Array2<f32>> = passes.collect();
    let views: Vec<_> = passes.iter().map(|pass| pass.view()).collect();
    concatenate(Axis(0), &views).unwrap()
}

/// Catches: keys or values that are rounded twice, or in another order of heads or tokens, in a prompt or one token at a time; a cache in f16 that is held in f32
/// as well, or widened whole.
#[test]
fn a_cache_in_f16_gives_the_same_logits_to_rounding_in_half_the_memory() {
    for size in ["tiny7b", "tiny13b"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/goldens")
            .join(size);
        let decoder = Checkpoint::open(folder).unwrap().decoder().unwrap();
        let ids: Vec<u32> = (0..TOKENS as u32).map(|i| i * 7919 % 320).collect();
        let cache = |format| decoder.new_cache_in(format, TOKENS);
        let exact = logits(&decoder, &ids, &[], &mut cache(CacheFormat::Full));
        let one_by_one: Vec<usize> = (1..TOKENS).collect();
        for cuts in [&[][..], &[1], &[70, 71, 72], &[149], &one_by_one] {
            let mut half = cache(CacheFormat::F16);
            let rounded = logits(&decoder, &ids, cuts, &mut half);
            let difference = (&rounded - &exact).fold(0.0_f32, |max, e| max.max(e.abs()));
            eprintln!(
                "{size}, {} cuts: logits differ by {difference:.1e}",
                cuts.len()
            );
            assert!(
                difference > 0.0 && difference < ALLOWED,
                "{size}: {difference:.1e}"
            );
            let mut full = cache(CacheFormat::Full);
            let again = logits(&decoder, &ids, cuts, &mut full);
            assert!((&again - &exact).iter().all(|e| e.abs() < 2e-5), "{size}");
            assert_eq!(2 * half.byte_len(), full.byte_len());
        }
        // What the allocator gave out, copies included.
        let taken = |format| {
            let make = || {
                let mut cache = cache(format);
                decoder.forward_last(&ids, &mut cache, None).unwrap();
                cache
            };
            make(); // what is made once
            let (cache, live) = counting::kept(make);
            (cache.byte_len(), live)
        };
        let ((_, full), (bytes, half)) = (taken(CacheFormat::Full), taken(CacheFormat::F16));
        eprintln!("{size}: {full} bytes in f32, {half} in f16");
        assert!(
            half >= bytes && half < full * 11 / 20,
            "{size}: {half} of {full} bytes"
        );
    }
}
