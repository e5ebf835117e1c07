//! The numbers of the chapter *Fine-tuning*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
