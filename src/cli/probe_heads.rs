pub use super::evaluate::Evaluate as ProbeHeads;
