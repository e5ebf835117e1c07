//! The whole window through the names of its parts, as somebody who hears it would use it.

use baichuan2_viz::{
    app::Viz,
    save::Content,
    session::{AttentionForm, Session, View},
};
use eframe::egui::{self, Event, Key, Modifiers, Rect, Theme, accesskit::Role, vec2};
use egui_kittest::{
    Harness,
    kittest::{NodeT, Queryable},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

fn window<'a>() -> Harness<'a, Viz> {
    let mut harness = Harness::builder()
        .with_size(vec2(1280.0, 800.0))
        .with_max_steps(64)
        .build_eframe(|creation| Viz::new(creation, None));
    settle(&mut harness);
    harness
}

/// Frames until the worker has answered.
fn settle(harness: &mut Harness<Viz>) {
    const PATIENCE: Duration = Duration::from_secs(30);
    let begun = Instant::now();
    loop {
        harness.run_steps(2);
        if harness.state().is_settled() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the worker does not answer");
        std::thread::sleep(Duration::from_millis(5));
    }
    harness.run_steps(2);
}

fn tokens(harness: &Harness<Viz>) -> Vec<String> {
    let analysis = harness.state().analysis().expect("something was read");
    analysis
        .tokens
        .iter()
        .map(|token| token.label.clone())
        .collect()
}

fn write(harness: &mut Harness<Viz>, text: &str) {
    let field = harness.get_by_label("Text to read");
    field.focus();
    harness.key_combination_modifiers(Modifiers::COMMAND, &[Key::A]);
    harness.run_steps(2);
    harness.get_by_label("Text to read").type_text(text);
    settle(harness);
}

/// Catches: a window that opens empty; a first picture without anything in it.
#[test]
fn it_opens_with_a_model_a_text_and_a_map() {
    let harness = window();
    assert_eq!(tokens(&harness).len(), 14);
    harness.get_by_label("Attention, layer 4, head 0");
    harness.get_by_label_contains("14 tokens read");
    let analysis = harness.state().analysis().unwrap();
    assert_eq!(analysis.model.source.to_string(), "embedded:rope");
}

/// Catches: a text that is shown but not read; an older answer over a newer one; an empty text that ends the program.
#[test]
fn what_is_typed_is_read() {
    let mut harness = window();
    write(&mut harness, "cat");
    assert_eq!(harness.state().session().wanted.text, "cat");
    assert_eq!(tokens(&harness).concat(), "cat");
    harness.get_by_label("Text to read").focus();
    harness.run_steps(2);
    for _ in 0..3 {
        harness.key_press(Key::Backspace);
        harness.run_steps(1);
    }
    settle(&mut harness);
    harness.get_by_label_contains("Nothing to read");
    write(&mut harness, "月亮");
    assert_eq!(tokens(&harness).concat(), "月亮");
}

/// Catches: arrow keys that move two things, or leave the model; keys that act while somebody types.
#[test]
fn arrows_walk_layers_and_heads() {
    let mut harness = window();
    let at = |harness: &Harness<Viz>| {
        (
            harness.state().session().layer,
            harness.state().session().head,
        )
    };
    assert_eq!(at(&harness), (4, 0));
    for (key, there) in [
        (Key::ArrowDown, (5, 0)),
        (Key::ArrowDown, (5, 0)),
        (Key::ArrowUp, (4, 0)),
        (Key::ArrowRight, (4, 1)),
        (Key::ArrowLeft, (4, 0)),
        (Key::ArrowLeft, (4, 0)),
    ] {
        harness.key_press(key);
        harness.run_steps(2);
        assert_eq!(at(&harness), there, "{key:?}");
    }
    harness.get_by_label("Attention, layer 4, head 0");
    harness.get_by_label("Text to read").focus();
    harness.run_steps(2);
    harness.key_press(Key::ArrowUp);
    harness.run_steps(2);
    assert_eq!(at(&harness), (4, 0));
}

/// Catches: a head that is shown as off and still works; a switch that cannot be undone.
#[test]
fn a_head_switched_off_changes_what_comes_next() {
    let mut harness = window();
    let next = |harness: &Harness<Viz>| harness.state().analysis().unwrap().next(13, 1)[0].1;
    let before = next(&harness);
    harness.get_by_label("on").click();
    harness.run_steps(2);
    settle(&mut harness);
    assert_ne!(next(&harness), before);
    harness.get_by_label_contains("switched off: 4.0");
    harness.get_by_label("All on").click();
    harness.run_steps(2);
    settle(&mut harness);
    assert_eq!(next(&harness), before);
}

/// Catches: an undo that forgets the text or the view; a redo that does nothing.
#[test]
fn what_was_done_can_be_undone() {
    let mut harness = window();
    harness.run_steps(40);
    harness.get_by_label("Stream").click();
    harness.run_steps(40);
    assert_eq!(harness.state().session().view, View::Stream);
    let undo = Modifiers::COMMAND;
    harness.key_press_modifiers(undo, Key::Z);
    harness.run_steps(2);
    assert_eq!(harness.state().session().view, View::Attention);
    harness.key_press_modifiers(undo | Modifiers::SHIFT, Key::Z);
    harness.run_steps(2);
    assert_eq!(harness.state().session().view, View::Stream);
}

/// Catches: a failure that empties the window, or that loses what was typed.
#[test]
fn a_folder_that_is_no_model_is_said_and_nothing_is_lost() {
    let mut harness = window();
    let folder = tempfile::tempdir().unwrap();
    harness.get_by_label("Open…").click();
    harness.run_steps(3);
    let field = harness.get_by_label_contains("or write where it lies");
    field.focus();
    harness.run_steps(2);
    harness
        .get_by_label_contains("or write where it lies")
        .type_text(&folder.path().display().to_string());
    harness.run_steps(2);
    harness.get_by_label("Open").click();
    harness.run_steps(2);
    settle(&mut harness);
    harness.get_by_label_contains("config.json");
    assert_eq!(tokens(&harness).len(), 14);
    assert!(harness.state().session().wanted.text.starts_with("moon"));
}

/// Catches: a text of the interface without Chinese; a button that keeps its language.
#[test]
fn it_speaks_chinese() {
    let mut harness = window();
    harness.get_by_label("中文").click();
    harness.run_steps(3);
    harness.get_by_label("注意力，第 4 层，头 0");
    harness.get_by_label("词元").click();
    harness.run_steps(3);
    harness.get_by_label("English").click();
    harness.run_steps(3);
    harness.get_by_label("Attention");
}

/// Catches: a session that opens as something else; a file that is overwritten without a question; a file that is no session taken for one.
#[test]
fn a_session_is_saved_and_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine");
    let mut harness = window();
    harness.key_press(Key::ArrowUp);
    harness.get_by_label("Threads").click();
    harness.run_steps(3);
    harness.get_by_label("Save…").click();
    harness.run_steps(3);
    harness.get_by_label("File").focus();
    harness.key_combination_modifiers(Modifiers::COMMAND, &[Key::A]);
    harness.run_steps(2);
    harness
        .get_by_label("File")
        .type_text(&path.display().to_string());
    harness.run_steps(2);
    harness.get_by_label("Session").click();
    harness.run_steps(3);
    harness.get_by_label_contains("Saved:");
    harness.get_by_label("Session").click();
    harness.run_steps(3);
    harness.get_by_label_contains("click again to overwrite");
    let saved = baichuan2_viz::save::open_session(&path.with_extension("json")).unwrap();
    assert_eq!(&saved, harness.state().session());
    let other = folder.path().join("other.json");
    std::fs::write(&other, "{}").unwrap();
    let error = baichuan2_viz::save::open_session(&other)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("other.json") && error.contains("not a session"),
        "{error}"
    );
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of the desktop, on its way into the window.
#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|error| error.to_string())
    }
}

