//! Training speed: `cargo bench --bench training -- [--alibi] [--steps N]`, the default recipe on random tokens.
//!
//! `benches/peers/training.py` starts it with `--drive DIR` and asks for steps by lines on standard input, so that PyTorch and this
//! take turns on one machine, from the same weights on the same tokens.

use baichuan2::{
    checkpoint::write_stored,
    tensor::Dtype,
    training::{PositionName, Recipe, Trainer, export, keep_freed_memory},
};
use std::{io::BufRead, time::Instant};

fn main() {
    keep_freed_memory();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let mut recipe = Recipe::default();
    if arguments.iter().any(|argument| argument == "--alibi") {
        (recipe.position, recipe.heads) = (PositionName::Alibi, 6);
    }
    let vocab_size = recipe.vocab_size as u32;
    // Any tokens will do for the time they take: a generator of Lehmer's.
    let tokens: Vec<u32> = (0..8 * recipe.batch_tokens + 1)
        .scan(1u64, |state, _| {
            *state = *state * 48_271 % 0x7fff_ffff;
            Some(*state as u32 % vocab_size)
        })
        .collect();
    let mut trainer =
        Trainer::new(recipe.clone(), &tokens, recipe.vocab_size).expect("the default recipe");
    if let Some(folder) = value("--drive") {
        let path = std::path::Path::new(folder).join("weights.safetensors");
        let weights = export::weights(trainer.parameters(), Dtype::F32);
        write_stored(path, weights).expect("a folder to write to");
        println!(
            "{}",
            serde_json::json!({ "recipe": recipe, "blas": baichuan2::tensor::blas::NAME })
        );
        for line in std::io::stdin().lock().lines() {
            let n: u64 = line
                .expect("a line")
                .trim()
                .parse()
                .expect("a number of steps");
            let first = trainer.steps();
            let sequences: Vec<_> = (first..first + n).map(|i| trainer.windows(i)).collect();
            let start = Instant::now();
            let steps: Vec<_> = (0..n)
                .map(|_| trainer.step().expect("finite numbers"))
                .collect();
            let seconds = start.elapsed().as_secs_f64() / n as f64;
            let steps = steps.iter().zip(sequences).map(|(step, sequences)| {
                serde_json::json!({ "loss": step.loss.total(), "rate": step.rate, "sequences": sequences })
            });
            println!(
                "{}",
                serde_json::json!({ "seconds": seconds, "steps": steps.collect::<Vec<_>>() })
            );
        }
        return;
    }
    let rounds = value("--steps").map_or(10, |n| n.parse().expect("a number of steps"));
    let mut step = || {
        let start = Instant::now();
        trainer.step().expect("finite numbers");
        start.elapsed().as_secs_f64()
    };
    step();
    step();
    let mut seconds: Vec<f64> = (0..rounds).map(|_| step()).collect();
    seconds.sort_by(f64::total_cmp);
    println!(
        "{:.0} tokens/s, median of {rounds} steps of {} tokens",
        recipe.batch_tokens as f64 / seconds[rounds / 2],
        recipe.batch_tokens
    );
}
