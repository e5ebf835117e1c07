//! The marks of our own in the pages, and what becomes of them.
//!
//! | in a page | on the page |
//! |---|---|
//! | `{{= name}}` | a number of this chapter's worked example ([`crate::examples`]) |
//! | `{{#code src/rms_norm.rs RmsNorm::rms}}` | that item, as it stands in the library, with its file and line |
//! | `{{#test some_test}}`, `{{#test some_test \| what it says}}` | a test by name, to unfold, with what it catches and the command that runs it |
//! | `{{#test module::some_test}}` | the one in that file or folder, where several tests have the name |
//! | `{{#exercise softmax}}` | the exercise, and the command that runs it |
//! | a code block `` ```steps src/rms_norm.rs rms_norm_formal `` | the page's steps (`1. In words.`), each beside the line of that function that claims it |
//! | a code block `` ```live NAME `` | the session `pictures/NAME.json` of the visualizer as a picture, alive where scripts run, with the block's text below |

use crate::{
    examples,
    math::{Katex, options},
    numbers::Numbers,
    repository, root,
    source::{self, Source},
    stills,
};
use anyhow::{Context, Result, anyhow, bail, ensure};
use baichuan2_viz::save;
use mdbook_driver::book::{Book, BookItem};
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};
use regex::{Captures, Regex};
use std::fmt::Write;

/// Replaces the marks of every chapter, as a preprocessor of mdBook.
pub struct Marks {
    /// `en` or `zh`.
    pub language: &'static str,
    /// Whether the pictures that move were built beside the pages.
    pub live: bool,
    /// Whether exercises may be missing, as they are while a chapter is being written.
    pub draft: bool,
}

impl Preprocessor for Marks {
    fn name(&self) -> &str {
        "baichuan2"
    }

    fn run(&self, _: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let katex = Katex::new()?;
        let mut failed = None;
        book.for_each_mut(|item| {
            if let (BookItem::Chapter(chapter), None) = (item, &failed)
                && let Some(path) = &chapter.source_path
            {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                match self
                    .page(&stem, &chapter.content)
                    .and_then(|text| katex.draw_all(&text))
                {
                    Ok(text) => chapter.content = text,
                    Err(error) => {
                        failed = Some(error.context(format!("book/{}/{stem}.md", self.language)))
                    }
                }
            }
        });
        failed.map_or(Ok(book), Err)
    }
}

impl Marks {
    /// The Markdown of a chapter with its marks replaced; formulas are left.
    pub fn page(&self, stem: &str, markdown: &str) -> Result<String> {
        let text = self.blocks(markdown)?;
        let text = self.inline(&text)?;
        let mut text = with_numbers(&text, &examples::of(stem).unwrap_or_default())?;
        if self.chinese() {
            text = without_breaks(&text);
        }
        let live = if self.live && text.contains("<figure class=\"live\"") {
            "\n\n<script src=\"../live/live.js\" defer></script>\n"
        } else {
            ""
        };
        Ok(self.language_link(stem) + &text + live)
    }

    fn chinese(&self) -> bool {
        self.language == "zh"
    }

    fn language_link(&self, stem: &str) -> String {
        let (other, name) = if self.chinese() {
            ("en", "English")
        } else {
            ("zh", "中文")
        };
        format!(
            "<a class=\"other-language\" lang=\"{other}\" hreflang=\"{other}\" href=\"../{other}/{stem}.html\">{name}</a>\n\n"
        )
    }

