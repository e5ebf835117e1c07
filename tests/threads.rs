//! The same numbers, bit for bit, however many threads there are.
#![cfg(feature = "cli")]

use baichuan2::{
    checkpoint::Checkpoint,
    embedded::EmbeddedModel,
    tensor::{LinearMap, StoredTensor},
};
use ndarray::{Array2, ArrayD};
use std::path::Path;

#[path = "common/formats.rs"]
mod formats;

/// What `work` gives on one thread, which it must give on two, three and seven.
fn whatever_the_threads(what: &str, work: impl Fn() -> ArrayD<f32> + Sync) {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(&work).mapv(f32::to_bits)
    };
    let one = on(1);
    for threads in [2, 3, 7] {
        let differ = on(threads).iter().zip(&one).filter(|(a, b)| a != b).count();
        assert_eq!(
            differ, 0,
            "{what}: numbers that differ on {threads} threads"
        );
    }
}

/// Catches: tiles cut by the number of threads, so that a BLAS takes another kernel, or the width of $W$ is cut at other places.
#[test]
fn products_do_not_depend_on_the_number_of_threads() {
    let wave = |rows, columns, seed: usize| {
        Array2::from_shape_fn((rows, columns), |(i, j)| {
            ((i * 31 + j * 7 + seed) as f32).sin()
        })
    };
    // Wider than a tile, and as high as two of its largest and more; heights of which the threads' parts are now small and now large.
    for out in [160, 700, 1100] {
        let w = wave(out, 1344, 1);
        for dtype in formats::ALL {
            let w = StoredTensor::rounded(w.clone().into_dyn(), dtype);
            for tokens in [1, 3, 5, 70, 300] {
                let x = wave(tokens, 1344, 2);
                let what = format!("{tokens} tokens by {out} rows of {dtype}");
                whatever_the_threads(&what, || w.apply(x.view()).into_dyn());
            }
        }
    }
}

/// Catches: a sum anywhere in a pass (norms, attention, SwiGLU, the head) whose order depends on how its parts are shared between threads.
#[test]
fn logits_do_not_depend_on_the_number_of_threads() {
    let golden = |name: &str| {
        let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
        Checkpoint::open(goldens.join(name)).unwrap()
    };
    let models = [
        ("tiny7b", golden("tiny7b")),
        ("tiny13b", golden("tiny13b")),
        ("rope", EmbeddedModel::Rope.checkpoint()),
        ("alibi", EmbeddedModel::Alibi.checkpoint()),
    ];
    for (name, checkpoint) in models {
        // More queries and keys than a block of attention, and no multiple of either.
        let (prompt, following) = (300, 3);
        let vocab = checkpoint.config.vocab_size as u32;
        let ids: Vec<u32> = (0..prompt + following).map(|i| i * 7919 % vocab).collect();
        for dtype in formats::ALL {
            let decoder = formats::rounded(&checkpoint, dtype);
            let cache = || decoder.new_cache_of(ids.len());
            let (prompt, following) = ids.split_at(prompt as usize);
            whatever_the_threads(&format!("{name} in {dtype}, a prompt"), || {
                decoder
                    .forward(prompt, &mut cache(), None)
                    .unwrap()
                    .into_dyn()
            });
            whatever_the_threads(&format!("{name} in {dtype}, token by token"), || {
                let mut cache = cache();
                decoder.forward_last(prompt, &mut cache, None).unwrap();
                let last = following
                    .iter()
                    .map(|&id| decoder.forward_last(&[id], &mut cache, None).unwrap());
                last.last().unwrap().into_dyn()
            });
        }
    }
}
