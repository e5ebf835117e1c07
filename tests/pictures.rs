//! The commands `attention` and `trace`, end to end.

#![cfg(feature = "cli")]

#[path = "common/checkpoint.rs"]
mod checkpoint;

use assert_cmd::Command;
use baichuan2::{
    checkpoint::{Checkpoint, read_safetensors, write_safetensors},
    dtransformer::Config,
    probe::{LayerSite, Probe, Site},
    tensor::Dtype,
    training::{Parameters, export},
};
use checkpoint::{Folder, golden};
use ndarray::{ArrayD, ArrayViewD, Axis};
use ndarray_npy::read_npy;
use predicates::{Predicate, prelude::PredicateBooleanExt, str::contains};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// The command, as it is where there is no terminal.
fn baichuan2(command: &str, model: &Path) -> Command {
    let mut cmd = Command::cargo_bin("baichuan2").unwrap();
    cmd.args([command, "--model"]).arg(model);
    cmd.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    cmd
}

/// It ends with the error `told`, and prints nothing else.
fn fails(cmd: &mut Command, told: impl Predicate<str>) {
    let failed = cmd.assert().code(1).stdout("");
    let stderr = String::from_utf8_lossy(&failed.get_output().stderr);
    assert!(
        stderr.starts_with("error: ") && told.eval(&stderr),
        "{stderr}"
    );
}

fn read_f32(path: &Path) -> Vec<(String, ArrayD<f32>)> {
    let tensors = read_safetensors(fs::read(path).unwrap().into()).unwrap();
    // Ids, in integers, are no tensors of the decoder.
    let arrays = tensors.into_iter();
    arrays
        .filter_map(|(name, t)| Some((name, t.ok()?.to_array())))
        .collect()
}

fn ids_of(size: &str) -> Vec<u32> {
    let json = fs::read(golden(size).join("golden.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    serde_json::from_value(json["prompt_ids"].clone()).unwrap()
}

fn list(ids: &[u32]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(",")
}

/// Catches: an intermediate that is missing, misnamed, of another shape, or another number than the shipped code's.
#[test]
fn trace_writes_what_the_shipped_code_computes() {
    for size in ["tiny7b", "tiny13b"] {
        let folder = TempDir::new().unwrap();
        let out = folder.path().join("acts.safetensors");
        let mut trace = baichuan2("trace", &golden(size));
        trace
            .args(["--ids", &list(&ids_of(size)), "--out"])
            .arg(&out);
        let table = trace.assert().success();
        let table = String::from_utf8_lossy(&table.get_output().stdout).into_owned();
        let names = table.lines().skip(1).map_while(|l| l.split(' ').next());
        let names: Vec<&str> = names.take_while(|name| !name.is_empty()).collect();
        let expected: Vec<String> = Site::all(2).map(|site| site.to_string()).collect();
        assert_eq!(names, expected, "{size}: in the order of the pass");

        let ours: std::collections::HashMap<_, _> = read_f32(&out).into_iter().collect();
        let mut worst: f32 = 0.0;
        let mut compared = 0;
        for (name, theirs) in read_f32(&golden(size).join("acts.safetensors")) {
            let Some(name) = name.strip_prefix("plain.") else {
                continue;
            };
            let ours = ours
                .get(name)
                .unwrap_or_else(|| panic!("{size}: no {name}"));
            assert_eq!(ours.shape(), theirs.shape(), "{size}: {name}");
            for (a, b) in ours.iter().zip(&theirs) {
                worst = worst.max((a - b).abs());
                assert!((a - b).abs() <= 2e-5, "{size}: {name}: {a} is not {b}");
            }
            compared += 1;
        }
        assert_eq!(compared, 25, "{size}");
        eprintln!("{size}: {compared} arrays, largest difference {worst:e}");
        assert_eq!(ours.len(), 1 + 2 * 13 + 2, "{size}");
    }
}

/// Catches: a filter that filters the table or the file alone, one that matches nothing without a word.
#[test]
fn trace_of_some_names() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("some.safetensors");
    let mut trace = baichuan2("trace", &golden("tiny7b"));
    trace.args([
        "--ids",
        "1,2",
        "--only",
        "layers.1.q*",
        "--only",
        "logits",
        "--out",
    ]);
    let table = trace.arg(&out).assert().success();
    let stdout = String::from_utf8(table.get_output().stdout.clone()).unwrap();
    let rows: Vec<&str> = stdout
        .lines()
        .filter_map(|l| l.split_whitespace().next())
        .collect();
    assert_eq!(rows, ["name", "layers.1.q_rot", "logits"]);
    let mut names: Vec<String> = read_f32(&out).into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, ["layers.1.q_rot", "logits"]);

    let mut trace = baichuan2("trace", &golden("tiny7b"));
    trace.args(["--ids", "1", "--only", "layers.9.*"]);
    fails(
        &mut trace,
        contains("matches no intermediate").and(contains("layers.1.")),
    );
}

