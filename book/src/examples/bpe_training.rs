//! The numbers of the chapter *Learning a vocabulary*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
