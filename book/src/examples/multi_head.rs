//! The numbers of the chapter *Multi-head attention*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
