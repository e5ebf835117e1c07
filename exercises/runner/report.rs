//! What the tests tell the runner: a file, so that nothing has to be read out of a terminal's text.

use serde::{Deserialize, Serialize};

/// The environment variable that names the file.
pub const VARIABLE: &str = "EXERCISES_REPORT";

/// One trial.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// Which exercise.
    pub exercise: String,
    /// Its place among the trials of that exercise, which go from what tells most to what tells least.
    pub place: usize,
    /// Which of its trials.
    pub name: String,
    /// Its name in the learner's language.
    pub title: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It came upon a `todo!()`.
    NotWritten(String),
    /// It does not hold.
    Failed(String),
}
