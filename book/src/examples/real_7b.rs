//! The numbers of the chapter *Reading the real 7B*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
