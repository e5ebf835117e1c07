//! The numbers of the chapter *Attention*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
