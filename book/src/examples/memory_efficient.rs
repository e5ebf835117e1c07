//! The numbers of the chapter *Memory-efficient attention*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
