//! The numbers of the chapter *Benchmarks and safety*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
