//! That the interface has no English left in Chinese.

use baichuan2_viz::{
    language::Language,
    save::Content,
    session::{AttentionForm, StreamPart, Together, View},
};
use regex::Regex;
use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Catches: a text of the interface that was added in English alone; a translation with other places for its values.
#[test]
fn every_text_has_its_chinese() {
    let text =
        Regex::new(r#"\b(?:tr|format|help|explain)\(\s*(?:ui,\s*)?"((?:[^"\\]|\\.)*)""#).unwrap();
    let place = Regex::new(r"\{\d\}").unwrap();
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let mut texts: Vec<String> = Vec::new();
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        let found = text
            .captures_iter(&source)
            .map(|found| found[1].replace("\\\"", "\""));
        texts.extend(found);
    }
    assert!(texts.len() > 150, "only {} texts were found", texts.len());
    texts.extend(View::ALL.map(|view| view.name().into()));
    texts.extend(AttentionForm::ALL.map(|form| form.name().into()));
    texts.extend(Together::ALL.map(|together| together.name().into()));
    texts.extend(Together::ALL.map(|together| together.meaning().into()));
    texts.extend(StreamPart::ALL.map(|part| part.name().into()));
    texts.extend(Content::ALL.map(|content| content.name().into()));
    // The same in both.
    const SHARED: [&str; 4] = ["NormHead", "id", "top-k {0}", "top-p {0}"];
    let places = |text: &str| {
        let mut all: Vec<String> = place
            .find_iter(text)
            .map(|found| found.as_str().into())
            .collect();
        all.sort();
        all.dedup();
        all
    };
    let mut missing = Vec::new();
    for text in &texts {
        let chinese = Language::Chinese.tr(text);
        // What is nothing but values and signs needs no translation.
        let words = place
            .replace_all(text, "")
            .chars()
            .any(|c| c.is_ascii_alphabetic());
        if words && chinese == *text && !SHARED.contains(&text.as_str()) {
            missing.push(text);
        }
        assert_eq!(places(&chinese), places(text), "{text}: {chinese}");
    }
    missing.sort();
    missing.dedup();
    assert!(
        missing.is_empty(),
        "{} without Chinese: {missing:#?}",
        missing.len()
    );
}
