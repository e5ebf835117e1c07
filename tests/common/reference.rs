//! Where the reference data lies that is too large, or not ours, to be part of the project.

use std::path::{Path, PathBuf};

/// A file or folder of the reference data: below `BAICHUAN2_REFERENCE`, or else beside the project in `shared/reference`.
///
/// `None`, and a line on stderr that names it, where it is absent.
pub fn reference(path: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference");
    let root = std::env::var_os("BAICHUAN2_REFERENCE").map_or(beside, PathBuf::from);
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    eprintln!(
        "skipped: {} is not here; set BAICHUAN2_REFERENCE",
        found.display()
    );
    None
}
