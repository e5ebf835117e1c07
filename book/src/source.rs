//! Items of the project's source, found by their names.
//!
//! The source is formatted by rustfmt, so that an item reaches from its name to the first line that closes it at the same indentation.
//! That holds inside macros too (`proptest!`), where a parser of Rust sees no functions.

use crate::repository;
use anyhow::{Context, Result, bail};
use regex::Regex;
use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// A source file.
#[derive(Debug)]
pub struct Source {
    /// Where it is, from the repository on.
    pub path: PathBuf,
    /// Its lines.
    pub lines: Vec<String>,
}

/// Lines of a file that belong together.
#[derive(Debug)]
pub struct Item<'a> {
    /// The file.
    pub source: &'a Source,
    /// The first line and the one after the last, counted from 0; without documentation.
    pub lines: Range<usize>,
}

impl Source {
    /// Reads a file, `path` being its place in the repository.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let text = std::fs::read_to_string(repository().join(&path))
            .with_context(|| format!("{}: no such file", path.display()))?;
        Ok(Self {
            path,
            lines: text.lines().map(str::to_owned).collect(),
        })
    }

    /// The item `name`: a function, type, constant, implementation (`impl RmsNorm`), or what is inside one (`RmsNorm::forward`).
    pub fn item(&self, name: &str) -> Result<Item<'_>> {
        let lines = match name.split_once("::") {
            None => self.find(name, 0..self.lines.len()),
            Some((outer, inner)) => self
                .blocks(outer)
                .into_iter()
                .find_map(|block| self.find(inner, block)),
        };
        let Some(lines) = lines else {
            bail!("{}: there is no `{name}` in it", self.path.display());
        };
        Ok(Item {
            source: self,
            lines,
        })
    }

    /// The function of the trial that is listed as `module::name`.
    fn trial(&self, name: &str) -> Option<&str> {
        let listed = format!("::{name}\",");
        let at = self.lines.iter().position(|line| line.ends_with(&listed))?;
        let function = self.lines.get(at + 1)?.trim().trim_end_matches(',');
        function
            .chars()
            .all(|c| c == '_' || c.is_ascii_alphanumeric())
            .then_some(function)
    }

    /// The bodies of all implementations of a type, and of a trait or module of that name.
    fn blocks(&self, name: &str) -> Vec<Range<usize>> {
        let name = regex::escape(name);
        let head = Regex::new(&format!(
            r"^(pub )?(impl\b.*\b{name}\b.*\{{|(trait|mod) {name}\b.*\{{)$"
        ))
        .expect("a pattern");
        (0..self.lines.len())
            .filter(|&i| head.is_match(&self.lines[i]))
            .map(|i| i + 1..self.end(i))
            .collect()
    }

    fn find(&self, name: &str, within: Range<usize>) -> Option<Range<usize>> {
        let pattern = match name.strip_prefix("impl ") {
            Some(of) => format!(r"^\s*impl\b.*\b{}\b.*\{{$", regex::escape(of)),
            None => format!(
                r"^\s*(pub(\([a-z]+\))? )?(const |unsafe )*(fn|struct|enum|trait|type|const|static|mod) {}\b",
                regex::escape(name)
            ),
        };
        let pattern = Regex::new(&pattern).expect("a pattern");
        let head = within.clone().find(|&i| pattern.is_match(&self.lines[i]))?;
        let mut first = head;
        while first > within.start && self.lines[first - 1].trim_start().starts_with("#[") {
            first -= 1;
        }
        Some(first..self.end(head))
    }

    /// The line after the item whose head is line `head`.
    fn end(&self, head: usize) -> usize {
        if self.lines[head].ends_with(';') || self.lines[head].ends_with('}') {
            return head + 1;
        }
        let indentation = indentation(&self.lines[head]);
        let closes = |line: &String| {
            indentation_is(line, indentation)
                && line.trim_start().starts_with(['}', ']', ')'])
                && line.ends_with(['}', ';'])
        };
        let last = (head + 1..self.lines.len()).find(|&i| closes(&self.lines[i]));
        last.map_or(self.lines.len(), |last| last + 1)
    }
}

