//! The numbers of the chapter *Text and bytes*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
