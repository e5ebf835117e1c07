//! The numbers of the chapter *Training*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
