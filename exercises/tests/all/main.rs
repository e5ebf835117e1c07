//! The tests of the exercises. `cargo test -p exercises softmax` runs those of one.
//!
//! A failure says what differs, where, by how much, and what it smells like. With `EXERCISES_REPORT` set, what came of each trial is also written
//! to that file, for the runner.

mod compare;
mod goldens;
mod harness;
#[path = "../../runner/language.rs"]
mod language;
mod random;
#[path = "../../runner/report.rs"]
mod report;

use std::process::ExitCode;

macro_rules! exercises {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*
        fn main() -> ExitCode {
            harness::run(vec![$((stringify!($name), $name::trials())),*])
        }
    };
}

// In the order of `exercises.toml`.
exercises![
    softmax,
    rms_norm,
    swiglu,
    gradient,
    adamw,
    load_tensor,
    induction_head,
    decoder_layer,
    find_the_bugs,
];
