//! Where the reference data is: too big, or not ours, to lie in this repository.

use std::path::{Path, PathBuf};

/// The path of a reference file or folder, or `None`, with a line that says so, where it is absent.
///
/// Looked for in `$BAICHUAN2_REFERENCE`, else beside the repository in `shared/reference`.
pub fn reference(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("BAICHUAN2_REFERENCE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference"),
        PathBuf::from,
    );
    let path = root.join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!(
        "skipped: {} is not here; set BAICHUAN2_REFERENCE",
        path.display()
    );
    None
}
