//! The numbers of the chapter *Grouped queries and the cache*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
