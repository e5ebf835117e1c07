//! The numbers of the chapter *Embedding and unembedding*.

use crate::numbers::Numbers;

pub(super) fn numbers(_: &mut Numbers) {}