fn drop_on(harness: &mut Harness<Viz>, path: &Path) {
    let file = Arc::new(Dropped(path.to_owned()));
    harness.input_mut().dropped_files.push(file);
    harness.run_steps(2);
    settle(harness);
}

/// Catches: a drop that is not heard; a file of a model taken for a session; a model that cannot be gone back to.
#[test]
fn folders_and_sessions_are_dropped_and_remembered() {
    let mut harness = window();
    let folder = repository().join("models/alibi");
    drop_on(&mut harness, &folder.join("config.json"));
    harness.get_by_label_contains("ALiBi");
    let source =
        |harness: &Harness<Viz>| harness.state().analysis().unwrap().model.source.to_string();
    assert_eq!(source(&harness), folder.display().to_string());
    assert!(harness.state().session().wanted.text.starts_with("moon"));
    let session = tempfile::tempdir().unwrap();
    let path = session.path().join("mine.json");
    let other = Session {
        view: View::Stream,
        ..Session::first()
    };
    std::fs::write(&path, other.to_json()).unwrap();
    drop_on(&mut harness, &path);
    assert_eq!(harness.state().session(), &other);
    assert_eq!(source(&harness), "embedded:rope");
    // Among the models it is offered again.
    harness
        .get_by_role_and_label(Role::ComboBox, "Model")
        .click();
    harness.run_steps(3);
    harness.get_by_label("alibi").click();
    harness.run_steps(3);
    settle(&mut harness);
    assert_eq!(source(&harness), folder.display().to_string());
}

