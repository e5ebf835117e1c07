//! The numbers of the chapter *SwiGLU*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
