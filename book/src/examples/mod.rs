//! The worked examples: a file a chapter, whose function computes every number that the chapter shows.

use crate::numbers::Numbers;

macro_rules! chapters {
    ($($module:ident = $stem:literal),* $(,)?) => {
        $(mod $module;)*

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
