//! The numbers of the chapter *Data and scaling*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
