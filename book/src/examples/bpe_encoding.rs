//! The numbers of the chapter *Encoding*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
