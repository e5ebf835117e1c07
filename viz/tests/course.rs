//! The question marks, and the course behind them.

use baichuan2_viz::{
    app::Viz,
    course::{Chapter, Course, Topic},
    language::Language,
    session::{Session, StreamPart, View},
    views,
};
use eframe::egui::{Vec2, vec2};
use egui_kittest::{Harness, kittest::Queryable};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    time::{Duration, Instant},
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn chapters() -> Vec<Chapter> {
    let all = Topic::ALL.iter().flat_map(|topic| topic.chapters);
    all.copied().collect()
}

/// Catches: a chapter or a module that was renamed; a title that is not the course's, in either language.
#[test]
fn every_topic_has_its_pages_and_modules() {
    for language in Language::ALL {
        let pages = repository().join("book").join(language.code());
        let summary = fs::read_to_string(pages.join("SUMMARY.md")).unwrap();
        for chapter in chapters() {
            let title = language.tr(chapter.title);
            let line = format!("[{title}]({}.md)", chapter.page);
            assert!(
                summary.contains(&line),
                "{line} is not in {}",
                pages.display()
            );
            assert!(pages.join(chapter.page).with_extension("md").is_file());
        }
    }
    for topic in Topic::ALL {
        for module in topic.modules.split(", ") {
            assert!(repository().join(module).exists(), "{module}");
        }
    }
    for view in View::ALL {
        assert!(Topic::ALL.contains(views::topic(view)));
    }
}

/// A folder as the course is built into, with pages that are empty.
fn built() -> tempfile::TempDir {
    let folder = tempfile::Builder::new()
        .prefix("a course ")
        .tempdir()
        .unwrap();
    for language in Language::ALL {
        let pages = folder.path().join(language.code());
        fs::create_dir(&pages).unwrap();
        for chapter in chapters() {
            fs::write(pages.join(chapter.page).with_extension("html"), "").unwrap();
        }
    }
    folder
}

/// Catches: a page of the other language; a blank in a folder's name that breaks its address; an address of what is not there.
#[test]
fn a_page_is_found_in_its_language() {
    let folder = built();
    let course = Course::at(folder.path().to_owned());
    let chapter = Topic::ROPE.chapters[0];
    for language in Language::ALL {
        let url = course.url(chapter, language).unwrap();
        let page = url::Url::parse(&url).unwrap().to_file_path().unwrap();
        let expected = folder.path().join(language.code()).join("rope.html");
        assert_eq!(page, expected);
        fs::remove_file(expected).unwrap();
        assert_eq!(course.url(chapter, language), None);
    }
}

type Opened = mpsc::Receiver<String>;

fn window<'a>(
    course: &Path,
    session: Session,
    size: Vec2,
    fails: bool,
) -> (Harness<'a, Viz>, Opened) {
    let (open, opened) = mpsc::channel();
    let course = course.to_owned();
    let mut harness = Harness::builder()
        .with_size(size)
        .with_max_steps(64)
        .build_eframe(move |creation| {
            Viz::new(creation, Some(session)).with_course(course, move |url| {
                open.send(url.to_owned()).unwrap();
                match fails {
                    true => Err("there is none".into()),
                    false => Ok(()),
                }
            })
        });
    let begun = Instant::now();
    while !harness.state().is_settled() && begun.elapsed() < Duration::from_secs(30) {
        harness.run_steps(2);
        std::thread::sleep(Duration::from_millis(5));
    }
    harness.run_steps(3);
    (harness, opened)
}