/// Catches: a trace that ends with the pass, where NaN appear, and shows nothing; the wrong culprit, or none where it is filtered out.
#[test]
fn trace_points_at_the_first_nan() {
    let folder = Folder::copy_of("tiny7b", &[]);
    let mut arrays = checkpoint::arrays("tiny7b");
    arrays["model.layers.1.mlp.up_proj.weight"][[3, 5]] = f32::NAN;
    write_safetensors(folder.path().join("model.safetensors"), arrays).unwrap();
    let out = folder.path().join("acts.safetensors");
    let mut trace = baichuan2("trace", folder.path());
    trace.args(["--ids", "1,2,3", "--out"]).arg(&out);
    let found =
        "first intermediate that is not finite: layers.1.up_proj (NaN: 3, infinite: 0, of 516)";
    let assert = trace.assert().code(1);
    assert
        .stdout(contains(found))
        .stderr(contains("error: the logits after token 0 are not finite"));
    let written = read_f32(&out);
    let logits = written.iter().find(|(name, _)| name == "logits").unwrap();
    assert!(logits.1.iter().all(|x| x.is_nan()));

    let mut trace = baichuan2("trace", folder.path());
    trace.args(["--ids", "1,2,3", "--only", "layers.0.*"]);
    trace
        .assert()
        .code(1)
        .stdout(contains(found).and(contains("layers.1.out").not()));
}

/// The library's attention weights of one layer, or of all.
///
/// A layer that is watched makes its whole map, one that is not works in blocks: their outputs differ in the last bits, and so do the
/// weights of later layers. To compare bits, the same layers must be watched.
struct Probs(Option<usize>, Vec<ArrayD<f32>>);

impl Probe for Probs {
    fn wants(&self, site: Site) -> bool {
        matches!(site, Site::Layer(layer, LayerSite::AttnProbs) if self.0.is_none_or(|l| l == layer))
    }

    fn see(&mut self, _: Site, value: ArrayViewD<f32>) {
        self.1.push(value.to_owned());
    }
}

fn probs(model: &Path, ids: &[u32], layer: Option<usize>) -> Vec<ArrayD<f32>> {
    let decoder = Checkpoint::open(model).unwrap().decoder().unwrap();
    let mut probs = Probs(layer, Vec::new());
    decoder
        .forward_last(ids, &mut decoder.new_cache(), Some(&mut probs))
        .unwrap();
    probs.1
}

/// Catches: numbers that were scaled, pooled or hidden on their way to the file; layers or heads counted from 1; axes exchanged.
#[test]
fn npy_holds_the_weights_as_they_are() {
    let model = golden("tiny13b");
    let ids = ids_of("tiny13b");
    let layers = probs(&model, &ids, None);
    let [second] = probs(&model, &ids, Some(1)).try_into().unwrap();
    let folder = TempDir::new().unwrap();
    let saved = |layer: &str, head: &str| -> ArrayD<f32> {
        let file = folder.path().join(format!("{layer}-{head}.npy"));
        let mut cmd = baichuan2("attention", &model);
        cmd.args([
            "--ids",
            &list(&ids),
            "--layer",
            layer,
            "--head",
            head,
            "--hide-first",
            "--npy",
        ]);
        cmd.arg(&file).assert().success();
        read_npy(&file).unwrap()
    };
    assert_eq!(saved("1", "all"), second);
    assert_eq!(saved("1", "3"), second.index_axis(Axis(0), 3));
    let all = saved("all", "all");
    assert_eq!(all.shape(), [2, 5, ids.len(), ids.len()]);
    assert_eq!(all.index_axis(Axis(0), 0), layers[0]);
    let of_each = saved("all", "4");
    assert_eq!(
        of_each.index_axis(Axis(0), 1),
        layers[1].index_axis(Axis(0), 4)
    );
    let mean = saved("0", "mean");
    let expected = layers[0].mean_axis(Axis(0)).unwrap();
    assert!((&mean - &expected).iter().all(|e| e.abs() < 1e-6));
    let max = saved("0", "max");
    for (i, m) in max.indexed_iter() {
        let of_heads = layers[0].axis_iter(Axis(0)).map(|head| head[i.clone()]);
        assert_eq!(*m, of_heads.fold(0.0, f32::max));
    }
}

