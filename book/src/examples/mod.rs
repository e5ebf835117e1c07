//! The worked examples: a file a chapter, whose function computes every number that the chapter shows.

use crate::numbers::Numbers;

mod alibi;
mod attention;
mod benchmarks;
mod bpe_decoding;
mod bpe_encoding;
mod bpe_training;
mod checkpoints;
mod corpus;
mod decoder;
mod embedding;
mod fine_tuning;
mod generation;
mod grouped_query;
mod memory_efficient;
mod multi_head;
mod norm_head;
mod notation;
mod real_7b;
mod rlhf;
mod rms_norm;
mod rope;
mod scaling;
mod swiglu;
mod text_and_bytes;
mod training;
mod verification;

macro_rules! chapters {
    ($($module:ident = $stem:literal),* $(,)?) => {
        /// The numbers of a chapter, by its file's stem; `None` where it has no example.
        pub fn of(stem: &str) -> Option<Numbers> {
            let mut numbers = Numbers::default();
            match stem {
                $($stem => $module::numbers(&mut numbers),)*
                _ => return None,
            }
            Some(numbers)
        }

        /// The chapters that have examples.
        pub const CHAPTERS: &[&str] = &[$($stem),*];
    };
}

chapters! {
    notation = "notation",
    text_and_bytes = "text-and-bytes",
    bpe_training = "bpe-training",
    bpe_encoding = "bpe-encoding",
    bpe_decoding = "bpe-decoding",
    embedding = "embedding",
    attention = "attention",
    multi_head = "multi-head",
    rope = "rope",
    alibi = "alibi",
    grouped_query = "grouped-query",
    memory_efficient = "memory-efficient",
    rms_norm = "rms-norm",
    swiglu = "swiglu",
    norm_head = "norm-head",
    decoder = "decoder",
    verification = "verification",
    generation = "generation",
    training = "training",
    corpus = "corpus",
    checkpoints = "checkpoints",
    fine_tuning = "fine-tuning",
    real_7b = "real-7b",
    scaling = "scaling",
    benchmarks = "benchmarks",
    rlhf = "rlhf",
}
