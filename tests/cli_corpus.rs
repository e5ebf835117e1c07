//! `baichuan2 corpus` and `baichuan2 probe-skills`, end to end.
#![cfg(feature = "cli")]

use assert_cmd::Command;
use predicates::{prelude::PredicateBooleanExt, str::contains};
use std::fs;

#[path = "common/checkpoint.rs"]
mod common;
#[path = "common/tokenizer.rs"]
mod tokenizer;
use common::Folder;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("baichuan2").unwrap();
    command.args(arguments);
    command
}

fn stdout(mut command: Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

/// Catches: a seed that is not used; a file that differs from what is shown; a limit that is not kept.
#[test]
fn corpus_writes_the_documents_of_a_seed() {
    let ten = stdout(command(&["corpus", "--seed", "5", "--documents", "10"]));
    assert_eq!(ten, stdout(command(&["corpus", "--seed", "5"])));
    assert_ne!(ten, stdout(command(&["corpus", "--seed", "6"])));
    assert_ne!(
        ten,
        stdout(command(&["corpus", "--seed", "5", "--validation"]))
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("corpus.txt");
    let path = file.to_str().unwrap();
    let nothing = stdout(command(&[
        "corpus", "--seed", "5", "--bytes", "30000", "--out", path,
    ]));
    let text = fs::read_to_string(&file).unwrap();
    assert!(nothing.is_empty() && text.starts_with(&ten));
    assert!((30_000..40_000).contains(&text.len()), "{}", text.len());

    let nowhere = folder.path().join("none/corpus.txt");
    let mut failing = command(&["corpus", "--out", nowhere.to_str().unwrap()]);
    failing.assert().failure().stderr(contains("corpus.txt"));

    let again = |options: &[&str]| command(&[&["corpus", "--out", path], options].concat());
    again(&[])
        .assert()
        .code(1)
        .stderr(contains("exists already; --force overwrites it"));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    again(&["--force"]).assert().success();
    assert_ne!(fs::read_to_string(&file).unwrap(), text);
    let files = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 1, "no temporary files are left");
}

/// Catches: documents run together; a kind ignored; bits lost.
#[test]
fn corpus_writes_json_lines_of_one_kind() {
    let lines = stdout(command(&[
        "corpus",
        "--kind",
        "brackets",
        "--documents",
        "4",
        "--jsonl",
    ]));
    let documents: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(documents.len(), 4);
    for document in documents {
        assert_eq!(document["kind"], "brackets");
        assert!(document["bits"].as_f64().unwrap() > 1.0);
        assert!(document["text"].as_str().unwrap().contains("=>"));
    }
    let mut unknown = command(&["corpus", "--kind", "poem"]);
    unknown
        .assert()
        .failure()
        .stderr(contains("no kind of document").and(contains("story")));
}

/// Catches: kinds left out; shares that do not add up.
#[test]
fn corpus_counts_what_it_consists_of() {
    let table = stdout(command(&["corpus", "--documents", "400", "--stats"]));
    assert!(table.lines().all(|line| line.trim() == line), "{table}");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 12, "{table}");
    let (all, kinds) = rows.split_last().unwrap();
    let characters = |row: &Vec<&str>| row[2].parse::<u64>().unwrap();
    assert_eq!(all[..2], ["all", "400"]);
    assert_eq!(kinds.iter().map(characters).sum::<u64>(), characters(all));
}

/// Catches: checkpoints out of order, or without the tokenizer beside them; a tokenizer of another model; a table without its rows, or with names that say nothing.
#[test]
fn probe_skills_compares_checkpoints_in_the_order_of_their_tokens() {
    let run = run();
    let path = run.path().to_str().unwrap();
    let table = stdout(command(&[
        "probe-skills",
        "--model",
        path,
        "--checkpoints",
        "--probes",
        "2",
    ]));
    assert!(table.lines().all(|line| line.trim() == line), "{table}");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let skills = [
        "recall",
        "induction",
        "brackets",
        "arithmetic",
        "translation",
        "quotation",
        "counting",
        "sorting",
    ];
    assert_eq!(rows[0], [&["model"], &skills[..]].concat(), "{table}");
    assert_eq!(rows[1][0], "guess", "{table}");
    assert_eq!(rows[2][..2], ["900", "tokens"], "{table}");
    assert_eq!(rows[3][..2], ["2.4M", "tokens"], "{table}");
    let last = run.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(rows[4][0], last, "{table}");
    assert_eq!([rows.len(), rows[4].len()], [5, 9], "{table}");
    // Of the same last name, only the paths tell them apart.
    let copy = Folder::copy_of("tiny7b", &[]);
    let twin = copy.path().join(last);
    fs::create_dir(&twin).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.model"] {
        fs::copy(run.path().join(file), twin.join(file)).unwrap();
    }
    let twin = twin.to_str().unwrap();
    let both = [
        "probe-skills",
        "--model",
        path,
        "--model",
        twin,
        "--probes",
        "1",
    ];
    let both = stdout(command(&both));
    assert!(both.contains(&format!("\n{path} ")), "{both}");
    assert!(both.contains(&format!("\n{twin} ")), "{both}");
    // As a run of `train` lies there: all of them in one folder.
    let inside = run.path().join("checkpoints");
    fs::create_dir(&inside).unwrap();
    for checkpoint in ["tokens-0002392064", "tokens-900"] {
        fs::rename(run.path().join(checkpoint), inside.join(checkpoint)).unwrap();
    }
    let moved = [
        "probe-skills",
        "--model",
        path,
        "--checkpoints",
        "--probes",
        "2",
    ];
    assert_eq!(table, stdout(command(&moved)));
    let json = stdout(command(&[
        "probe-skills",
        "--model",
        path,
        "--probes",
        "2",
        "--json",
    ]));
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["guess"]["arithmetic"], 0.01);
    assert!(
        report["models"][0]["accuracy"]["brackets"]
            .as_f64()
            .unwrap()
            <= 1.0
    );

    let folder = Folder::copy_of("tiny7b", &["model.safetensors"]);
    let model = folder.path().to_str().unwrap();
    for (model, arguments, code, message) in [
        (model, &["--probes", "0"][..], 2, "0 is not in 1..=1000000"),
        (
            model,
            &["--seed", "-3"],
            2,
            "invalid value '-3' for '--seed <N>'",
        ),
        (model, &["--checkpoints"], 1, "no checkpoints"),
        // The path once.
        ("no/model", &[], 1, "error: no/model: is not a folder"),
    ] {
        let mut failing = command(&["probe-skills", "--model", model]);
        failing
            .args(arguments)
            .assert()
            .code(code)
            .stderr(contains(message));
    }
}

/// A folder with a model, its tokenizer and two checkpoints.
fn run() -> Folder {
    let run = Folder::copy_of("tiny7b", &["model.safetensors"]);
    run.write("tokenizer.model", tokenizer::of_bytes(&[]));
    for checkpoint in ["tokens-0002392064", "tokens-900", "tokens-none"] {
        let folder = run.path().join(checkpoint);
        fs::create_dir(&folder).unwrap();
        for file in ["config.json", "model.safetensors"] {
            fs::copy(run.path().join(file), folder.join(file)).unwrap();
        }
    }
    run
}
