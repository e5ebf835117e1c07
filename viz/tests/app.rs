//! The whole window through the names of its parts, as somebody who hears it would use it.

use baichuan2_viz::{app::Viz, session::View};
use eframe::egui::{Key, Modifiers, vec2};
use egui_kittest::{Harness, kittest::Queryable};
use std::time::{Duration, Instant};

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
