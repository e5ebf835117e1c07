//! The commands `tokenize`, `detokenize` and `train-bpe`, as a user runs them.
#![cfg(feature = "cli")]

use assert_cmd::Command;
use predicates::{prelude::PredicateBooleanExt, str::contains};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Stdio,
};
use tempfile::TempDir;

const TEXT: &str = "low lower lowest, new newer newest 2023\n你好，世界\n";

fn command() -> Command {
    let mut command = Command::cargo_bin("baichuan2").unwrap();
    command
        .env_remove("BAICHUAN2_TOKENIZER")
        .env_remove("CLICOLOR_FORCE");
    command
}

/// A folder with `text.txt` and a `tokenizer.model` that `train-bpe` made of it.
fn trained() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text.txt"), TEXT).unwrap();
    let model = folder.path().join("tokenizer.model");
    train(
        folder.path(),
        &[
            "--vocab-size",
            "294",
            "--user-defined-symbols",
            "<x>,<y>",
            "--reserved",
            "2",
        ],
    )
    .assert()
    .success()
    .stdout(contains("294 pieces").and(contains("bytes a token")));
    (folder, model)
}

fn train(folder: &Path, options: &[&str]) -> Command {
    let mut command = command();
    command
        .current_dir(folder)
        .args(["train-bpe", "--out", "tokenizer.model", "text.txt"])
        .args(options);
    command
}

/// Catches: text changed on its way through both commands, a line end too many or too few.
#[test]
fn detokenize_is_the_inverse_of_tokenize() {
    let (folder, _) = trained();
    for text in [TEXT, " lower\t 龘 <x></s>", "\n"] {
        let run = |name: &str| {
            let mut command = command();
            command.args([name, "-t"]).arg(folder.path());
            command
        };
        let ids = run("tokenize")
            .arg("--ids")
            .write_stdin(text)
            .assert()
            .success();
        let ids = ids.get_output().stdout.clone();
        run("detokenize")
            .write_stdin(ids)
            .assert()
            .success()
            .stdout(text.to_owned());
        let json = serde_json::to_string(text).unwrap() + "\n";
        let lines = run("tokenize")
            .arg("--jsonl")
            .write_stdin(json.as_str())
            .assert()
            .success();
        let line: serde_json::Value = serde_json::from_slice(&lines.get_output().stdout).unwrap();
        assert_eq!(
            line["ids"].as_array().unwrap().len(),
            line["pieces"].as_array().unwrap().len()
        );
        run("detokenize")
            .arg("--jsonl")
            .write_stdin(line["ids"].to_string())
            .assert()
            .success()
            .stdout(json);
    }
}

/// Catches: pieces not shown, bytes and spaces invisible, colours in a pipe.
#[test]
fn tokenize_shows_pieces_ids_and_counts() {
    let (_folder, model) = trained();
    let run = |options: &[&str], text: &str| {
        let mut command = command();
        command
            .args(["tokenize", "-t"])
            .arg(&model)
            .args(options)
            .arg(text)
            .assert()
            .success()
    };
    run(&[], "lower é <x>")
        .stdout(
            contains("<0xC3> <0xA9>")
                .and(contains("<x>"))
                .and(contains("▁")),
        )
        .stdout(contains("tokens, 11 characters, 12 bytes"))
        .stdout(contains("\u{1b}[").not());
    run(&["--merges"], "lower")
        .stdout(contains("   1. "))
        .stdout(contains("rank"));
    run(&["--longest-match"], "lower").stdout(contains("By longest match, which is not BPE:"));
    let json = run(&["--json"], "lower").get_output().stdout.clone();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(
        (&json["characters"], &json["bytes"]),
        (&5.into(), &5.into())
    );
    let with = |options: &[&str]| {
        let output = run(options, "</s>").get_output().stdout.clone();
        String::from_utf8(output).unwrap()
    };
    assert_eq!(with(&["--ids", "--specials"]), "2\n");
    assert_ne!(with(&["--ids"]), "2\n");
}

