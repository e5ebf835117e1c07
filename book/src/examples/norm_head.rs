//! The numbers of the chapter *NormHead and max-z*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
