//! The numbers of the chapter *ALiBi*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