/// Catches: files that no program opens.
#[test]
fn pictures_are_written() {
    let folder = TempDir::new().unwrap();
    let [png, svg] = ["a.png", "a.svg"].map(|name| folder.path().join(name));
    let mut cmd = baichuan2("attention", &golden("tiny7b"));
    cmd.args([
        "--ids",
        "1,2,3,4,5,6,7,8",
        "--layer",
        "0",
        "--head",
        "0",
        "--png",
    ]);
    cmd.arg(&png).arg("--svg").arg(&svg);
    let wrote = contains("wrote").count(2);
    cmd.assert().success().stderr(wrote);
    let image = image::open(&png).unwrap();
    assert_eq!((image.width(), image.height()), (8 * 48 + 72, 8 * 48 + 32));
    let svg = fs::read_to_string(&svg).unwrap();
    assert_eq!(svg.matches("<title>").count(), 36);
    let names: Vec<String> = names_in(folder.path());
    assert_eq!(names, ["a.png", "a.svg"], "no temporary files are left");
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The whole of what is printed without colour. Catches: any change of it that nobody looked at.
#[test]
fn a_small_map_without_colour() {
    let mut cmd = baichuan2("attention", &golden("tiny7b"));
    cmd.args(["--ids", "126,301,282,5", "--layer", "1", "--head", "2"]);
    cmd.assert()
        .success()
        .stdout(include_str!("pictures/small.txt"));
}

/// Catches: colours in a file or a pipe, none where they are asked for, NO_COLOR overlooked.
#[test]
fn colour_is_a_choice() {
    let run = |args: &[&str]| {
        let mut cmd = baichuan2("attention", &golden("tiny7b"));
        cmd.args(["--ids", "1,2,3", "--layer", "0", "--head", "0"])
            .args(args);
        String::from_utf8(cmd.assert().success().get_output().stdout.clone()).unwrap()
    };
    assert!(!run(&[]).contains('\u{1b}'));
    assert!(!run(&["--color", "never"]).contains('\u{1b}'));
    assert!(run(&["--color", "always"]).contains("\u{1b}[48;2;"));
}

/// Catches: an error that does not say how many there are, a panic on an index, a negative number taken for an option.
#[test]
fn layers_and_heads_that_are_not_there() {
    for (layer, head, told) in [
        (
            "2",
            "0",
            "there is no layer 2: the model has 2 layers, counted from 0 to 1",
        ),
        ("-1", "0", "there is no layer -1: the model has 2 layers"),
        (
            "0",
            "4",
            "there is no head 4: the model has 4 heads, counted from 0 to 3",
        ),
        ("0", "-1", "there is no head -1: the model has 4 heads"),
    ] {
        let mut cmd = baichuan2("attention", &golden("tiny7b"));
        cmd.args(["--ids", "1,2", "--layer", layer, "--head", head]);
        fails(&mut cmd, contains(told));
    }
    let mut cmd = baichuan2("attention", &golden("tiny7b"));
    cmd.args(["--ids", "1", "--layer", "first"]);
    cmd.assert()
        .code(2)
        .stderr(contains("counted from 0, or `all`"));
}

/// Catches: bad input that panics, is repaired in silence, or is told without a cure.
#[test]
fn bad_input_is_told() {
    let tiny = golden("tiny7b");
    let cases: [(&str, PathBuf, &[&str], &str); 8] = [
        (
            "trace",
            "no/such/model".into(),
            &["--ids", "1"],
            "give the folder that holds config.json",
        ),
        (
            "attention",
            "no/such/model".into(),
            &["--ids", "1", "--layer", "0"],
            "no/such/model: is not a folder",
        ),
        (
            "trace",
            tiny.clone(),
            &["--ids", "1,x"],
            "`x` is no token id",
        ),
        (
            "trace",
            tiny.clone(),
            &["--ids", "1,-7"],
            "`-7` is no token id",
        ),
        (
            "trace",
            tiny.clone(),
            &["--ids", "1,320"],
            "token id 320 (at position 1 of the input) is outside the vocabulary of 320",
        ),
        (
            "attention",
            tiny.clone(),
            &["--ids", "1,2,3", "--layer", "0", "--context", "2"],
            "the context is 2",
        ),
        (
            "trace",
            tiny.clone(),
            &["--ids", "1,2,3", "--max-memory", "0.0000001"],
            "raise --max-memory",
        ),
        (
            "trace",
            tiny.clone(),
            &["Hello"],
            "has neither tokenizer.model nor tokenizer.json",
        ),
    ];
    for (command, model, args, told) in cases {
        fails(baichuan2(command, &model).args(args), contains(told));
    }
    let long = list(&[1; 3000]);
    let mut cmd = baichuan2("attention", &tiny);
    cmd.args(["--ids", &long, "--layer", "0", "--head", "0"]);
    fails(
        &mut cmd,
        contains("the text has 3000 tokens, but the context is"),
    );
    let mut cmd = baichuan2("attention", &tiny);
    cmd.args(["--ids", &long, "--layer", "0", "--max-memory", "0.1"]);
    fails(&mut cmd, contains("3000 tokens need 0.5 GiB"));
    for command in ["attention", "trace"] {
        for (option, value) in [
            ("--max-memory", "-3"),
            ("--max-memory", "0"),
            ("--max-memory", "inf"),
            ("--max-memory", "NaN"),
            ("--context", "-3"),
        ] {
            let mut cmd = baichuan2(command, &tiny);
            let told = format!("invalid value '{value}' for '{option} <");
            cmd.args([option, value])
                .assert()
                .code(2)
                .stderr(contains(told));
        }
    }
    // Neither text nor ids, or both.
    baichuan2("trace", &tiny).assert().code(1);
    baichuan2("trace", &tiny)
        .args(["--ids", "1", "text"])
        .assert()
        .code(2);
}

/// Catches: a file overwritten without being asked, a run of the model before the file is refused, a file that --force does not replace.
#[test]
fn files_are_not_overwritten() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("there");
    for (command, option) in [
        ("trace", "--out"),
        ("attention", "--png"),
        ("attention", "--svg"),
        ("attention", "--npy"),
    ] {
        fs::write(&file, "precious").unwrap();
        let run = || {
            let mut cmd = baichuan2(command, &golden("tiny7b"));
            if command == "attention" {
                cmd.args(["--layer", "0"]);
            }
            cmd.args(["--ids", "1,2", option]).arg(&file);
            cmd
        };
        fails(
            &mut run(),
            contains("exists already; --force overwrites it"),
        );
        assert_eq!(fs::read(&file).unwrap(), b"precious");
        run().arg("--force").assert().success();
        assert_ne!(fs::read(&file).unwrap(), b"precious");
    }
    let mut cmd = baichuan2("attention", &golden("tiny7b"));
    cmd.args(["--ids", "1", "--layer", "0", "--png", "x/y/a.png"]);
    fails(&mut cmd, contains("there is no folder x/y"));
    let mut cmd = baichuan2("attention", &golden("tiny7b"));
    let twice = folder.path().join("twice");
    cmd.args(["--ids", "1", "--layer", "0", "--png"])
        .arg(&twice)
        .arg("--svg")
        .arg(&twice);
    fails(&mut cmd, contains("is named twice"));
}

