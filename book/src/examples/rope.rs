//! The numbers of the chapter *RoPE*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