impl Item<'_> {
    /// Its text, moved to the margin.
    pub fn text(&self) -> String {
        let lines = &self.source.lines[self.lines.clone()];
        let margin = lines.first().map_or(0, |line| indentation(line));
        lines
            .iter()
            .map(|line| line.get(margin..).unwrap_or(""))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The lines of documentation above it, as one paragraph.
    pub fn documentation(&self) -> String {
        let above = self.source.lines[..self.lines.start].iter().rev();
        let mut lines: Vec<&str> = above
            .map_while(|line| line.trim_start().strip_prefix("///"))
            .map(str::trim)
            .collect();
        lines.reverse();
        lines.join(" ")
    }

    /// The number of its first line, counted from 1.
    pub fn line(&self) -> usize {
        self.lines.start + 1
    }

    /// The steps that its comments claim, with the line (from 0) that claims each: `// 3. RMS`, `// 1. and 2. the matrix`.
    pub fn claims(&self) -> Vec<(String, usize)> {
        static STEP: OnceLock<Regex> = OnceLock::new();
        let step = STEP
            .get_or_init(|| Regex::new(r"(?:^|[\s(])(\d+[a-z]?)\.(?:\s|$)").expect("a pattern"));
        let mut claims = Vec::new();
        for i in self.lines.clone() {
            let line = &self.source.lines[i];
            if let Some((_, comment)) = line
                .split_once("// ")
                .filter(|_| !line.trim_start().starts_with("///"))
            {
                // Neighbouring numbers share the blank between them.
                let mut at = 0;
                while let Some(found) = step.captures_at(comment, at) {
                    let number = found.get(1).expect("a group");
                    claims.push((number.as_str().to_owned(), i));
                    at = number.end();
                }
            }
        }
        claims
    }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn indentation_is(line: &str, indentation_: usize) -> bool {
    !line.trim().is_empty() && indentation(line) == indentation_
}

/// Every Rust file of the repository's library and tests, of the window and of the exercises.
pub fn all() -> Result<&'static [Source]> {
    static ALL: OnceLock<Vec<Source>> = OnceLock::new();
    if let Some(all) = ALL.get() {
        return Ok(all);
    }
    let mut all = Vec::new();
    for folder in [
        "src",
        "tests",
        "viz/src",
        "viz/tests",
        "book/src",
        "book/tests",
    ] {
        let files = walkdir::WalkDir::new(repository().join(folder)).sort_by_file_name();
        for file in files.into_iter().filter_map(Result::ok) {
            if file
                .path()
                .extension()
                .is_some_and(|extension| extension == "rs")
            {
                all.push(Source::read(file.path().strip_prefix(repository())?)?);
            }
        }
    }
    Ok(ALL.get_or_init(|| all))
}

/// The test of this name; where several have it, `dtransformer::name` is that of the file or folder `dtransformer`.
///
/// A trial of a harness of its own (`tests/reference`, whose data may be absent) is listed by its name, and followed by its function.
pub fn test(name: &str) -> Result<Item<'static>> {
    let (module, name) = match name.split_once("::") {
        Some((module, name)) => (Some(module), name),
        None => (None, name),
    };
    let mut found = Vec::new();
    for source in all()? {
        let path = source.path.with_extension("");
        if module.is_none_or(|module| path.iter().any(|part| part == module)) {
            found.extend(
                source
                    .item(name)
                    .ok()
                    .filter(|item| item.text().contains("#[test]")),
            );
            found.extend(
                source
                    .trial(name)
                    .and_then(|function| source.item(function).ok()),
            );
        }
    }
    match (found.pop(), found.pop()) {
        (Some(item), None) => Ok(item),
        (None, _) => bail!("there is no test `{name}`"),
        (Some(one), Some(other)) => bail!(
            "two tests are named `{name}`, in {} and {}: write the module before it, `module::{name}`",
            other.source.path.display(),
            one.source.path.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_reach_from_their_name_to_what_closes_them() {
        let source = Source::read("src/rms_norm.rs").unwrap();
        let formal = source.item("rms_norm_formal").unwrap();
        assert!(formal.text().starts_with("pub fn rms_norm_formal"));
        assert!(formal.text().ends_with("\n}"));
        assert_eq!(formal.text().matches("fn ").count(), 1);
        let rms = source.item("RmsNorm::rms").unwrap().text();
        assert_eq!(rms.lines().count(), 3, "{rms}");
        assert!(
            source
                .item("RmsNorm")
                .unwrap()
                .text()
                .starts_with("#[derive")
        );
        assert!(source.item("no_such_thing").is_err());
    }

    /// Catches: tests inside `proptest!` that are not found.
    #[test]
    fn tests_are_found_inside_macros_with_what_they_catch() {
        let test = test("shipped_equals_the_page_row_by_row").unwrap();
        assert!(
            test.documentation()
                .starts_with("Catches: normalizing over tokens")
        );
        assert!(test.text().starts_with("#[test]\nfn shipped_equals"));
        assert!(super::test("no_such_test").is_err());
        assert!(
            super::test("rms_norm_formal").is_err(),
            "a function that is no test"
        );
        let trial = super::test("baichuan2_encodes_and_decodes_as_sentencepiece").unwrap();
        assert!(
            trial
                .text()
                .starts_with("fn encodes_and_decodes_as_sentencepiece")
        );
        assert!(super::test("shipped_equals_the_page").is_err());
        let of_decoder = super::test("dtransformer::shipped_equals_the_page").unwrap();
        assert_eq!(
            of_decoder.source.path,
            Path::new("src/dtransformer/tests.rs")
        );
    }

    #[test]
    fn claims_are_numbers_of_steps_in_comments() {
        let line = |text: &str| Source {
            path: "x.rs".into(),
            lines: vec!["fn f() {".into(), text.into(), "}".into()],
        };
        let claims = |text: &str| {
            let source = line(text);
            let claims = source.item("f").unwrap().claims();
            claims.into_iter().map(|(step, _)| step).collect::<Vec<_>>()
        };
        assert_eq!(claims("    a(); // 3. RMS"), ["3"]);
        assert_eq!(
            claims("    a(); // 1. 2. and 3. X, of 3.5 rows"),
            ["1", "2", "3"]
        );
        assert_eq!(claims("    a(); // 2a. pairs"), ["2a"]);
        assert!(claims("    a(3. ); // nothing").is_empty());
    }
}
