//! A page has no folders: only the models inside the program can be opened.

use super::{OpenError, Parts};
use std::path::Path;

/// There are none.
pub type Files = ();

/// Says so.
pub fn open(folder: &Path, _: Option<u64>) -> Result<Parts, OpenError> {
    Err(OpenError::NoFolders(folder.to_owned()))
}

/// What is inside the program stays what it is.
pub fn were_replaced((): &Files) -> bool {
    false
}
