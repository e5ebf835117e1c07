//! The numbers of the chapter *RLHF in outline*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
