//! The numbers of the chapter *Notation*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
