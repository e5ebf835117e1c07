//! `baichuan2 fetch` against a server that answers as the hub does.
#![cfg(feature = "cli")]

use assert_cmd::Command;
use predicates::{prelude::PredicateBooleanExt, str::contains};
use std::{fs, path::Path};
use tempfile::TempDir;

#[path = "common/checkpoint.rs"]
mod common;
#[path = "common/hub.rs"]
mod hub;
use common::golden;
use hub::{COMMIT, Fault, REPO, Server};

/// A repository with these files of `tiny7b`, and some that no checkpoint needs.
fn repository(files: &[&str]) -> Vec<(String, Vec<u8>)> {
    let golden = |name: &&str| {
        (
            name.to_string(),
            fs::read(golden("tiny7b").join(name)).unwrap(),
        )
    };
    let always = ["config.json", "generation_config.json"];
    let mut all: Vec<_> = always.iter().chain(files).map(golden).collect();
    for name in [
        "modeling_baichuan.py",
        "README.md",
        "training_args.bin",
        "sub/model.safetensors",
    ] {
        all.push((name.to_owned(), b"not needed".to_vec()));
    }
    all
}

fn fetch(server: &Server, out: &Path) -> Command {
    let mut command = Command::cargo_bin("baichuan2").unwrap();
    let out = out.to_str().unwrap();
    command
        .args(["fetch", REPO, "--out", out, "--endpoint", &server.endpoint])
        .env_remove("HF_TOKEN")
        .env("HF_HOME", out.to_owned() + ".home");
    command
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Catches: code or both forms of the weights downloaded; files that differ from the hub's.
#[test]
fn only_what_is_needed_is_fetched_and_it_opens() {
    let server = Server::start(
        repository(&["model.safetensors", "pytorch_model.bin"]),
        Fault::None,
    );
    let out = TempDir::new().unwrap();
    let folder = out.path().join("tiny");
    fetch(&server, &folder)
        .assert()
        .success()
        .stdout(contains(folder.to_str().unwrap()))
        .stderr(contains("next: baichuan2 inspect"));
    let fetched = ["config.json", "generation_config.json", "model.safetensors"];
    assert_eq!(names(&folder), fetched);
    for name in fetched {
        let same = fs::read(golden("tiny7b").join(name)).unwrap();
        assert_eq!(fs::read(folder.join(name)).unwrap(), same);
    }

    // What is there is not fetched again.
    let before = server.requests().len();
    fetch(&server, &folder).assert().success();
    let again = server.requests().split_off(before);
    assert!(
        again
            .iter()
            .all(|request| request.contains("/api/") || request.contains(" 0-0 ")),
        "{again:?}"
    );
}

/// Catches: torch weights passed over where a model has no others.
#[test]
fn torch_weights_are_fetched_where_there_are_no_others() {
    let server = Server::start(repository(&["pytorch_model.bin"]), Fault::None);
    let out = TempDir::new().unwrap();
    fetch(&server, out.path()).assert().success();
    assert!(names(out.path()).contains(&"pytorch_model.bin".to_owned()));
}

/// Catches: a cache that other programs cannot share; a branch that is not remembered.
#[cfg(unix)]
#[test]
fn without_a_folder_the_shared_cache_is_used() {
    let server = Server::start(repository(&["model.safetensors"]), Fault::None);
    let home = TempDir::new().unwrap();
    let run = || {
        let mut command = Command::cargo_bin("baichuan2").unwrap();
        command
            .args(["fetch", REPO])
            .env("HF_ENDPOINT", &server.endpoint)
            .env("HF_HOME", home.path())
            .env("HF_TOKEN", "secret")
            .assert()
            .success();
    };
    run();
    let cached = home.path().join("hub/models--org--tiny");
    let snapshot = cached.join("snapshots").join(COMMIT);
    assert!(baichuan2::checkpoint::Checkpoint::open(&snapshot).is_ok());
    assert!(
        fs::symlink_metadata(snapshot.join("model.safetensors"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(
        fs::read_to_string(cached.join("refs/main")).unwrap(),
        COMMIT
    );
    assert!(
        server
            .requests()
            .iter()
            .all(|r| r.contains("Bearer secret") || r.contains("/cdn/"))
    );
    let before = server.requests().len();
    run();
    assert!(
        server
            .requests()
            .split_off(before)
            .iter()
            .all(|r| !r.contains("/cdn/") || r.contains("0-0"))
    );
}

/// Catches: a download that begins anew after a cut, or that glues the wrong pieces together.
#[test]
fn a_cut_connection_goes_on_where_it_stopped() {
    let server = Server::start(repository(&["model.safetensors"]), Fault::Cut(2));
    let out = TempDir::new().unwrap();
    fetch(&server, out.path()).assert().success();
    let whole = fs::read(golden("tiny7b/model.safetensors")).unwrap();
    assert_eq!(
        fs::read(out.path().join("model.safetensors")).unwrap(),
        whole
    );
    let half = whole.len() / 2;
    let rest = half + (whole.len() - half) / 2;
    let requests = server.requests().join("\n");
    for start in [half, rest] {
        assert!(
            requests.contains(&format!("/cdn/model.safetensors {start}-")),
            "{requests}"
        );
    }
}

/// Catches: a partial file that is lost, or counted twice, when the command is run again.
#[test]
fn an_interrupted_command_goes_on_when_it_is_run_again() {
    let server = Server::start(repository(&["model.safetensors"]), Fault::Cut(usize::MAX));
    let out = TempDir::new().unwrap();
    fetch(&server, out.path())
        .assert()
        .code(1)
        .stderr(contains("model.safetensors").and(contains("run the same command again")));
    let size = fs::metadata(golden("tiny7b/model.safetensors"))
        .unwrap()
        .len();
    server.set_fault(Fault::None);
    let before = server.requests().len();
    // Less is free than the whole file needs, and more than what is left of it.
    fetch(&server, out.path())
        .args(["--free-space", &(size / 2).to_string()])
        .assert()
        .success();
    let again = server.requests().split_off(before);
    let resumed = again
        .iter()
        .filter(|r| r.starts_with("/cdn/model.safetensors"));
    let starts: Vec<_> = resumed
        .filter_map(|r| r.split(' ').nth(1))
        .filter(|range| *range != "0-0")
        .collect();
    assert!(matches!(starts[..], [one] if one != "0-"), "{starts:?}");
    assert_eq!(
        names(out.path()),
        ["config.json", "generation_config.json", "model.safetensors"]
    );
}

/// Catches: a file that differs from the hub's and is kept; one that is refused for ever after.
#[test]
fn a_corrupted_file_is_noticed_and_removed() {
    let server = Server::start(repository(&["model.safetensors"]), Fault::Corrupt);
    let out = TempDir::new().unwrap();
    fetch(&server, out.path()).assert().code(1).stderr(contains(
        "model.safetensors: what arrived is not what the hub holds (SHA-256",
    ));
    assert!(!out.path().join("model.safetensors").exists());
    server.set_fault(Fault::None);
    fetch(&server, out.path()).assert().success();
}

/// Catches: a whole file appended to its first half, because the server ignores ranges.
#[test]
fn a_server_that_ignores_ranges_is_noticed() {
    let server = Server::start(repository(&["model.safetensors"]), Fault::Cut(usize::MAX));
    let out = TempDir::new().unwrap();
    fetch(&server, out.path()).assert().code(1);
    server.set_fault(Fault::NoRanges);
    fetch(&server, out.path())
        .assert()
        .code(1)
        .stderr(contains("bytes instead of"));
    server.set_fault(Fault::None);
    fetch(&server, out.path()).assert().success();
}

/// Catches: a disk that is filled before anyone looks.
#[test]
fn too_little_space_is_told_before_anything_is_fetched() {
    let server = Server::start(repository(&["model.safetensors"]), Fault::None);
    let out = TempDir::new().unwrap();
    fetch(&server, out.path())
        .args(["--free-space", "1000"])
        .assert()
        .code(1)
        .stderr(contains("bytes are needed, 1000 are free"));
    let fetched = server
        .requests()
        .into_iter()
        .filter(|r| r.contains("/cdn/"));
    assert!(
        fetched.clone().all(|r| r.contains(" 0-0 ")),
        "{:?}",
        fetched.collect::<Vec<_>>()
    );
}

/// Catches: a refusal that does not say what to do about it.
#[test]
fn refusals_say_what_to_do() {
    let out = TempDir::new().unwrap();
    for (status, said) in [
        (401, "set HF_TOKEN"),
        (403, "set HF_TOKEN"),
        (404, "has no model `org/tiny` with a revision `main`"),
        (500, "run the same command again"),
    ] {
        let server = Server::start(repository(&[]), Fault::Status(status));
        fetch(&server, out.path())
            .assert()
            .code(1)
            .stderr(contains(said));
    }
    let server = Server::start(repository(&[]), Fault::None);
    fetch(&server, out.path())
        .assert()
        .code(1)
        .stderr(contains("`org/tiny` has no config.json with"));
    let mut command = Command::cargo_bin("baichuan2").unwrap();
    command
        .args(["fetch", "70b"])
        .assert()
        .code(1)
        .stderr(contains("one of 7b-base"));
    for (endpoint, said) in [
        ("not a url", "error: not a url: is no address of a server"),
        (
            "http://127.0.0.1:1",
            "error: http://127.0.0.1:1, list of files",
        ),
    ] {
        let mut command = Command::cargo_bin("baichuan2").unwrap();
        command
            .args(["fetch", REPO, "--endpoint", endpoint])
            .env("HF_HOME", out.path())
            .assert()
            .code(1)
            .stderr(contains(said));
    }
    let mut command = Command::cargo_bin("baichuan2").unwrap();
    command.args(["fetch"]).assert().code(2);
}

/// Catches: names from a server that become paths of this machine.
#[test]
fn a_server_chooses_no_paths() {
    let mut files = repository(&["model.safetensors"]);
    files.push(("../model-evil.safetensors".into(), vec![0; 10]));
    files.push(("model-/../../evil.safetensors".into(), vec![0; 10]));
    let server = Server::start(files, Fault::None);
    let out = TempDir::new().unwrap();
    let folder = out.path().join("deep/tiny");
    fetch(&server, &folder).assert().success();
    assert_eq!(
        names(&folder),
        ["config.json", "generation_config.json", "model.safetensors"]
    );
    assert_eq!(names(out.path()), ["deep"]);
}

/// Catches: a help that does not show how a script gets at the folder.
#[test]
fn help_has_examples() {
    let mut command = Command::cargo_bin("baichuan2").unwrap();
    let help = command.args(["fetch", "--help"]).assert().success();
    help.stdout(
        contains("Examples:\n  baichuan2 fetch").and(contains("$(baichuan2 fetch 7b-chat)")),
    );
}
