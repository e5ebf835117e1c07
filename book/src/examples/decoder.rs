//! The numbers of the chapter *The decoder*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
