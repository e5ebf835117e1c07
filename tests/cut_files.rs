//! A file of weights that is cut while it is mapped.
#![cfg(all(unix, feature = "cli"))]

use baichuan2::checkpoint::{Checkpoint, WhenCut, when_cut};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A model of our own, to be spoiled.
fn model() -> TempDir {
    let folder = TempDir::new().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/rope");
    for name in ["config.json", "model.safetensors", "tokenizer.model"] {
        fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn cut(folder: &Path) {
    let weights = File::options()
        .write(true)
        .open(folder.join("model.safetensors"))
        .unwrap();
    weights.set_len(8192).unwrap();
}

/// Catches: a program that ends where it was asked to go on; zeros in what was not cut; a mapping that another file's end spoils.
#[test]
fn a_program_may_go_on() {
    when_cut(WhenCut::ReadZeros);
    let (folder, other) = (model(), model());
    let [checkpoint, whole] = [&folder, &other].map(|f| Checkpoint::open(f.path()).unwrap());
    cut(folder.path());
    // The first 8,192 bytes hold the header, and may hold the first numbers.
    let zeros = |checkpoint: &Checkpoint| {
        let arrays = checkpoint.iter().map(|item| item.tensor.to_array());
        arrays
            .filter(|array| array.iter().all(|x| *x == 0.0))
            .count()
    };
    let cut_off = zeros(&checkpoint);
    assert!(cut_off >= checkpoint.iter().count() - 3, "{cut_off}");
    assert_eq!(zeros(&whole), 0);
    // Once more, with what was cut put down and its addresses free for another.
    drop(checkpoint);
    cut(other.path());
    assert_eq!(zeros(&whole), cut_off);
}

/// Catches: a command that ends with a signal and without a word, or goes on with weights that are none.
#[test]
fn a_command_says_which_file_it_was() {
    let folder = model();
    let mut chat = Command::new(env!("CARGO_BIN_EXE_baichuan2"))
        .args(["chat", "--max-new-tokens", "3", "--model"])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = chat.stdin.take().unwrap();
    let mut answers = BufReader::new(chat.stdout.take().unwrap());
    said.write_all(b"My name is Lily.\n").unwrap();
    let mut answer = String::new();
    answers.read_line(&mut answer).unwrap();
    assert!(!answer.trim().is_empty());
    cut(folder.path());
    said.write_all(b"What is my name?\n").unwrap();
    drop(said);
    assert_eq!(chat.wait().unwrap().code(), Some(1));
    let mut errors = String::new();
    chat.stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .unwrap();
    let file = folder.path().join("model.safetensors");
    let message = format!("error: {} was cut while it was read", file.display());
    assert!(errors.contains(&message), "{errors}");
}
