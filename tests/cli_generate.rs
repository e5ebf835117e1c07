//! The commands `train`, `generate`, `chat` and `verify`, end to end, on a model that the test trains itself.
#![cfg(feature = "cli")]

use assert_cmd::Command;
use predicates::{prelude::PredicateBooleanExt, str::contains};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};
use tempfile::TempDir;

#[path = "common/checkpoint.rs"]
mod common;
use common::{Folder, golden};

fn baichuan2(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("baichuan2").unwrap();
    command.args(arguments);
    command
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

/// A text with a rhythm, in two scripts.
const TEXT: &str =
    "The cat sat on the mat.\nThe dog sat on the log.\n猫坐在垫子上。\n狗坐在木头上。\n\n";

const RECIPE: &str = "hidden_size = 32\nlayers = 2\nheads = 4\nintermediate_size = 64\ncontext = 32\nvocab_size = 500\n\
                      tokens = 24_576\nbatch_tokens = 256\nparts = 2\npeak_rate = 1e-2\nwarm_up = 5\n";

fn write_inputs(folder: &Path) {
    fs::write(folder.join("text.txt"), TEXT.repeat(60)).unwrap();
    fs::write(folder.join("recipe.toml"), RECIPE).unwrap();
}

fn train(folder: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = baichuan2(&[
        "train",
        "--recipe",
        "recipe.toml",
        "--text",
        "text.txt",
        "--out",
        out,
    ]);
    command.args(more).current_dir(folder);
    command
}

/// A model of this text, trained once for all tests of this file.
fn model() -> PathBuf {
    static MODEL: OnceLock<TempDir> = OnceLock::new();
    let folder = MODEL.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        write_inputs(folder.path());
        train(folder.path(), "model", &["--checkpoints", "3"])
            .assert()
            .success()
            .stderr(contains("done: "));
        folder
    });
    folder.path().join("model")
}

fn on_model(command: &str, arguments: &[&str]) -> Command {
    let mut cmd = baichuan2(&[command, "--model", model().to_str().unwrap()]);
    cmd.args(arguments);
    cmd
}

/// Catches: a folder that cannot be opened, a checkpoint or a log that is missing.
#[test]
fn training_writes_a_folder_that_every_command_opens() {
    let model = model();
    for file in [
        "config.json",
        "generation_config.json",
        "tokenizer.model",
        "model.safetensors",
        "recipe.toml",
        "loss.svg",
    ] {
        assert!(model.join(file).is_file(), "{file}");
    }
    assert_eq!(fs::read_dir(model.join("checkpoints")).unwrap().count(), 3);
    let log = fs::read_to_string(model.join("loss.csv")).unwrap();
    assert_eq!(log.lines().count(), 1 + 96, "a line a step");
    let loss = |line: &str| line.split(',').nth(2).unwrap().parse::<f64>().unwrap();
    let (first, last) = (
        loss(log.lines().nth(1).unwrap()),
        loss(log.lines().last().unwrap()),
    );
    assert!(first > 5.0 && last < 1.0, "{first} to {last}");
    baichuan2(&["inspect", model.to_str().unwrap()])
        .assert()
        .success()
        .stdout(contains("bf16"));
    on_model("verify", &[])
        .assert()
        .success()
        .stdout(contains("3 checks"));
}

