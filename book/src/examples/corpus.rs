//! The numbers of the chapter *A corpus with structure*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
