//! The course: mdBook pages in `en/` and `zh/` whose numbers, code and claims are taken from the library when the book is built.
//!
//! A page is Markdown, with a few marks of our own (see [`marks`]): numbers that [`examples`] computes, functions shown as they
//! stand in the library, steps of the pseudocode beside the line that claims them, tests by name, live pictures. What a mark names
//! must exist: a renamed function, a lost test or a step that no line claims stops the build.

pub mod build;
pub mod examples;
pub mod marks;
pub mod math;
pub mod numbers;
pub mod source;
pub mod stills;

/// The Rust samples of the pages.
#[cfg(doctest)]
mod samples {
    include!(concat!(env!("OUT_DIR"), "/samples.rs"));
}

use std::path::{Path, PathBuf};

/// The languages of the book: a folder each.
pub const LANGUAGES: [&str; 2] = ["en", "zh"];

/// The folder of this package.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The repository.
pub fn repository() -> PathBuf {
    root()
        .parent()
        .expect("the book lies in the repository")
        .to_owned()
}

/// The text of every chapter of a language, by its file's stem, in the order of the files' names.
pub fn chapters(language: &str) -> std::io::Result<Vec<(String, String)>> {
    let mut chapters = Vec::new();
    for entry in std::fs::read_dir(root().join(language))? {
        let path = entry?.path();
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.extension().is_some_and(|extension| extension == "md") && stem != "SUMMARY" {
            chapters.push((stem, std::fs::read_to_string(&path)?));
        }
    }
    chapters.sort();
    Ok(chapters)
}