    fn blocks(&self, markdown: &str) -> Result<String> {
        let mut text = String::new();
        let mut done = 0;
        let mut events = Parser::new_ext(markdown, options()).into_offset_iter();
        while let Some((event, range)) = events.next() {
            let Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) = event else {
                continue;
            };
            let words: Vec<&str> = info.split_whitespace().collect();
            let (Some(&("steps" | "live")), Some((Event::Text(body), _))) =
                (words.first(), events.next())
            else {
                continue;
            };
            text += &markdown[done..range.start];
            text += &match words[..] {
                ["steps", file, item] => self.steps(file, item, &body)?,
                ["live", name] => self.live_picture(name, &body)?,
                _ => bail!("a block ```{info}: write ```steps FILE ITEM or ```live NAME"),
            };
            done = range.end;
        }
        Ok(text + &markdown[done..])
    }

    fn steps(&self, file: &str, item: &str, body: &str) -> Result<String> {
        let source = Source::read(file)?;
        let item = source.item(item)?;
        let claims = item.claims();
        let head = if self.chinese() {
            ["步", "内容", "对应的代码行"]
        } else {
            ["step", "what it says", "the line that does it"]
        };
        let mut table = format!(
            "<div class=\"steps\">\n\n| {} |\n|---|---|---|\n",
            head.join(" | ")
        );
        let steps = steps(body)?;
        for (step, words) in &steps {
            let mut lines = claims
                .iter()
                .filter(|(claimed, _)| claimed == step)
                .map(|&(_, line)| line);
            let line = lines.next().with_context(|| {
                format!("{file}: no line claims step {step}: write `// {step}. …` beside it")
            })?;
            ensure!(
                lines.next().is_none(),
                "{file}: two lines claim step {step}"
            );
            // Of a line that only says why nothing is done, the comment is what there is.
            let code = source.lines[line].trim();
            let code = code.split_once(" // ").map_or(code, |(code, _)| code);
            writeln!(
                table,
                "| {step} | {words} | {}<br><small>{file}:{}</small> |",
                code_span(code),
                line + 1
            )?;
        }
        for (claimed, line) in &claims {
            ensure!(
                steps.iter().any(|(step, _)| step == claimed),
                "{file}:{}: claims step {claimed}, which the chapter does not have",
                line + 1
            );
        }
        Ok(table + "\n</div>\n")
    }

    fn live_picture(&self, name: &str, caption: &str) -> Result<String> {
        let file = format!("pictures/{name}.json");
        let session = std::fs::read_to_string(root().join(&file)).with_context(|| file.clone())?;
        let opened = save::open_session(&root().join(&file)).with_context(|| file.clone())?;
        let height = stills::height(&opened);
        let session: serde_json::Value =
            serde_json::from_str(&session).with_context(|| file.clone())?;
        let session = session
            .to_string()
            .replace('&', "&amp;")
            .replace('\'', "&#39;");
        // In text: pictures are named by what stands below them.
        let plain = html(caption.trim())
            .replace('"', "&quot;")
            .replace(['$', '*', '`', '\n'], " ");
        let mut figure = format!(
            "<figure class=\"live\" data-session='{session}' data-language=\"{}\" style=\"--live-height: {height}px\">\n",
            self.language
        );
        for dark in [false, true] {
            let class = if dark { "still-dark" } else { "still-light" };
            let still = stills::name(name, self.language, dark);
            write!(
                figure,
                "<img class=\"{class}\" src=\"../pictures/{still}\" alt=\"{plain}\">"
            )?;
        }
        Ok(format!(
            "{figure}\n<figcaption>\n\n{}\n\n</figcaption>\n</figure>\n",
            caption.trim()
        ))
    }

    fn inline(&self, text: &str) -> Result<String> {
        let mark = Regex::new(r"\{\{#(code|test|exercise) ([^}]+)\}\}").expect("a pattern");
        replaced(&mark, text, |found| {
            let words: Vec<&str> = found[2].split_whitespace().collect();
            match (&found[1], &words[..]) {
                ("code", [file, item @ ..]) if !item.is_empty() => self.code(file, &item.join(" ")),
                ("test", [name]) => self.test(name, None),
                ("test", [name, "|", ..]) => self.test(
                    name,
                    found[2].split_once('|').map(|(_, words)| words.trim()),
                ),
                ("exercise", [name]) => self.exercise(name),
                _ => Err(anyhow!("{}: not a mark", &found[0])),
            }
        })
    }

    fn code(&self, file: &str, item: &str) -> Result<String> {
        let source = Source::read(file)?;
        let item = source.item(item)?;
        Ok(format!(
            "<div class=\"place\">{file}:{}</div>\n\n```rust,ignore\n{}\n```\n",
            item.line(),
            item.text()
        ))
    }

    fn test(&self, name: &str, words: Option<&str>) -> Result<String> {
        let item = source::test(name)?;
        let name = name.rsplit("::").next().unwrap_or(name);
        let documentation = item.documentation();
        let words = words.unwrap_or(&documentation);
        let file = item.source.path.display();
        let run = if file.to_string().starts_with("viz/") {
            "cargo test -p baichuan2-viz"
        } else {
            "cargo test"
        };
        // Blank lines, for what is said is Markdown and may hold formulas.
        Ok(format!(
            "<details class=\"test\"><summary>\n\n{} `{name}`\n\n</summary>\n\n<div class=\"place\">{file}:{} &nbsp; {run} {name}</div>\n\n```rust,ignore\n{}\n```\n\n</details>\n",
            html(words),
            item.line(),
            item.text()
        ))
    }

    fn exercise(&self, name: &str) -> Result<String> {
        let file = format!("exercises/src/{name}.rs");
        ensure!(
            self.draft || repository().join(&file).exists(),
            "{file}: no such exercise"
        );
        let (write, check, hint) = if self.chinese() {
            ("写", "检查", "提示")
        } else {
            ("Write", "Check", "A hint")
        };
        Ok(format!(
            "<div class=\"exercise\">\n\n| | |\n|---|---|\n| {write} | `{file}` |\n| {check} | `cargo run -p exercises -- {name}` |\n| {hint} | `cargo run -p exercises -- hint {name}` |\n\n</div>\n"
        ))
    }
}

