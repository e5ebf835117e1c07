//! From the pages to HTML.

use crate::{LANGUAGES, marks::Marks, repository, root, stills};
use anyhow::{Context, Result};
use mdbook_driver::{MDBook, config::Config};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Builds the pages of both languages, with their pictures, into folders of `out`, and returns the first page. The pictures are alive
/// where `out/live` holds what [`baichuan2_live::build`] makes. Of a draft, exercises may be missing.
pub fn build(out: &Path, draft: bool) -> Result<PathBuf> {
    stills::draw(&out.join("pictures"))?;
    fs::copy(
        repository().join("docs/rustdoc/katex/katex.min.css"),
        out.join("katex.css"),
    )
    .context("the style of formulas")?;
    let live = out.join("live/live.js").exists();
    for language in LANGUAGES {
        book(language, &out.join(language), live, draft)?.build()?;
    }
    Ok(out.join(LANGUAGES[0]).join("index.html"))
}

/// The book in one language, to be built into `out`.
pub fn book(language: &'static str, out: &Path, live: bool, draft: bool) -> Result<MDBook> {
    let mut config = Config::from_disk(root().join("book.toml"))?;
    config.book.src = language.into();
    config.book.language = Some(language.to_owned());
    config.build.build_dir = out.to_owned();
    if language == "zh" {
        config.book.title = Some("百川 2：逐个算法".to_owned());
        // mdBook's index splits at spaces, which Chinese does not have.
        config.set("output.html.search.enable", false)?;
    }
    let mut book = MDBook::load_with_config(root(), config)?;
    book.with_preprocessor(Marks {
        language,
        live,
        draft,
    });
    Ok(book)
}