/// Catches: a configuration of another model; numbers that are not the decoder's.
#[test]
fn the_configuration_is_told() {
    let harness = window();
    let analysis = harness.state().analysis().unwrap();
    let c = analysis.model.decoder.config();
    harness.get_by_label(&format!(
        "{} layers · {} heads of {} · width {} · RoPE · {} pieces",
        c.num_hidden_layers, c.num_attention_heads, c.head_dim, c.hidden_size, c.vocab_size
    ));
}

/// Catches: a film that skips checkpoints, shows one and names another, or never ends; a slider that moves nothing.
#[test]
fn it_can_be_watched_while_it_learns() {
    let mut harness = window();
    let history = harness.state().analysis().unwrap().model.history.clone();
    assert!(history.len() > 3);
    harness.get_by_label("Watch it learn").click();
    let mut seen = Vec::new();
    let begun = Instant::now();
    while seen.last() != Some(&None) || seen.len() < 2 {
        harness.run_steps(1);
        let shown = harness.state().analysis().unwrap().wanted.checkpoint;
        if seen.last() != Some(&shown) {
            seen.push(shown);
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{seen:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
    let film = history.iter().copied().map(Some).chain([None]);
    let film: Vec<Option<u64>> = film.collect();
    let from = seen.iter().position(|shown| *shown == film[0]).unwrap();
    assert_eq!(seen[from..], film);
    harness.get_by_label("Watch it learn");
    harness
        .get_by_role_and_label(Role::Slider, "Tokens seen")
        .focus();
    harness.run_steps(2);
    harness.key_press(Key::ArrowLeft);
    harness.run_steps(2);
    settle(&mut harness);
    let analysis = harness.state().analysis().unwrap();
    assert_eq!(analysis.wanted.checkpoint, history.last().copied());
}

/// Catches: keys that are listed and do nothing; a list that cannot be closed.
#[test]
fn every_key_of_the_list_does_something() {
    let mut harness = window();
    harness.event(Event::Text("?".into()));
    harness.run_steps(3);
    for said in [
        "the views",
        "edit the text",
        "undo",
        "redo",
        "this list",
        "close the window",
    ] {
        harness.get_by_label(said);
    }
    harness.event(Event::Text("?".into()));
    harness.run_steps(3);
    assert!(harness.query_by_label("this list").is_none());
    let numbers = [
        Key::Num1,
        Key::Num2,
        Key::Num3,
        Key::Num4,
        Key::Num5,
        Key::Num6,
        Key::Num7,
    ];
    for (key, view) in numbers.into_iter().zip(View::ALL) {
        harness.key_press(key);
        harness.run_steps(2);
        assert_eq!(harness.state().session().view, view);
    }
    harness.event(Event::Text("/".into()));
    harness.run_steps(2);
    harness.event(Event::Text("x".into()));
    harness.run_steps(2);
    assert!(harness.state().session().wanted.text.contains('x'));
    harness.key_press(Key::Escape);
    harness.run_steps(2);
    harness.key_press(Key::Num1);
    harness.run_steps(2);
    assert_eq!(harness.state().session().view, View::ALL[0]);
}

/// Catches: a button that says what is and not what it does; a theme that stays.
#[test]
fn it_is_light_or_dark() {
    let mut harness = window();
    let is_dark = harness.ctx.theme() == Theme::Dark;
    for dark in [!is_dark, is_dark] {
        harness
            .get_by_label(if dark { "Dark" } else { "Light" })
            .click();
        harness.run_steps(3);
        assert_eq!(harness.ctx.theme() == Theme::Dark, dark);
    }
}

/// Catches: a picture or numbers that cannot be had of some view; a file of another format than its name; a half-written file.
#[test]
fn pictures_and_numbers_of_every_view_are_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window();
    for view in View::ALL {
        harness.get_by_label(view.name()).click();
        harness.run_steps(3);
        settle(&mut harness);
        harness.get_by_label("Save…").click();
        harness.run_steps(3);
        harness.get_by_label("File").focus();
        harness.key_combination_modifiers(Modifiers::COMMAND, &[Key::A]);
        harness.run_steps(2);
        let path = folder.path().join(format!("{view:?}"));
        harness
            .get_by_label("File")
            .type_text(&path.display().to_string());
        harness.run_steps(2);
        for content in Content::ALL {
            harness.get_by_label(content.name()).click();
            harness.run_steps(3);
            let file = path.with_extension(content.extension());
            harness.get_by_label(&format!("Saved: {}", file.display()));
            let bytes = std::fs::read(&file).unwrap();
            let begins: &[u8] = match content {
                Content::Session => b"{",
                Content::Svg => b"<svg",
                Content::Png => b"\x89PNG",
                Content::Csv => match view {
                    View::Tokens => b"position,id,piece,bytes",
                    View::Stream | View::Generation => b"id,piece,logit,probability",
                    _ => b"query,0 ",
                },
                Content::Npy => b"\x93NUMPY",
            };
            assert!(bytes.starts_with(begins), "{}", file.display());
        }
        harness.key_press(Key::Escape);
        harness.run_steps(3);
    }
}

/// Catches: a pass that cannot be ended; a window that waits for it; a text that is lost with it.
#[test]
fn a_long_pass_is_told_and_can_be_cancelled() {
    let mut harness = window();
    let text = "the cat sat by the sea and the moon ".repeat(400);
    harness.get_by_label("Text to read").focus();
    harness.key_combination_modifiers(Modifiers::COMMAND, &[Key::A]);
    harness.run_steps(2);
    harness.event(Event::Paste(text.clone()));
    harness.run_steps(1);
    let begun = Instant::now();
    while harness.query_by_label_contains("reading… layer").is_none() {
        harness.run_steps(1);
        assert!(begun.elapsed() < Duration::from_secs(30) && !harness.state().is_settled());
    }
    harness.get_by_label("Cancel").click();
    harness.run_steps(2);
    assert!(harness.state().is_settled());
    harness.get_by_label_contains("Cancelled");
    assert_eq!(harness.state().session().wanted.text, text);
    assert_eq!(tokens(&harness).len(), 14);
}

/// Catches: a control beyond the edge of a small window, where no pointer comes; one without a name.
#[test]
fn a_small_window_has_everything_in_it() {
    let screen = Rect::from_min_size(egui::Pos2::ZERO, vec2(1024.0, 700.0));
    for chinese in [false, true] {
        for view in View::ALL {
            for form in AttentionForm::ALL {
                if view != View::Attention && form != AttentionForm::Map {
                    continue;
                }
                let mut session = Session {
                    view,
                    form,
                    ..Session::first()
                };
                (session.query, session.key) = (Some(9), Some(3));
                let mut harness = Harness::builder()
                    .with_size(screen.size())
                    .with_max_steps(64)
                    .build_eframe(|creation| {
                        let mut viz = Viz::new(creation, Some(session));
                        if chinese {
                            viz.speak(baichuan2_viz::language::Language::Chinese);
                        }
                        viz
                    });
                settle(&mut harness);
                harness.run_steps(10);
                harness.check_accessibility();
                let root = harness.root();
                for node in root.children_recursive() {
                    let node_of = node.accesskit_node();
                    let is_control = matches!(
                        node_of.role(),
                        Role::Button
                            | Role::CheckBox
                            | Role::ComboBox
                            | Role::Slider
                            | Role::SpinButton
                    );
                    if !is_control {
                        continue;
                    }
                    let rect = node.rect();
                    if rect.top() < screen.bottom() {
                        assert!(
                            rect.right() <= screen.right() + 1.0 && rect.left() >= -1.0,
                            "{view:?} {form:?}: {:?} at {rect:?}",
                            node_of.label()
                        );
                    }
                }
            }
        }
    }
}