/// The steps of a block, `2a. In words.`, each with its text, which may go on over several lines.
pub fn steps(body: &str) -> Result<Vec<(String, String)>> {
    let head = Regex::new(r"^(\d+[a-z]?)\. (.+)$").expect("a pattern");
    let mut steps: Vec<(String, String)> = Vec::new();
    for line in body.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match (head.captures(line), steps.last_mut()) {
            (Some(found), _) => steps.push((found[1].to_owned(), found[2].to_owned())),
            (None, Some((_, words))) => *words = format!("{words} {line}"),
            (None, None) => bail!("a block of steps begins with `1. …`, not with `{line}`"),
        }
    }
    Ok(steps)
}

/// Replaces `{{= name}}`.
pub fn with_numbers(text: &str, numbers: &Numbers) -> Result<String> {
    let mark = Regex::new(r"\{\{= *([^}]+?) *\}\}").expect("a pattern");
    replaced(&mark, text, |found| {
        let value = numbers.get(&found[1]);
        value
            .map(str::to_owned)
            .ok_or_else(|| anyhow!("the chapter's example has no number named `{}`", &found[1]))
    })
}

fn replaced(
    mark: &Regex,
    text: &str,
    with: impl Fn(&Captures) -> Result<String>,
) -> Result<String> {
    let mut result = String::new();
    let mut done = 0;
    for found in mark.captures_iter(text) {
        let whole = found.get(0).expect("a match");
        result += &text[done..whole.start()];
        result += &with(&found)?;
        done = whole.end();
    }
    Ok(result + &text[done..])
}

/// Chinese has no blanks, which a browser would put where a line of the file ends.
fn without_breaks(markdown: &str) -> String {
    let wide = |c: char| {
        ('\u{2e80}'..='\u{9fff}').contains(&c)
            || ('\u{ff00}'..='\u{ff60}').contains(&c)
            || "“”‘’…—".contains(c)
    };
    let mut text = String::with_capacity(markdown.len());
    let mut done = 0;
    for (event, range) in Parser::new_ext(markdown, options()).into_offset_iter() {
        let (before, after) = (&markdown[..range.start], &markdown[range.end..]);
        if event == Event::SoftBreak
            && before.ends_with(wide)
            && after.trim_start().starts_with(wide)
        {
            text += &markdown[done..range.start];
            done = markdown.len() - after.trim_start_matches(' ').len();
        }
    }
    text + &markdown[done..]
}

/// Code in a cell of a table.
fn code_span(code: &str) -> String {
    format!(
        "<code>{}</code>",
        html(code)
            .replace('|', "&#124;")
            .replace('*', "&#42;")
            .replace('_', "&#95;")
            .replace('[', "&#91;")
            .replace('`', "&#96;")
    )
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH: Marks = Marks {
        language: "en",
        live: false,
        draft: false,
    };

    /// Catches: a step that no line claims, or a claim that no step has, passing in silence.
    #[test]
    fn steps_and_claims_must_agree() {
        let page = |steps: &str| {
            ENGLISH.page(
                "none",
                &format!("```steps src/rms_norm.rs rms_norm_formal\n{steps}\n```\n"),
            )
        };
        let all = "1. mean\n2. variance\n3. root\n4. scale\n5. return";
        let table = page(all).unwrap();
        assert!(table.contains("| 3 | root | <code>let rms ="), "{table}");
        assert!(
            page("1. mean\n2. variance\n3. root\n4. scale")
                .unwrap_err()
                .to_string()
                .contains("claims step 5")
        );
        assert!(
            page(&format!("{all}\n6. more"))
                .unwrap_err()
                .to_string()
                .contains("no line claims step 6")
        );
    }

    #[test]
    fn marks_that_name_nothing_are_errors() {
        for (text, why) in [
            ("{{= nothing}}", "no number named `nothing`"),
            ("{{#code src/rms_norm.rs nothing}}", "there is no `nothing`"),
            ("{{#code src/nothing.rs x}}", "no such file"),
            ("{{#test no_such_test}}", "no test `no_such_test`"),
            ("{{#exercise nothing}}", "no such exercise"),
            ("{{#test rms_norm_formal}}", "there is no test"),
            ("```live nothing\n\nA caption.\n```", "nothing.json"),
        ] {
            let error = format!("{:#}", ENGLISH.page("none", text).unwrap_err());
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    /// Catches: blanks in the midst of Chinese, and lines of a code block run together.
    #[test]
    fn chinese_lines_are_joined() {
        assert_eq!(
            without_breaks("一行，\n二行 and\nthree\n\n```text\n甲\n乙\n```\n* 丙\n  丁"),
            "一行，二行 and\nthree\n\n```text\n甲\n乙\n```\n* 丙丁"
        );
    }

    #[test]
    fn code_and_tests_are_shown_as_they_stand() {
        let page = ENGLISH
            .page(
                "none",
                "{{#code src/rms_norm.rs RmsNorm::rms}}\n\n{{#test a_row_of_zeros_stays_zero}}",
            )
            .unwrap();
        assert!(
            page.contains("```rust,ignore\npub fn rms(&self, x: ArrayView1<A>) -> A {"),
            "{page}"
        );
        assert!(page.contains("Catches: ε left out"), "{page}");
    }
}