/// The sessions in which every question mark is to be seen, and the topics of each.
fn panels() -> Vec<(Session, Vec<Topic>)> {
    let view = |view, topics: &[Topic]| {
        let session = Session {
            view,
            ..Session::first()
        };
        (session, topics.to_vec())
    };
    let stream = |stream, topic| {
        let session = Session {
            view: View::Stream,
            stream,
            ..Session::first()
        };
        (session, vec![Topic::LENS, topic])
    };
    let mut attention = view(View::Attention, &[Topic::ATTENTION, Topic::WEIGHT]);
    (attention.0.query, attention.0.key) = (Some(9), Some(3));
    vec![
        view(
            View::Tokens,
            &[Topic::PIECES, Topic::LONGEST, Topic::MERGES],
        ),
        attention,
        view(
            View::Positions,
            &[Topic::ROPE, Topic::ALIBI, Topic::GROUPED],
        ),
        stream(StreamPart::Lengths, Topic::LENGTHS),
        stream(StreamPart::Contributions, Topic::CONTRIBUTIONS),
        stream(StreamPart::NormHead, Topic::NORM_HEAD),
        stream(StreamPart::Embeddings, Topic::EMBEDDINGS),
        view(View::Blocks, &[Topic::BLOCKS]),
        view(View::Generation, &[Topic::GENERATION]),
        view(View::Compare, &[Topic::COMPARE]),
    ]
}

/// Catches: a panel without a question mark, or with another's; one that names no module; a chapter that cannot be clicked, or leads elsewhere.
#[test]
fn each_panel_opens_its_page_and_names_its_module() {
    let folder = built();
    let mut seen = BTreeSet::new();
    for (session, topics) in panels() {
        let (mut harness, opened) = window(folder.path(), session, vec2(1280.0, 1600.0), false);
        for topic in topics {
            let mark = format!("What is this? {}", topic.chapters[0].title);
            for chapter in topic.chapters {
                // Panels of one chapter are told apart by all that they name.
                let marks = harness.query_all_by_label(&mark).count();
                let found = (0..marks).any(|i| {
                    harness.query_all_by_label(&mark).nth(i).unwrap().click();
                    harness.run_steps(3);
                    let module = format!("Computed by {}", topic.modules);
                    let mut chapters = topic.chapters.iter();
                    let named = |chapter: &Chapter| {
                        let link = format!("Course: {}", chapter.title);
                        harness.query_by_label(&link).is_some()
                    };
                    let found = harness.query_by_label(&module).is_some() && chapters.all(named);
                    if !found {
                        harness.key_press(eframe::egui::Key::Escape);
                        harness.run_steps(3);
                    }
                    found
                });
                assert!(found, "{mark}: {}", topic.modules);
                harness
                    .get_by_label(&format!("Course: {}", chapter.title))
                    .click();
                harness.run_steps(3);
                let url = opened.recv_timeout(Duration::from_secs(10)).unwrap();
                assert!(
                    url.ends_with(&format!("/en/{}.html", chapter.page)),
                    "{url}"
                );
                seen.insert(topic.modules);
                harness.run_steps(3);
            }
        }
    }
    let all: BTreeSet<&str> = Topic::ALL.iter().map(|topic| topic.modules).collect();
    let unseen: Vec<_> = all.difference(&seen).collect();
    // Both schemes at once are asked about in pages alone.
    assert_eq!(unseen, [&Topic::POSITIONS.modules]);
}

/// Catches: a question mark that does nothing where there is no course; a command that is not the README's.
#[test]
fn where_the_course_is_not_built_it_says_how() {
    let nothing = tempfile::tempdir().unwrap();
    let (mut harness, opened) =
        window(nothing.path(), Session::first(), vec2(1280.0, 800.0), false);
    harness.get_by_label("What is this? Attention").click();
    harness.run_steps(3);
    harness.get_by_label_contains("The course is not built yet");
    harness.get_by_label(baichuan2_viz::course::BUILD);
    harness.get_by_label("Course: Attention").click();
    harness.run_steps(3);
    assert!(opened.try_recv().is_err());
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    assert!(readme.contains(baichuan2_viz::course::BUILD));
}

/// Catches: silence where the system has no browser.
#[test]
fn where_there_is_no_browser_it_says_which_file_to_open() {
    let folder = built();
    let (mut harness, opened) = window(folder.path(), Session::first(), vec2(1280.0, 800.0), true);
    harness.get_by_label("What is this? Attention").click();
    harness.run_steps(3);
    harness.get_by_label("Course: Attention").click();
    harness.run_steps(3);
    opened.recv_timeout(Duration::from_secs(10)).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    harness.run_steps(3);
    harness.get_by_label_contains("No browser can be started");
}
