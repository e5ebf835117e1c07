//! What every page of the course must be.

use baichuan2_book::{LANGUAGES, build, chapters, examples, marks, repository, root, source};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};
use regex::Regex;
use scraper::{Html, Selector};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The algorithms of the page of pseudocode with their steps, and the chapter that has each. A bullet of *DTransformer* is a letter.
const PAGE: [(&str, &str, &[&str]); 10] = [
    (
        "Byte-Pair Encoding (BPE)",
        "bpe-training",
        &["1", "2a", "2b", "2c", "2d", "2e"],
    ),
    ("BPE Tokenization", "bpe-encoding", &["1", "2a", "2b", "2c"]),
    ("BPE Detokenization", "bpe-decoding", &["1"]),
    (
        "Rotary Positional Embedding (RoPE)",
        "rope",
        &["1", "2", "3", "4", "5", "6", "7"],
    ),
    ("Attention", "attention", &["1", "2", "3", "4", "5", "6"]),
    ("Multi-head Attention", "multi-head", &["1", "2", "3", "4"]),
    (
        "Grouped-Query Attention",
        "grouped-query",
        &[
            "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13",
        ],
    ),
    (
        "RMS Layer Normalization",
        "rms-norm",
        &["1", "2", "3", "4", "5"],
    ),
    ("Unembedding", "embedding", &["1"]),
    (
        "DTransformer",
        "decoder",
        &["1", "2", "3", "4", "4a", "4b", "4c", "4d", "5", "6"],
    ),
];

/// Chapters about something that the page describes without numbered steps.
const WITHOUT_STEPS: [&str; 4] = ["alibi", "memory-efficient", "swiglu", "norm-head"];

/// The sections of a chapter about an algorithm, in their order.
const SECTIONS: [(&str, [&str; 9]); 2] = [
    (
        "en",
        [
            "The idea",
            "A small example",
            "The page, step by step",
            "As printed, as shipped",
            "The code",
            "What must hold",
            "Look",
            "Your turn",
            "Further reading",
        ],
    ),
    (
        "zh",
        [
            "想法",
            "一个小例子",
            "逐步读这一页",
            "印的和实际的",
            "代码",
            "必须成立的性质",
            "看一看",
            "轮到你了",
            "延伸阅读",
        ],
    ),
];

fn page(language: &str, stem: &str) -> String {
    fs::read_to_string(root().join(format!("{language}/{stem}.md")))
        .unwrap_or_else(|error| panic!("{language}/{stem}.md: {error}"))
}

fn sections(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect()
}

/// The blocks of code of a page: what stands after the fence, and the body.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut events = Parser::new_ext(text, baichuan2_book::math::options());
    while let Some(event) = events.next() {
        if let Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) = event
            && let Some(Event::Text(body)) = events.next()
        {
            blocks.push((info.to_string(), body.to_string()));
        }
    }
    blocks
}

/// Catches: a step that no chapter restates, or two do. (That each is claimed by exactly one line of code is checked when a page is made.)
#[test]
fn every_step_of_the_page_is_in_exactly_one_chapter() {
    for language in LANGUAGES {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (stem, text) in chapters(language).unwrap() {
            for (_, body) in blocks(&text)
                .into_iter()
                .filter(|(info, _)| info.starts_with("steps "))
            {
                let steps = marks::steps(&body)
                    .unwrap()
                    .into_iter()
                    .map(|(step, _)| step);
                assert!(
                    found.insert(stem.clone(), steps.collect()).is_none(),
                    "{language}/{stem}.md has two blocks of steps"
                );
            }
        }
        let expected = PAGE.iter().map(|(_, stem, steps)| {
            (
                stem.to_string(),
                steps.iter().map(|step| step.to_string()).collect(),
            )
        });
        assert_eq!(found, expected.collect(), "book/{language}");
    }
}

