//! The numbers of the chapter *Decoding*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
