//! The numbers of the chapter *What forms when*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