#[test]
fn chapters_about_algorithms_have_their_sections_in_order() {
    for (language, expected) in SECTIONS {
        for stem in PAGE.iter().map(|(_, stem, _)| *stem).chain(WITHOUT_STEPS) {
            let text = page(language, stem);
            assert_eq!(sections(&text), expected, "book/{language}/{stem}.md");
            assert!(
                text.contains("```live "),
                "book/{language}/{stem}.md has no live picture"
            );
            assert!(
                text.contains("{{#exercise "),
                "book/{language}/{stem}.md has no exercise"
            );
            assert!(
                text.contains("{{#code "),
                "book/{language}/{stem}.md shows no code"
            );
            assert!(
                text.contains("{{#test "),
                "book/{language}/{stem}.md names no test"
            );
        }
    }
}

/// Catches: a chapter that was changed in one language alone, as far as its structure tells.
#[test]
fn both_languages_have_one_structure() {
    let [english, chinese] = LANGUAGES.map(|language| chapters(language).unwrap());
    let stems = |chapters: &[(String, String)]| {
        chapters
            .iter()
            .map(|(stem, _)| stem.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(stems(&english), stems(&chinese));
    // Which item, test, number or exercise; of a test's mark the words after `|` are the language's own.
    let mark =
        Regex::new(r"\{\{(#(?:code|exercise) [^}]+|#test [\w:]+|= *[^}]+?) *(?:\|[^}]*)?\}\}")
            .unwrap();
    for ((stem, english), (_, chinese)) in english.iter().zip(&chinese) {
        // Words change places between languages, so that marks in a sentence may too.
        let marks = |text: &str| {
            let mut marks: Vec<String> = mark
                .captures_iter(text)
                .map(|found| found[1].trim().trim_end_matches("_zh").to_owned())
                .collect();
            marks.sort();
            marks.dedup();
            marks
        };
        assert_eq!(marks(english), marks(chinese), "the marks of {stem}.md");
        assert_eq!(
            sections(english).len(),
            sections(chinese).len(),
            "the sections of {stem}.md"
        );
        let samples = |text: &str| {
            blocks(text)
                .into_iter()
                .filter(|(info, _)| info.starts_with("rust"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            samples(english),
            samples(chinese),
            "the samples of {stem}.md"
        );
        let special = |text: &str| {
            let infos = blocks(text).into_iter().map(|(info, _)| info);
            infos
                .filter(|info| info.starts_with("steps ") || info.starts_with("live "))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            special(english),
            special(chinese),
            "the steps and pictures of {stem}.md"
        );
    }
}

#[test]
fn every_chapter_is_in_the_summary_once() {
    let link = Regex::new(r"\]\(([\w-]+)\.md\)").unwrap();
    for language in LANGUAGES {
        let summary = page(language, "SUMMARY");
        let mut listed: Vec<String> = link
            .captures_iter(&summary)
            .map(|found| found[1].to_owned())
            .collect();
        listed.sort();
        let there: Vec<String> = chapters(language)
            .unwrap()
            .into_iter()
            .map(|(stem, _)| stem)
            .collect();
        assert_eq!(listed, there, "book/{language}/SUMMARY.md");
    }
}

/// Catches: a number typed by hand where the reader is told that it is computed. (That each mark has a number is checked when a page is made.)
#[test]
fn numbers_of_examples_are_computed() {
    let mut wrong = Vec::new();
    let typed = Regex::new(r"\d\.\d").unwrap();
    for stem in examples::CHAPTERS {
        for language in LANGUAGES {
            let text = page(language, stem);
            let mut example = false;
            for line in text.lines() {
                if let Some(title) = line.strip_prefix("## ") {
                    example = SECTIONS.iter().any(|(_, sections)| sections[1] == title);
                }
                // Places in a drawing are no numbers of the example.
                if example && !line.trim_start().starts_with('<') && typed.is_match(line) {
                    wrong.push(format!("book/{language}/{stem}.md: typed by hand: {line}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Catches: a mistake of the page whose test is gone.
#[test]
fn every_erratum_names_a_test() {
    let errata = fs::read_to_string(repository().join("docs/errata.md")).unwrap();
    let name = Regex::new(r"`([a-z0-9_]{12,})`").unwrap();
    let rows: Vec<&str> = errata
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| algorithm"))
        .collect();
    assert!(rows.len() > 20);
    for row in rows {
        let last = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let mut tests = name.captures_iter(last).peekable();
        assert!(tests.peek().is_some(), "no test: {row}");
        for test in tests {
            source::test(&test[1]).unwrap();
        }
    }
}

/// Catches: links to pages and headings that are not there, pictures that are missing, and anything that a page would fetch.
#[test]
fn every_link_leads_somewhere_and_nothing_is_fetched() {
    let folder = tempfile::tempdir().unwrap();
    build::build(folder.path(), false).unwrap();
    let mut pages: BTreeMap<PathBuf, Html> = BTreeMap::new();
    for file in walkdir::WalkDir::new(folder.path())
        .into_iter()
        .map(Result::unwrap)
    {
        if file
            .path()
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            pages.insert(
                file.path().to_owned(),
                Html::parse_document(&fs::read_to_string(file.path()).unwrap()),
            );
        }
    }
    let ids: BTreeMap<&Path, BTreeSet<&str>> = pages
        .iter()
        .map(|(path, page)| {
            (
                path.as_path(),
                page.select(&Selector::parse("[id]").unwrap())
                    .filter_map(|e| e.attr("id"))
                    .collect(),
            )
        })
        .collect();
    let mut wrong = Vec::new();
    let mut links = 0;
    for (path, page) in &pages {
        let name = path.strip_prefix(folder.path()).unwrap().display();
        for (selector, attribute) in [("[href]", "href"), ("[src]", "src")] {
            for element in page.select(&Selector::parse(selector).unwrap()) {
                let link = element.attr(attribute).unwrap();
                links += 1;
                if link.starts_with("https://") || link.starts_with("http://") {
                    if element.value().name() != "a" {
                        wrong.push(format!("{name} fetches {link}"));
                    }
                    continue;
                }
                if link.starts_with("data:") || link.starts_with("javascript:") || link.is_empty() {
                    continue;
                }
                let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
                let target = if file.is_empty() {
                    path.clone()
                } else {
                    normal(&path.parent().unwrap().join(file))
                };
                if !target.exists() {
                    wrong.push(format!("{name}: {link} leads nowhere"));
                } else if !fragment.is_empty()
                    && !ids
                        .get(target.as_path())
                        .is_none_or(|ids| ids.contains(fragment))
                {
                    wrong.push(format!("{name}: {link}: no such place on that page"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(links > 1000, "only {links} links");
}

/// A path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(normal.pop()),
            other => normal.push(other),
        }
    }
    normal
}

/// Catches: a formula that Markdown tore apart, and a mark that nothing replaced.
#[test]
fn no_dollar_and_no_mark_is_left_on_a_page() {
    let folder = tempfile::tempdir().unwrap();
    build::build(folder.path(), true).unwrap();
    for language in LANGUAGES {
        for (stem, _) in chapters(language).unwrap() {
            let html =
                fs::read_to_string(folder.path().join(format!("{language}/{stem}.html"))).unwrap();
            let html = Html::parse_document(&html);
            let main = html
                .select(&Selector::parse("main").unwrap())
                .next()
                .unwrap();
            let inside_code = |node: &ego_tree::NodeRef<scraper::Node>| {
                node.ancestors().any(|a| {
                    a.value().as_element().is_some_and(|e| {
                        matches!(e.name(), "code" | "pre" | "annotation" | "script" | "style")
                    })
                })
            };
            for node in main.descendants().filter(|node| !inside_code(node)) {
                if let Some(text) = node.value().as_text().map(|text| &**text) {
                    assert!(
                        !text.contains("{{") && !text.contains("}}"),
                        "book/{language}/{stem}.md: {text}"
                    );
                    assert!(!text.contains('$'), "book/{language}/{stem}.md: {text}");
                }
            }
        }
    }
}
