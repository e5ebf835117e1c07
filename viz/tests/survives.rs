//! What a reader may bring: the window says what is wrong, and keeps what was typed.

use baichuan2_viz::{
    app::Viz,
    session::{Session, View},
};
use eframe::egui::{Event, Key, Modifiers, vec2};
use egui_kittest::{Harness, kittest::Queryable};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const TYPED: &str = "moon fish tree | moon fish";

fn window<'a>(view: View) -> Harness<'a, Viz> {
    window_with(view, |viz| viz)
}

fn window_with<'a>(view: View, with: impl FnOnce(Viz) -> Viz) -> Harness<'a, Viz> {
    let mut session = Session {
        view,
        ..Session::first()
    };
    session.wanted.text = TYPED.into();
    let mut harness = Harness::builder()
        .with_size(vec2(1280.0, 800.0))
        .with_max_steps(64)
        // As where no font is installed: a letter that the window's own lack is a box.
        .allow_missing_glyphs()
        .build_eframe(|creation| with(Viz::new(creation, Some(session))));
    settle(&mut harness);
    harness
}

/// Frames until the worker has answered.
fn settle(harness: &mut Harness<Viz>) {
    let begun = Instant::now();
    loop {
        harness.run_steps(2);
        if harness.state().is_settled() {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "the worker does not answer"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    harness.run_steps(2);
}

/// Frames until something is said.
fn until_said(harness: &mut Harness<Viz>, part: &str) {
    let begun = Instant::now();
    while harness.query_by_label_contains(part).is_none() {
        harness.run_steps(2);
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "never said: {part}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A folder with the small model, to be spoiled.
fn model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/rope");
    for name in ["config.json", "model.safetensors", "tokenizer.model"] {
        fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn weights(folder: &Path) -> PathBuf {
    folder.join("model.safetensors")
}

/// Opens a folder as somebody does who writes where it lies.
fn open(harness: &mut Harness<Viz>, folder: &Path) {
    harness.get_by_label("Open…").click();
    harness.run_steps(3);
    harness
        .get_by_label_contains("or write where it lies")
        .focus();
    harness.run_steps(2);
    // What was written there before is written over.
    harness.key_combination_modifiers(Modifiers::COMMAND, &[Key::A]);
    harness.run_steps(2);
    let path = folder.display().to_string();
    harness
        .get_by_label_contains("or write where it lies")
        .type_text(&path);
    harness.run_steps(2);
    harness.get_by_label("Open").click();
    harness.run_steps(2);
    settle(harness);
}

fn is_as_it_was(harness: &Harness<Viz>) {
    assert_eq!(harness.state().session().wanted.text, TYPED);
    let analysis = harness.state().analysis().expect("what was shown stays");
    assert!(analysis.tokens.len() > 4);
}

/// Catches: a failure that empties the window or loses what was typed, for a folder that is no model, is not there, or is not whole.
#[test]
fn a_folder_that_is_no_model() {
    let nowhere = tempfile::tempdir().unwrap();
    let path = nowhere.path().join("nothing here");
    let empty = tempfile::tempdir().unwrap();
    let no_weights = model();
    fs::remove_file(weights(no_weights.path())).unwrap();
    let no_tokenizer = model();
    fs::remove_file(no_tokenizer.path().join("tokenizer.model")).unwrap();
    let no_json = model();
    fs::write(no_json.path().join("config.json"), "{ \"hidden_size\": ").unwrap();
    for (folder, said) in [
        (path.as_path(), "nothing here"),
        (empty.path(), "config.json"),
        (no_weights.path(), "model.safetensors"),
        (no_tokenizer.path(), "no tokenizer"),
        (no_json.path(), "config.json"),
    ] {
        let mut harness = window(View::Attention);
        open(&mut harness, folder);
        until_said(&mut harness, said);
        is_as_it_was(&harness);
    }
}

/// Catches: a header that is believed; a read behind the end of a file, which ends the program; a message that does not name the file.
#[test]
fn a_truncated_checkpoint() {
    let whole = fs::read(weights(model().path())).unwrap();
    for len in [0, 4, 100, whole.len() / 2, whole.len() - 1] {
        let folder = model();
        fs::write(weights(folder.path()), &whole[..len]).unwrap();
        let mut harness = window(View::Attention);
        open(&mut harness, folder.path());
        until_said(&mut harness, "model.safetensors");
        is_as_it_was(&harness);
    }
}

/// Where the numbers of a tensor lie in a safetensors file.
fn place_of(bytes: &[u8], tensor: &str) -> std::ops::Range<usize> {
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let json: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let offsets = &json[tensor]["data_offsets"];
    let at = |i: usize| 8 + header + offsets[i].as_u64().unwrap() as usize;
    at(0)..at(1)
}

/// Catches: a picture of numbers that are none; a panic where they are ordered; silence.
#[test]
fn weights_with_nan() {
    for tensor in [
        "model.embed_tokens.weight",
        "model.layers.0.self_attn.W_pack.weight",
        "model.layers.5.mlp.down_proj.weight",
        "model.norm.weight",
        "lm_head.weight",
    ] {
        let folder = model();
        let mut bytes = fs::read(weights(folder.path())).unwrap();
        let place = place_of(&bytes, tensor);
        // NaN in every float format.
        bytes[place].fill(0xff);
        fs::write(weights(folder.path()), bytes).unwrap();
        let mut harness = window(View::Attention);
        open(&mut harness, folder.path());
        until_said(&mut harness, "not finite");
        is_as_it_was(&harness);
        // Another model is opened as if nothing had been.
        let sound = model();
        open(&mut harness, sound.path());
        harness.get_by_label_contains("tokens read in");
    }
}

/// The model open, in a view that computes with its weights.
fn opened<'a>(folder: &Path, view: View) -> Harness<'a, Viz> {
    let mut harness = window(view);
    open(&mut harness, folder);
    harness.get_by_label_contains("tokens read in");
    harness
}

/// What a file system with coarse times tells from what was written before.
fn later(path: &Path, bytes: &[u8]) {
    let before = fs::metadata(path).unwrap().modified().unwrap();
    fs::write(path, bytes).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(before + Duration::from_secs(2)).unwrap();
}

/// Catches: a mapping that is read behind the new end of its file, which ends the program; old numbers under a new name; a file that came back unseen.
#[test]
fn a_model_cut_short_while_it_is_open() {
    for view in View::ALL {
        let folder = model();
        let file = weights(folder.path());
        let whole = fs::read(&file).unwrap();
        let mut harness = opened(folder.path(), view);
        // In place: the file that is mapped, and not another under its name.
        later(&file, &whole[..4096]);
        // Nobody has to do anything for it.
        until_said(&mut harness, "model.safetensors");
        is_as_it_was(&harness);
        // What is done meanwhile: all views compute with weights.
        for view in View::ALL {
            harness.get_by_label(view.name()).click();
            harness.run_steps(3);
        }
        harness.get_by_label("Generation").click();
        harness.run_steps(3);
        harness.get_by_label("One token").click();
        harness.run_steps(10);
        is_as_it_was(&harness);
        later(&file, &whole);
        until_said(&mut harness, "was read anew");
        settle(&mut harness);
        is_as_it_was(&harness);
    }
}

/// Catches: the numbers of the old model under the new one's name; a model that is read anew without a word.
#[test]
fn a_model_replaced_while_it_is_open() {
    let folder = model();
    let mut harness = opened(folder.path(), View::Attention);
    let next = |harness: &Harness<Viz>| harness.state().analysis().unwrap().next(4, 1)[0];
    let before = next(&harness);
    let history = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/rope/checkpoints");
    let mut earlier: Vec<PathBuf> = fs::read_dir(history)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    earlier.sort();
    let file = weights(&earlier[0]);
    later(&weights(folder.path()), &fs::read(file).unwrap());
    until_said(&mut harness, "was read anew");
    assert_ne!(next(&harness), before);
    is_as_it_was(&harness);
}

/// Catches: an empty text that ends the program or leaves an old picture, in any view.
#[test]
fn an_empty_text() {
    for view in View::ALL {
        let mut harness = window(view);
        harness.get_by_label("Text to read").focus();
        harness.key_combination_modifiers(Modifiers::COMMAND, &[Key::A]);
        harness.run_steps(2);
        harness.key_press(Key::Backspace);
        harness.run_steps(2);
        settle(&mut harness);
        assert_eq!(harness.state().session().wanted.text, "");
        harness.get_by_label_contains("Nothing to read");
    }
}

/// Catches: a paste that is cut, that stops the window, or whose rest is left out without a word.
#[test]
fn a_hundred_thousand_characters() {
    let text: String = "The cat sat by the sea. 从前有一只小猫。\n"
        .chars()
        .cycle()
        .take(100_000)
        .collect();
    for view in View::ALL {
        let mut harness = window(view);
        harness.get_by_label("Text to read").focus();
        harness.key_combination_modifiers(Modifiers::COMMAND, &[Key::A]);
        harness.run_steps(2);
        harness.event(Event::Paste(text.clone()));
        harness.run_steps(1);
        assert_eq!(harness.state().session().wanted.text, text);
        // The longest frame while it is read.
        let mut longest = Duration::ZERO;
        let begun = Instant::now();
        while !harness.state().is_settled() {
            let frame = Instant::now();
            harness.run_steps(1);
            longest = longest.max(frame.elapsed());
            assert!(begun.elapsed() < Duration::from_secs(120), "{view:?}");
        }
        harness.run_steps(2);
        harness.get_by_label_contains("4096 tokens read");
        harness.get_by_label_contains("more were left out");
        harness.get_by_label("Read all");
        assert_eq!(harness.state().session().wanted.text, text);
        println!("{view:?}: the longest frame took {longest:?}");
    }
}

/// Catches: a panic, or a text that is changed, where no font has its letters: scripts and signs that the window's own fonts do not have.
#[test]
fn no_font_for_it() {
    for view in View::ALL {
        let mut harness = window(view);
        harness.get_by_label("Text to read").focus();
        harness.key_combination_modifiers(Modifiers::COMMAND, &[Key::A]);
        harness.run_steps(2);
        let text = "བོད་ 🦜🏽 \u{10ffff} \u{200f}שלום 筝";
        harness.event(Event::Paste(text.into()));
        harness.run_steps(2);
        settle(&mut harness);
        assert_eq!(harness.state().session().wanted.text, text);
        harness.get_by_label_contains("tokens read in");
    }
}

/// Catches: a window that waits for a dialog; an answer of none taken for a folder; silence where no dialog can be opened.
#[test]
fn no_dialog() {
    let mut harness = window_with(View::Attention, |viz| viz.with_dialog(|_| None));
    harness.get_by_label("Open…").click();
    harness.run_steps(3);
    harness.get_by_label("Choose a folder…").click();
    harness.run_steps(3);
    until_said(&mut harness, "write the path in the field");
    // The field is still there to be written in.
    harness.get_by_label_contains("or write where it lies");
    is_as_it_was(&harness);
}
