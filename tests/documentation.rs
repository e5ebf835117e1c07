//! The documentation is held to the code: formulas survive Markdown, and the tests that it names exist.
//!
//! Markdown takes a backslash before punctuation for its own: `\,` arrives as a comma, in the midst of a formula, and nothing complains.
//! (What else can go wrong, `.ci/docs` sees in a browser.)

use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The formulas of one block of documentation; code is left out.
fn formulas(block: &str) -> Vec<String> {
    let text = block.split('`').step_by(2).collect::<String>();
    let text = text.replace("$$", "$");
    text.split('$')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// What Markdown eats: a backslash before punctuation, other than the two that are meant to be eaten, `\\` and `\_`.
fn eaten(formula: &str) -> Option<String> {
    let rest = formula.replace(r"\\", "").replace(r"\_", "");
    let at = rest
        .as_bytes()
        .windows(2)
        .position(|pair| pair[0] == b'\\' && pair[1].is_ascii_punctuation())?;
    Some(rest[at..at + 2].to_owned())
}

/// Catches: `\,`, `\;`, `\{` and their kin in a formula.
#[test]
fn no_backslash_of_a_formula_is_eaten() {
    assert_eq!(eaten(r"a \, b"), Some(r"\,".to_owned()), "the test itself");
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let (mut seen, mut bad) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let mut block = String::new();
        for line in text.lines().chain([""]) {
            let comment = line.trim_start();
            let comment = comment.strip_prefix("///").or(comment.strip_prefix("//!"));
            if let Some(comment) = comment {
                block += comment;
                block.push('\n');
                continue;
            }
            for formula in formulas(&std::mem::take(&mut block)) {
                seen += 1;
                if let Some(what) = eaten(&formula) {
                    bad.push(format!("{}: {what} in ${formula}$", file.display()));
                }
            }
        }
    }
    assert!(seen > 100, "only {seen} formulas were found");
    assert!(
        bad.is_empty(),
        "write a plain space, \\quad or \\lbrace:\n{}",
        bad.join("\n")
    );
}

/// Catches: a test that was renamed or deleted, and is still said to hold something.
#[test]
fn tests_named_in_the_verification_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut files);
    let code: String = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let documents = ["docs/verification.md", "docs/errata.md"];
    let document: String = documents
        .map(|path| fs::read_to_string(root.join(path)).unwrap())
        .concat();
    let is_name = |s: &&str| {
        s.matches('_').count() > 1
            && s.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c))
    };
    let (mut seen, mut gone) = (0, Vec::new());
    for name in document.split('`').skip(1).step_by(2).filter(is_name) {
        seen += 1;
        let name = name.rsplit("::").next().unwrap();
        if !code.contains(&format!("fn {name}("))
            && !code.contains(&format!("::{name}\""))
            && !code.contains(&format!("mod {name}"))
        {
            gone.push(name);
        }
    }
    assert!(seen > 50, "only {seen} names were found");
    assert!(
        gone.is_empty(),
        "named in the documents, and nowhere else: {gone:?}"
    );
}
