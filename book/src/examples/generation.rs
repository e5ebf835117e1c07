//! The numbers of the chapter *Generation and chat*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
