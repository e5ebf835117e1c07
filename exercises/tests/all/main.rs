//! The tests of the exercises. `cargo test -p exercises softmax` runs those of one.
//!
//! A failure says what differs, where, by how much, and what it smells like. With `EXERCISES_REPORT` set, what came
//! of each trial is also written to that file, for the runner.

mod compare;
mod goldens;
mod harness;
#[path = "../../runner/language.rs"]
mod language;
mod random;
#[path = "../../runner/report.rs"]
mod report;
mod show;

// The exercises, one by one, for rustfmt finds no module inside a macro.
mod adamw;
mod alibi;
mod attention;
mod cache;
mod causal_mask;
mod count_pairs;
mod cross_entropy;
mod decode;
mod decoder_layer;
mod encode;
mod find_the_bugs;
mod gradient;
mod grouped_query;
mod induction_head;
mod load_tensor;
mod memory_efficient;
mod merge_pair;
mod multi_head;
mod norm_head;
mod rms_norm;
mod rope;
mod softmax;
mod swiglu;
mod top_p;
mod train_bpe;

use std::process::ExitCode;

macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        vec![$((stringify!($name), $name::trials())),*]
    };
}

fn main() -> ExitCode {
    // In the order of `exercises.toml`.
    harness::run(trials![
        softmax,
        rms_norm,
        swiglu,
        causal_mask,
        attention,
        multi_head,
        rope,
        alibi,
        grouped_query,
        cache,
        memory_efficient,
        count_pairs,
        merge_pair,
        train_bpe,
        encode,
        decode,
        norm_head,
        cross_entropy,
        gradient,
        adamw,
        top_p,
        load_tensor,
        induction_head,
        decoder_layer,
        find_the_bugs,
    ])
}