/// Catches: a run that starts over, or repeats or skips a batch, where it was killed; a state without its log.
#[test]
fn a_run_that_was_killed_goes_on_to_the_same_bits() {
    let folder = TempDir::new().unwrap();
    write_inputs(folder.path());
    let arguments = |out| ["--text", "text.txt", "--out", out, "--checkpoints", "4"];
    let new = ["--recipe", "recipe.toml"];
    let mut whole = baichuan2(&["train"]);
    whole
        .args(arguments("whole"))
        .args(new)
        .current_dir(folder.path());
    whole.assert().success();

    let mut killed = std::process::Command::new(assert_cmd::cargo::cargo_bin("baichuan2"))
        .arg("train")
        .args(arguments("killed"))
        .args(new)
        .current_dir(folder.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // The state is saved first after the 16th of 96 steps.
    let state = folder.path().join("killed/trainer.safetensors");
    while !state.exists() && killed.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let _ = killed.kill();
    killed.wait().unwrap();
    let mut resumed = baichuan2(&["train", "--resume"]);
    resumed.args(arguments("killed")).current_dir(folder.path());
    resumed.assert().success();

    for file in ["model.safetensors", "trainer.safetensors", "loss.csv"] {
        let read = |out: &str| fs::read(folder.path().join(out).join(file)).unwrap();
        assert!(read("whole") == read("killed"), "{file} differs");
    }
}

/// Catches: a run overwritten; a recipe misread in silence; a folder without a text taken for one.
#[test]
fn training_refuses_what_it_cannot_do() {
    let folder = TempDir::new().unwrap();
    write_inputs(folder.path());
    let fails = |arguments: &[&str], told: &str| {
        let mut command = baichuan2(&["train"]);
        command.args(arguments).current_dir(folder.path());
        command.assert().code(1).stderr(contains(told));
    };
    fails(&["--out", "x", "--resume"], "holds no run to resume");
    fails(
        &["--out", "x", "--heads", "5"],
        "hidden_size (96) is not a multiple of heads (5)",
    );
    fails(
        &["--out", "x", "--text", "nowhere.txt"],
        "nowhere.txt: cannot be read as UTF-8 text",
    );
    fs::write(folder.path().join("bad.toml"), "width = 3").unwrap();
    fails(
        &["--out", "x", "--recipe", "bad.toml"],
        "unknown field `width`",
    );
    fs::create_dir(folder.path().join("empty")).unwrap();
    fails(
        &["--out", "x", "--text", "empty"],
        "empty: has no .txt or .md files",
    );
    fs::write(
        folder.path().join("nothing.txt"),
        "
",
    )
    .unwrap();
    fails(
        &["--out", "x", "--text", "nothing.txt"],
        "the text is empty",
    );
    assert!(!folder.path().join("x").exists(), "nothing is left behind");
    let model = model();
    let model = model.to_str().unwrap();
    fails(
        &["--out", model],
        "holds a run already; --resume goes on with it",
    );
    fails(
        &["--out", model, "--resume"],
        "the text is not the one that this run began with",
    );
    let tiny = golden("tiny7b");
    fails(
        &["--out", tiny.to_str().unwrap()],
        "holds config.json already; name a new folder",
    );
}

/// Catches: a model that does not read what it was trained on; a prompt printed twice; another text for the same seed.
#[test]
fn it_goes_on_as_the_text_does() {
    let text = stdout(&mut on_model(
        "generate",
        &["The cat sat", "--max-new-tokens", "4"],
    ));
    assert!(text.starts_with("The cat sat on the"), "{text}");
    let chinese = stdout(&mut on_model(
        "generate",
        &["猫坐", "--max-new-tokens", "8", "--no-prompt"],
    ));
    assert!(
        !chinese.contains('\u{fffd}') && !chinese.starts_with('猫'),
        "{chinese}"
    );
    let drawn = |seed: &str| {
        let options = [
            "The",
            "--temperature",
            "1.5",
            "--seed",
            seed,
            "--max-new-tokens",
            "30",
        ];
        stdout(&mut on_model("generate", &options))
    };
    assert_eq!(drawn("1"), drawn("1"));
    assert!((2..9).any(|seed| drawn(&seed.to_string()) != drawn("1")));
    // From a pipe, without the newline of the shell.
    let mut piped = on_model("generate", &["--max-new-tokens", "4"]);
    assert_eq!(stdout(piped.write_stdin("The cat sat\n")), text);
    on_model("generate", &["The", "--max-new-tokens", "9"])
        .assert()
        .success()
        .stderr(contains("tokens/s"));
    on_model("generate", &["The", "--quiet"])
        .assert()
        .success()
        .stderr("");
}

/// Catches: a panic, or an answer, where there is none.
#[test]
fn bad_input_is_told() {
    let fails = |arguments: &[&str], told: &str| {
        on_model("generate", arguments)
            .assert()
            .code(1)
            .stderr(contains(told));
    };
    fails(&[""], "the prompt is empty");
    fails(&["--ids", ""], "--ids");
    fails(
        &["--ids", "1,77777"],
        "token id 77777 (at position 1 of the input) is outside the vocabulary of 500 ids",
    );
    fails(
        &["x", "--temperature", "-1"],
        "the temperature is -1; it must be at least 0.0001",
    );
    fails(
        &["x", "--top-p", "0"],
        "top-p is 0; it must be above 0 and at most 1",
    );
    let long = "cat ".repeat(200);
    fails(
        &[&long],
        "but the context is 32; shorten it or allow a longer context (--context)",
    );
    baichuan2(&["generate", "--model", "nowhere", "x"])
        .assert()
        .code(1)
        .stderr(contains("nowhere: is not a folder"));
    let tiny = golden("tiny7b");
    let text = ["generate", "--model", tiny.to_str().unwrap(), "x"];
    baichuan2(&text)
        .assert()
        .code(1)
        .stderr(contains("has neither tokenizer.model nor tokenizer.json"));
    // A context that fills up ends the text, and says so.
    on_model(
        "generate",
        &["The cat sat", "--context", "8", "--max-new-tokens", "20"],
    )
    .assert()
    .success()
    .stderr(contains("the context is full"));
    on_model(
        "generate",
        &["--context", "64", "The cat sat", "--max-new-tokens", "10"],
    )
    .assert()
    .success()
    .stderr(contains("stopped at the length asked for"));
}

/// Catches: messages that are not answered one by one; an answer on the wrong stream.
#[test]
fn a_pipe_converses_line_by_line() {
    let mut chat = on_model("chat", &["--max-new-tokens", "3"]);
    let said = chat.write_stdin("The cat sat\n\n猫\n").assert().success();
    let output = String::from_utf8(said.get_output().stdout.clone()).unwrap();
    assert_eq!(output.lines().count(), 2, "{output:?}");
    let figures = String::from_utf8(said.get_output().stderr.clone()).unwrap();
    assert_eq!(figures.matches("prompt: ").count(), 2, "{figures}");
    on_model("chat", &["--context", "4", "--max-new-tokens", "4"])
        .write_stdin("hi\n")
        .assert()
        .code(1)
        .stderr(contains("leaves no room for a prompt"));
    let tiny = golden("tiny7b");
    baichuan2(&["chat", "--model", tiny.to_str().unwrap()])
        .write_stdin("hi\n")
        .assert()
        .code(1)
        .stderr(contains("tokenizer"));
}

/// Catches: a verification that passes whatever the numbers are.
#[test]
fn verify_fails_on_a_number_that_is_off() {
    let folder = Folder::copy_of(
        "tiny7b",
        &["acts.safetensors", "golden.json", "model.safetensors"],
    );
    let verify = || baichuan2(&["verify", "--model", folder.path().to_str().unwrap()]);
    verify()
        .assert()
        .success()
        .stdout(contains("passed").and(contains("FAILED").not()));
    let golden = folder.read("golden.json");
    folder.write(
        "golden.json",
        golden.replacen("\"loss_with_z\": 6.0969", "\"loss_with_z\": 6.0979", 1),
    );
    verify()
        .assert()
        .code(1)
        .stdout(contains("FAILED"))
        .stderr(contains("1 of 47 checks did not pass"));
    folder.write("golden.json", &golden);
    // One weight, changed by a hair: from there on everything is off.
    let mut weights = fs::read(folder.path().join("model.safetensors")).unwrap();
    let last = weights.len() - 1;
    weights[last] ^= 1;
    folder.write("model.safetensors", &weights);
    verify()
        .assert()
        .code(1)
        .stderr(contains("checks did not pass"));
    folder.write("golden.json", "{");
    verify().assert().code(1).stderr(contains("golden.json"));
    weights.truncate(last);
    folder.write("model.safetensors", &weights);
    verify()
        .assert()
        .code(1)
        .stderr(contains("model.safetensors"));
}

/// Catches: a format of the cache that is not offered, or anything but f16 and f32 taken for one; another text.
#[test]
fn the_cache_may_be_in_f16() {
    let text = |arguments: &[&str]| {
        let mut generate = on_model("generate", &["--max-new-tokens", "20", "The cat"]);
        stdout(generate.args(arguments))
    };
    assert_eq!(text(&["--cache", "f16"]), text(&["--cache", "f32"]));
    assert_eq!(text(&["--cache", "f16"]), text(&[]));
    on_model("generate", &["--cache", "f8", "The cat"])
        .assert()
        .code(2)
        .stderr(contains("f16").and(contains("f32")));
    baichuan2(&["chat", "--help"])
        .assert()
        .success()
        .stdout(contains("--cache"));
}