/// Catches: characters that nobody sees, or that turn the rest of the line around.
#[test]
fn tokenize_shows_what_is_invisible() {
    let folder = tempfile::tempdir().unwrap();
    let text = "a\u{200d}b\u{202e}c";
    fs::write(folder.path().join("text.txt"), text).unwrap();
    let all = ["--vocab-size", "265", "--character-coverage", "1"];
    train(folder.path(), &all).assert().success();
    let mut command = command();
    command.args(["tokenize", "--merges", text, "-t"]);
    command
        .arg(folder.path())
        .assert()
        .success()
        .stdout(contains(r"\u{200d}").and(contains(r"\u{202e}")))
        .stdout(contains('\u{200d}').or(contains('\u{202e}')).not());
}

/// Catches: lines wider than they may be; a piece across two of them.
#[test]
fn tokenize_keeps_within_the_columns() {
    let (_folder, model) = trained();
    let text = "lower ".repeat(30);
    for (columns, most) in [(Some("40"), 40), (None, 80), (Some("many"), 80)] {
        let mut command = command();
        command.args(["tokenize", "-t"]).arg(&model).arg(&text);
        match columns {
            Some(columns) => command.env("COLUMNS", columns),
            None => command.env_remove("COLUMNS"),
        };
        let stdout = command.assert().success().get_output().stdout.clone();
        let stdout = String::from_utf8(stdout).unwrap();
        let rows = stdout.lines().filter(|line| !line.contains(" tokens, "));
        let widest = rows.map(|line| line.chars().count()).max().unwrap();
        assert!((most - 10..=most).contains(&widest), "{widest}: {stdout}");
    }
}

/// Catches: ids that are refused for how they are separated.
#[test]
fn detokenize_takes_spaces_and_commas() {
    let (_folder, model) = trained();
    let expected = "lower";
    let mut ids = command();
    ids.args(["tokenize", "--ids", expected, "-t"]).arg(&model);
    let ids = ids.assert().success().get_output().stdout.clone();
    let ids = String::from_utf8(ids).unwrap();
    let words: Vec<&str> = ids.split_whitespace().collect();
    for arguments in [
        words.clone(),
        vec![&words.join(",")],
        words.join(", ").split(' ').collect(),
    ] {
        let mut detokenize = command();
        detokenize.args(["detokenize", "-t"]).arg(&model);
        detokenize
            .args(arguments)
            .assert()
            .success()
            .stdout(expected);
    }
}

/// Catches: a wrong input that passes, or fails without saying why; an exit code that scripts cannot use.
#[test]
fn wrong_input_is_named_with_exit_code_1_and_wrong_usage_with_2() {
    let (folder, model) = trained();
    let run = |name: &str| {
        let mut command = command();
        command.args([name, "-t"]).arg(&model);
        command
    };
    command()
        .args(["tokenize", "-t", "embedded:mamba", "x"])
        .assert()
        .code(1)
        .stderr(contains("there are embedded:rope and embedded:alibi"));
    command()
        .args(["tokenize", "-t", "nowhere", "x"])
        .assert()
        .code(1)
        .stderr(contains("nowhere: cannot be read"));
    let empty = tempfile::tempdir().unwrap();
    command()
        .args(["tokenize", "x", "-t"])
        .arg(empty.path())
        .assert()
        .code(1)
        .stderr(contains("no tokenizer.model"));
    fs::write(empty.path().join("tokenizer.json"), "{\"model\": 1}").unwrap();
    command()
        .args(["tokenize", "x", "-t"])
        .arg(empty.path())
        .assert()
        .code(1)
        .stderr(contains("tokenizer.json"));
    let half = &fs::read(&model).unwrap()[..999];
    fs::write(empty.path().join("half.model"), half).unwrap();
    command()
        .args(["tokenize", "x", "-t"])
        .arg(empty.path().join("half.model"))
        .assert()
        .code(1)
        .stderr(contains("ends too early"));
    run("tokenize")
        .write_stdin(&b"ok \xff"[..])
        .assert()
        .code(1)
        .stderr(contains("byte 3 belongs to no character"));
    run("tokenize")
        .arg("--jsonl")
        .write_stdin("\"a\"\nb\n")
        .assert()
        .code(1)
        .stderr(contains("line 2"));
    run("detokenize")
        .arg("294")
        .assert()
        .code(1)
        .stderr(contains("id 294 is outside the vocabulary of 294"));
    run("detokenize")
        .write_stdin("1 two")
        .assert()
        .code(1)
        .stderr(contains("\"two\" is not an id"));
    run("detokenize")
        .arg("--jsonl")
        .write_stdin("[1]\n[-1]\n")
        .assert()
        .code(1)
        .stderr(contains("line 2"));
    run("detokenize")
        .arg("1,two")
        .assert()
        .code(2)
        .stderr(contains("\"two\" is not an id"));
    run("tokenize")
        .args(["--ids", "--json", "x"])
        .assert()
        .code(2);
    train(folder.path(), &[])
        .assert()
        .code(2)
        .stderr(contains("--vocab-size"));
}

