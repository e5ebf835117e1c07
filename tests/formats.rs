//! The shipped model's numbers through every format in which a matrix can be stored.
#![cfg(feature = "files")]

use baichuan2::{
    checkpoint::Checkpoint,
    dtransformer::DTransformer,
    tensor::{Dtype, LinearMap},
    verification::{Check, compare},
};
use ndarray::{Array2, Axis, concatenate};
use std::path::{Path, PathBuf};

#[path = "common/formats.rs"]
mod formats;

fn folder(size: &str) -> PathBuf {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    goldens.join(size)
}

/// How far a pass may be from the shipped code's, which has its weights in f32.
struct Allowed {
    /// Logits, and what is made of them.
    logits: f64,
    /// Intermediates, which are up to twenty times as large.
    intermediates: f64,
    /// Whether the same ids are to be chosen.
    ids: bool,
}

/// The format takes that much from weights that are random, in two layers: half a step of f16 is 2⁻¹² of a number, of bf16 2⁻⁹, of eight bits 2⁻⁸ of the
/// largest of its group, of four 2⁻⁴, after which little is left of noise. That nothing else is taken is for
/// `a_rounded_decoder_is_the_decoder_of_what_rounding_left` to say.
fn allowed(dtype: Dtype) -> Allowed {
    let (logits, intermediates, ids) = match dtype {
        Dtype::F32 => (2e-5, 2e-5, true),  // measured: 4.5e-6, 1.1e-5
        Dtype::F16 => (2e-2, 5e-2, true),  // 9.9e-3, 2.3e-2
        Dtype::BF16 => (1e-1, 3e-1, true), // 8.2e-2, 2.6e-1
        Dtype::Int8 => (3e-1, 1.0, false), // 1.5e-1, 5.6e-1
        Dtype::Int4 => (5.0, 15.0, false), // 2.7, 7.5
    };
    Allowed {
        logits,
        intermediates,
        ids,
    }
}

/// Catches: a format whose numbers are widened or multiplied wrongly in one of the two kernels, or for one of the shapes of a decoder; a pass that is right on
/// one thread alone.
#[test]
fn every_golden_agrees_in_every_format_on_one_thread_and_two() {
    for size in ["tiny7b", "tiny13b"] {
        let checkpoint = Checkpoint::open(folder(size)).unwrap();
        for dtype in formats::ALL {
            let decoder = formats::rounded(&checkpoint, dtype);
            let allowed = allowed(dtype);
            for threads in [1, 2] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                let compare = || compare(&folder(size), &decoder).unwrap();
                let checks = pool.build().unwrap().install(compare);
                let is_choice =
                    |check: &&Check| check.what.contains("ids") || check.what.contains("kept");
                let (choices, numbers): (Vec<&Check>, Vec<&Check>) =
                    checks.iter().partition(is_choice);
                let is_inside = |check: &&&Check| {
                    check.what.starts_with("plain.layers") || check.what.starts_with("cache")
                };
                let (inside, outside): (Vec<&Check>, Vec<&Check>) =
                    numbers.iter().partition(is_inside);
                let largest = |checks: &[&Check]| {
                    checks
                        .iter()
                        .map(|check| check.difference)
                        .fold(0.0, f64::max)
                };
                let (inside, outside) = (largest(&inside), largest(&outside));
                let agrees = |check: &&&Check| {
                    check.passed() || check.tolerance > 0.0 && check.difference <= allowed.logits
                };
                let chosen = choices.iter().filter(agrees).count();
                let found = format!(
                    "{size} in {dtype} on {threads}: logits {outside:.1e}, intermediates {inside:.1e}, {chosen} of {} choices",
                    choices.len()
                );
                eprintln!("{found}");
                assert!(
                    numbers.iter().all(|check| check.numbers > 0) && numbers.len() > 35,
                    "{found}"
                );
                assert!(
                    outside <= allowed.logits && inside <= allowed.intermediates,
                    "{found}"
                );
                assert!(chosen == choices.len() || !allowed.ids, "{found}");
            }
        }
    }
}

/// Logits of a prompt at once, and of its second half token by token.
fn logits<M: LinearMap<f32> + Clone>(
    decoder: &DTransformer<f32, M>,
    ids: &[u32],
) -> [Array2<f32>; 2] {
    let mut cache = decoder.new_cache_of(ids.len());
    let whole = decoder.forward(ids, &mut cache, None).unwrap();
    let cut = ids.len() / 2;
    cache.truncate(cut);
    let rows: Vec<Array2<f32>> = ids[cut..]
        .iter()
        .map(|&id| decoder.forward(&[id], &mut cache, None).unwrap())
        .collect();
    let rows: Vec<_> = rows.iter().map(|row| row.view()).collect();
    [whole, concatenate(Axis(0), &rows).unwrap()]
}

/// What a format takes from the weights hides much. Here nothing is hidden: in four bits a single token is rounded too, by 2⁻¹⁶ of the largest of a group.
///
/// Catches: a scale or a group that is another's, a last group left out, a kernel that sums in too few bits.
#[test]
fn a_rounded_decoder_is_the_decoder_of_what_rounding_left() {
    for size in ["tiny7b", "tiny13b"] {
        let checkpoint = Checkpoint::open(folder(size)).unwrap();
        let ids: Vec<u32> = (0..60).map(|i| i * 7919 % 320).collect();
        for dtype in formats::ALL {
            let ours = logits(&formats::rounded(&checkpoint, dtype), &ids);
            let dense = logits(&formats::widened(&checkpoint, dtype), &ids);
            let differ = |i: usize| (&ours[i] - &dense[i]).fold(0.0_f32, |max, e| max.max(e.abs()));
            let [whole, single] = [differ(0), differ(1)];
            eprintln!(
                "{size} in {dtype}: {whole:.1e} at once, {single:.1e} token by token; logits up to {:.1}",
                dense[0].fold(0.0_f32, |m, l| m.max(l.abs()))
            );
            assert!(whole < 2e-5 && single < if dtype == Dtype::Int4 { 1e-2 } else { 2e-5 });
        }
    }
}