/// Catches: a sub-command whose help does not show how it is used, or shows formulas and links as they are written.
#[test]
fn help_has_examples() {
    for command in ["attention", "trace"] {
        let mut cmd = Command::cargo_bin("baichuan2").unwrap();
        let help = cmd.args([command, "--help"]).assert().success();
        help.stdout(
            contains("Examples:")
                .and(contains(format!("baichuan2 {command} --model")))
                .and(contains("$").not())
                .and(contains("[`").not()),
        );
    }
}

/// Catches: a panic, or an error, where the reader of the output has seen enough.
#[test]
fn a_closed_pipe_ends_quietly() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_baichuan2"))
        .args(["trace", "--ids", "1,2", "--model"])
        .arg(golden("tiny7b"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success());
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

/// Catches: files that are lost where the reader of the terminal's picture goes away.
#[test]
fn a_closed_pipe_loses_no_files() {
    let folder = TempDir::new().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_baichuan2"));
    command.args(["attention", "--layer", "0", "--ids", "1,2", "--model"]);
    command.arg(golden("tiny7b"));
    for kind in ["png", "svg", "npy"] {
        command.arg(format!("--{kind}"));
        command.arg(folder.path().join(kind));
    }
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(names_in(folder.path()), ["npy", "png", "svg"]);
}

/// A model with grouped queries. Catches: a query head drawn with the weights of its group's first head.
#[test]
fn heads_of_a_group_differ() {
    let config = Config {
        vocab_size: 40,
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        packed_qkv: false,
        norm_head: false,
        ..Config::baichuan2_7b()
    };
    let folder = TempDir::new().unwrap();
    let model = folder.path().join("grouped");
    let parameters = Parameters::random(&config, 0.5, 1);
    let weights = export::weights(&parameters, Dtype::F32);
    let generation = export::generation_config();
    export::write_folder(&model, &config, weights, b"", &generation).unwrap();
    fs::remove_file(model.join("tokenizer.model")).unwrap();
    let ids = [1, 23, 7, 31, 12, 2, 33, 6];
    let [layer] = probs(&model, &ids, Some(1)).try_into().unwrap();
    let of_head = |head| layer.index_axis(Axis(0), head);
    assert_ne!(of_head(0), of_head(1));
    let file = folder.path().join("head.npy");
    let mut cmd = baichuan2("attention", &model);
    cmd.args(["--layer", "1", "--head", "1", "--ids", &list(&ids), "--npy"]);
    cmd.arg(&file).assert().success();
    let saved: ArrayD<f32> = read_npy(&file).unwrap();
    assert_eq!(saved, of_head(1));
}