/// Catches: a vocabulary overwritten by mistake, or half written; an option that is ignored.
#[test]
fn train_bpe_refuses_and_explains() {
    let (folder, model) = trained();
    let before = fs::read(&model).unwrap();
    let size = ["--vocab-size", "290"];
    train(folder.path(), &size)
        .assert()
        .code(1)
        .stderr(contains("exists already; --force overwrites it"));
    let run = |options: &[&str]| train(folder.path(), &[&["--force"], options].concat());
    run(&["--vocab-size", "9999"])
        .assert()
        .code(1)
        .stderr(contains("this text yields"));
    run(&["--vocab-size", "100"])
        .assert()
        .code(1)
        .stderr(contains("special pieces, bytes and characters alone are"));
    run(&["--vocab-size", "0"])
        .assert()
        .code(1)
        .stderr(contains("vocab_size is 0"));
    run(&["--vocab-size", "290", "--character-coverage", "1.5"])
        .assert()
        .code(1)
        .stderr(contains("at most 1"));
    run(&["--vocab-size", "290", "--user-defined-symbols", "<s>"])
        .assert()
        .code(1)
        .stderr(contains("\"<s>\" has two ids"));
    run(&["--vocab-size", "290", "--reserved", "99999999999999"])
        .assert()
        .code(1)
        .stderr(contains("leaves no room in a vocabulary of 290 pieces"));
    run(&["--vocab-size", "-3"])
        .assert()
        .code(2)
        .stderr(contains("invalid value '-3' for '--vocab-size <N>'"));
    run(&["--vocab-size", "290", "absent.txt"])
        .assert()
        .code(1)
        .stderr(contains("absent.txt: cannot be read"));
    assert_eq!(
        fs::read(&model).unwrap(),
        before,
        "a failed run leaves the file alone"
    );
    run(&size).assert().success();
    assert_ne!(fs::read(&model).unwrap(), before);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        2,
        "nothing else is left behind"
    );
}

/// Catches: a broken pipe that prints an error.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (folder, model) = trained();
    let lines = "\"lower\"\n".repeat(100_000);
    fs::write(folder.path().join("lines.jsonl"), lines).unwrap();
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("baichuan2"))
        .args(["tokenize", "--jsonl", "-t"])
        .arg(model)
        .stdin(fs::File::open(folder.path().join("lines.jsonl")).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut few = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut few).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

/// Catches: a command without examples.
#[test]
fn every_help_has_examples() {
    for name in ["tokenize", "detokenize", "train-bpe"] {
        command()
            .args([name, "--help"])
            .assert()
            .success()
            .stdout(contains("Examples:\n  "));
    }
}
