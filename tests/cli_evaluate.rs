//! `baichuan2 evaluate` and `baichuan2 probe-heads`, end to end.
#![cfg(feature = "cli")]

use assert_cmd::Command;
use baichuan2::{
    bpe::Tokenizer,
    checkpoint::{Checkpoint, write_stored},
    tensor::StoredTensor,
    training::{
        corpus::{Corpus, Kind, Split},
        held_out::losses,
    },
};
use predicates::{prelude::PredicateBooleanExt, str::contains};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

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

fn stdout(arguments: &[&str]) -> String {
    let output = command(arguments).assert().success();
    String::from_utf8(output.get_output().stdout.clone()).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout(&[arguments, &["--json"]].concat())).unwrap()
}

fn rows(table: &str) -> Vec<Vec<&str>> {
    let lines = table.lines();
    lines
        .map(|line| line.split_whitespace().collect())
        .collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-5 * b.abs().max(1.0)
}

/// A model of 320 ids with a tokenizer of bytes and a few pieces.
fn model(size: &str) -> Folder {
    let model = Folder::copy_of(size, &["model.safetensors"]);
    let pieces = ["th", "in", "er", "an", "ou", "re", "on", "ha"];
    model.write("tokenizer.model", tokenizer::of_bytes(&pieces));
    model
}

fn path(folder: &Folder) -> &str {
    folder.path().to_str().unwrap()
}

/// Adds two checkpoints, of the other order by name than by tokens.
fn with_checkpoints(model: &Folder) {
    for checkpoint in ["tokens-0002392064", "tokens-900"] {
        let folder = model.path().join("checkpoints").join(checkpoint);
        fs::create_dir_all(&folder).unwrap();
        for file in ["config.json", "model.safetensors"] {
            fs::copy(model.path().join(file), folder.join(file)).unwrap();
        }
    }
}

/// Catches: bits of other documents than those that were read; kinds that do not add up to all; `</s>` forgotten; a unit that is not its name's.
#[test]
fn evaluate_holds_the_loss_against_the_bits_of_the_same_documents() {
    let model = model("tiny7b");
    let report = json(&[
        "evaluate",
        "--model",
        path(&model),
        "--tokens",
        "2000",
        "--seed",
        "3",
    ]);
    let all = &report["models"][0];
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value}"));

    let documents: Vec<_> = Corpus::of(3, Split::Validation)
        .take(all["documents"].as_u64().unwrap() as usize)
        .collect();
    let characters: usize = documents.iter().map(|d| d.text.chars().count()).sum();
    assert_eq!(all["characters"], characters);
    let tokenizer = Tokenizer::open(model.path()).unwrap();
    let lengths: Vec<usize> = documents
        .iter()
        .map(|document| tokenizer.encode(&document.text).len() + 1)
        .collect();
    let tokens: usize = lengths.iter().sum();
    assert_eq!(all["tokens"], tokens);
    assert!(tokens >= 2000 && tokens - lengths.last().unwrap() < 2000);

    // Exactly as many as there are: no document more.
    let exactly = tokens.to_string();
    let exactly = [
        "evaluate",
        "--model",
        path(&model),
        "--tokens",
        &exactly,
        "--seed",
        "3",
    ];
    assert_eq!(json(&exactly)["models"][0]["tokens"], tokens);

    let bits: f64 = documents.iter().map(|document| document.bits).sum();
    let learnable: f64 = documents.iter().map(|d| d.bits + d.split_bits).sum();
    let (ln_2, tokens, characters) = (2_f64.ln(), tokens as f64, characters as f64);
    assert!(close(
        number(&all["entropy"]["nats_a_token"]),
        bits * ln_2 / tokens
    ));
    assert!(close(
        number(&all["entropy"]["bits_a_character"]),
        bits / characters
    ));
    assert!(close(
        number(&all["learnable"]["bits_a_character"]),
        learnable / characters
    ));
    let loss = number(&all["nats_a_token"]);
    assert!(close(
        number(&all["bits_a_character"]),
        loss / ln_2 * tokens / characters
    ));
    assert!(close(number(&all["perplexity"]), loss.exp()));
    assert!(close(
        number(&all["entropy"]["ratio"]),
        loss * tokens / ln_2 / bits
    ));

    let kinds: BTreeMap<Kind, Value> = serde_json::from_value(all["kinds"].clone()).unwrap();
    let sum = |of: &dyn Fn(&Value) -> f64| kinds.values().map(of).sum::<f64>();
    assert_eq!(sum(&|kind| number(&kind["tokens"])), tokens);
    let nats = |value: &Value| number(&value["tokens"]) * number(&value["nats_a_token"]);
    assert!(close(sum(&nats), nats(all)));
    let own = |value: &Value| number(&value["tokens"]) * number(&value["entropy"]["nats_a_token"]);
    assert!(close(sum(&own), own(all)));
    for (kind, measured) in &kinds {
        let bits = documents.iter().filter(|d| d.kind == *kind);
        let bits: f64 = bits.map(|document| document.bits).sum();
        assert!(close(own(measured), bits * ln_2), "{kind}");
    }

    let table = stdout(&[
        "evaluate",
        "--model",
        path(&model),
        "--tokens",
        "2000",
        "--seed",
        "3",
    ]);
    let rows = rows(&table);
    assert_eq!(rows[0][..4], ["model", "tokens", "loss", "±"], "{table}");
    assert_eq!(
        rows[1][1..3],
        [tokens.to_string(), format!("{loss:.4}")],
        "{table}"
    );
    let last = rows.last().unwrap();
    assert_eq!(last[0], "all", "{table}");
    assert_eq!(last[3], format!("{loss:.4}"), "{table}");
    assert_eq!(rows.len(), 2 + 1 + 1 + kinds.len() + 1, "{table}");
}

/// Catches: a text read as one document; the beginning or the end of a document not predicted; the corpus's bits beside another text.
#[test]
fn evaluate_reads_the_documents_of_a_text() {
    let model = model("tiny13b");
    model.write("mine.txt", "the inner man\n\n\n\nhere\n");
    let text = model.path().join("mine.txt");
    let arguments = [
        "evaluate",
        "--model",
        path(&model),
        "--text",
        text.to_str().unwrap(),
    ];
    let report = json(&arguments);
    let tokenizer = Tokenizer::open(model.path()).unwrap();
    let decoder = Checkpoint::open(model.path()).unwrap().decoder().unwrap();
    let mut all = Vec::new();
    for document in ["the inner man", "here"] {
        let ids = [&[2][..], &tokenizer.encode(document), &[2]].concat();
        all.extend(losses(&decoder, &ids).unwrap());
    }
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let measured = &report["models"][0];
    assert_eq!(
        (&measured["documents"], &measured["tokens"]),
        (&2.into(), &all.len().into())
    );
    assert!(close(measured["nats_a_token"].as_f64().unwrap(), mean));
    assert!(measured["entropy"].is_null() && measured["kinds"].is_null());
    let table = stdout(&arguments);
    assert!(
        !table.contains("entropy") && table.lines().count() == 2,
        "{table}"
    );
}

/// Catches: checkpoints out of order or by kind; two models that are one; a model's context taken for its limit.
#[test]
fn evaluate_compares_models_and_checkpoints() {
    let run = model("tiny7b");
    with_checkpoints(&run);
    let arguments = [
        "evaluate",
        "--model",
        path(&run),
        "--checkpoints",
        "--tokens",
        "500",
    ];
    let table = stdout(&arguments);
    let found = rows(&table);
    assert_eq!(found.len(), 4, "{table}");
    assert_eq!(found[1][..2], ["900", "tokens"], "{table}");
    assert_eq!(found[2][..2], ["2.4M", "tokens"], "{table}");
    let other = model("tiny13b");
    let models = json(&[
        "evaluate",
        "--model",
        path(&run),
        "--model",
        path(&other),
        "--tokens",
        "500",
    ]);
    let loss = |i: usize| models["models"][i]["nats_a_token"].as_f64().unwrap();
    assert_ne!(loss(0), loss(1));
    assert_eq!(models["models"][0]["tokens"], models["models"][1]["tokens"]);
    assert_eq!(found[1][3], format!("{:.4}", loss(0)), "{table}");
    assert!(models["models"][0]["longer_than_trained"].as_u64() > Some(0));
}

/// Catches: bins that are not those asked for, or that end at the trained length; figures that differ between table, JSON, CSV and picture; a picture without its
/// mark; a file written over.
#[test]
fn evaluate_goes_by_position_beyond_the_trained_length() {
    let (rope, alibi) = (model("tiny7b"), model("tiny13b"));
    let (csv, svg) = (rope.path().join("by.csv"), rope.path().join("by.svg"));
    let arguments = [
        "evaluate",
        "--by-position",
        "--model",
        path(&rope),
        "--model",
        path(&alibi),
        "--times",
        "3",
        "--bins",
        "6",
        "--tokens",
        "100",
    ];
    let files = [
        "--csv",
        csv.to_str().unwrap(),
        "--svg",
        svg.to_str().unwrap(),
    ];
    let report = json(&[&arguments[..], &files].concat());
    let trained = report["models"][0]["trained_length"].as_u64().unwrap() as usize;
    let other = report["models"][1]["trained_length"].as_u64().unwrap() as usize;
    let width = 3 * trained.max(other) / 6;
    assert_eq!(
        report["tokens_of_a_bin"],
        100_usize.div_ceil(width).max(2) * width
    );
    let bins: Vec<&Value> = (0..2)
        .flat_map(|i| report["models"][i]["bins"].as_array().unwrap())
        .collect();
    assert_eq!(bins.len(), 12);
    assert_eq!(bins[11]["last"], 6 * width);
    let csv_text = fs::read_to_string(&csv).unwrap();
    let lines: Vec<&str> = csv_text.lines().skip(1).collect();
    assert_eq!(lines.len(), 12);
    for (line, bin) in lines.iter().zip(&bins) {
        let parts: Vec<&str> = line.split(',').collect();
        assert_eq!(
            parts[2..4],
            [bin["first"].to_string(), bin["last"].to_string()]
        );
        assert_eq!(
            parts[4].parse::<f64>().unwrap(),
            bin["nats_a_token"].as_f64().unwrap()
        );
    }
    let picture = fs::read_to_string(&svg).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains(&format!("trained on {trained}")));
    for (i, model) in [&rope, &alibi].into_iter().enumerate() {
        let name = model.path().file_name().unwrap().to_str().unwrap();
        assert!(picture.contains(name) && lines[6 * i].starts_with(name));
    }

    let table = stdout(&arguments);
    let rows = rows(&table);
    let (first, last) = (&rows[1], &rows[6]);
    assert_eq!(first[0], format!("1–{width}"), "{table}");
    assert_eq!(
        last[..2],
        [format!("{}–{}", 5 * width + 1, 6 * width), "*".to_owned()],
        "{table}"
    );
    let loss = bins[0]["nats_a_token"].as_f64().unwrap();
    assert_eq!(first[1], format!("{loss:.4}"), "{table}");
    assert!(table.contains("the same tokens cost"), "{table}");

    let again = [&arguments[..], &files].concat();
    command(&again)
        .assert()
        .code(1)
        .stderr(contains("exists already"));
    command(&[&again[..], &["--force"]].concat())
        .assert()
        .success();
}

/// Catches: a panic or a figure of nothing, where an error must name the cure.
#[test]
fn evaluate_refuses_what_it_cannot_measure() {
    let rope = model("tiny7b");
    rope.write("empty.txt", "\n\n \n");
    rope.write("short.txt", "the man");
    rope.write("latin.txt", [b'a', 0xff]);
    let file = |name: &str| rope.path().join(name).to_str().unwrap().to_owned();
    let bare = Folder::copy_of("tiny7b", &["model.safetensors"]);
    let others = model("tiny13b");
    others.write("tokenizer.model", tokenizer::of_bytes(&["th"]));
    for (arguments, code, message) in [
        (
            vec!["--text", &file("empty.txt")],
            1,
            "has no text to measure on",
        ),
        (vec!["--text", &file("latin.txt")], 1, "not UTF-8"),
        (
            vec!["--text", &file("none.txt")],
            1,
            "none.txt: cannot be read",
        ),
        (
            vec!["--text", &file("short.txt"), "--by-position"],
            1,
            "give more text",
        ),
        (
            vec!["--by-position", "--bins", "256", "--times", "1"],
            1,
            "ask for fewer with --bins",
        ),
        (
            vec!["--by-position", "--model", path(&others)],
            1,
            "into different tokens",
        ),
        (
            vec!["--by-position", "--times", "0"],
            2,
            "0 is not in 1..=64",
        ),
        (
            vec!["--by-position", "--checkpoints"],
            2,
            "cannot be used with",
        ),
        (vec!["--svg", "x.svg"], 2, "--by-position"),
        (vec!["--tokens", "0"], 2, "0 is not in"),
        (vec!["--tokens", "-4"], 2, "invalid value '-4'"),
        (vec!["--model", path(&bare)], 1, "tokenizer"),
        (vec!["--model", "no/model"], 1, "no/model"),
        (vec!["--checkpoints"], 1, "has no checkpoints"),
    ] {
        let mut failing = command(&["evaluate", "--model", path(&rope)]);
        let failing = failing.args(&arguments).assert().code(code);
        failing.stderr(contains(message).and(contains("panicked").not()));
    }
    assert!(!Path::new("x.svg").exists());
}

/// Catches: heads in another order or of another layer; scores that are no shares; a best that is not; a seed that is not used.
#[test]
fn probe_heads_scores_every_head() {
    let model = model("tiny7b");
    let arguments = ["probe-heads", "--model", path(&model), "--length", "8"];
    let report = json(&arguments);
    let heads = report["heads"].as_array().unwrap();
    let config = Checkpoint::open(model.path()).unwrap().config.clone();
    assert_eq!(
        heads.len(),
        config.num_hidden_layers * config.num_attention_heads
    );
    assert_eq!(
        (&heads[5]["layer"], &heads[5]["head"]),
        (&1.into(), &1.into())
    );
    for behaviour in ["previous", "induction", "duplicate", "first", "own"] {
        let score = |head: &Value| head["scores"][behaviour].as_f64().unwrap();
        assert!(heads.iter().all(|head| (0.0..=1.0).contains(&score(head))));
        let best = heads.iter().map(score).fold(0.0, f64::max);
        assert_eq!(report["best"][behaviour][0]["score"], best, "{behaviour}");
    }
    // Each weight is of a row whose sum is 1.
    let some = &heads[0]["scores"];
    let sum = ["previous", "first", "own"].map(|behaviour| some[behaviour].as_f64().unwrap());
    assert!(sum.iter().sum::<f64>() < 1.1);
    assert_eq!(report, json(&arguments));
    assert_ne!(
        report["heads"],
        json(&[&arguments[..], &["--seed", "9"]].concat())["heads"]
    );

    let table = stdout(&arguments);
    let found = rows(&table);
    assert_eq!(
        found[0],
        ["head", "previous", "induction", "duplicate", "first", "own"],
        "{table}"
    );
    assert_eq!(found[1][0], "chance", "{table}");
    assert_eq!(found[7][0], "1.1", "{table}");
    let top = stdout(&[&arguments[..], &["--top", "1"]].concat());
    assert!(
        top.lines().count() <= 2 + 5 + 6 && top.contains("induction head"),
        "{top}"
    );
}

/// Catches: checkpoints out of order; a head that is not the one of the final model; a head said to have formed that has not.
#[test]
fn probe_heads_follows_heads_through_training() {
    let run = model("tiny7b");
    with_checkpoints(&run);
    // The first one's heads look at everything alike.
    let blind = run.path().join("checkpoints/tokens-900");
    let checkpoint = Checkpoint::open(&blind).unwrap();
    let weights = checkpoint.iter().map(|item| {
        let bytes = match item.name.ends_with("W_pack.weight") {
            true => vec![0; item.tensor.byte_len()].into(),
            false => item.tensor.bytes().clone(),
        };
        let shape = item.tensor.shape().to_vec();
        let tensor = StoredTensor::new(item.tensor.dtype(), shape, bytes);
        (item.name.to_owned(), tensor.unwrap())
    });
    let weights: Vec<_> = weights.collect();
    drop(checkpoint);
    write_stored(blind.join("model.safetensors"), weights).unwrap();
    let arguments = [
        "probe-heads",
        "--model",
        path(&run),
        "--checkpoints",
        "--length",
        "8",
        "--top",
        "1",
    ];
    let table = stdout(&arguments);
    let rows = rows(&table);
    let header = rows
        .iter()
        .position(|row| row.first() == Some(&"model"))
        .unwrap();
    assert_eq!(rows[header][1], "previous", "{table}");
    assert_eq!(rows[header + 1][..2], ["900", "tokens"], "{table}");
    assert_eq!(rows[header + 2][..2], ["2.4M", "tokens"], "{table}");
    assert_ne!(rows[header + 1][2..4], rows[header + 2][2..4], "{table}");
    let report = json(&arguments);
    let mut not_formed = 0;
    for behaviour in ["previous", "induction"] {
        let best = &report["best"][behaviour][0];
        let followed = &report["followed"][behaviour];
        assert_eq!(
            (&best["layer"], &best["head"]),
            (&followed["layer"], &followed["head"])
        );
        assert_eq!(followed["scores"].as_array().unwrap().len(), 3);
        assert_eq!(followed["scores"][2], best["score"]);
        let chance = best["chance"].as_f64().unwrap();
        assert!(close(followed["scores"][0].as_f64().unwrap(), chance));
        assert_eq!(followed["scores"][1], followed["scores"][2]);
        if best["score"].as_f64().unwrap() < 2.0 * chance {
            not_formed += 1;
            assert!(followed["formed"].is_null(), "{followed}");
        } else {
            assert_eq!(followed["formed"], report["checkpoints"][1]["model"]);
        }
    }
    assert_eq!(
        table.matches("has not formed").count(),
        not_formed,
        "{table}"
    );
    assert_eq!(report["checkpoints"][0]["tokens"], 900);
    assert!(report["checkpoints"][0]["nats_a_token"].as_f64().unwrap() > 1.0);
}

/// Catches: a panic, or a silent change of what was asked for.
#[test]
fn probe_heads_refuses_what_it_cannot_score() {
    let model = model("tiny7b");
    let bytes = Folder::copy_of("tiny7b", &["model.safetensors"]);
    bytes.write("tokenizer.model", tokenizer::of_bytes(&[]));
    for (folder, arguments, code, message) in [
        (
            path(&model),
            &["--length", "1000"][..],
            1,
            "choose --length from 2 to",
        ),
        (path(&model), &["--length", "1"], 2, "1 is not in 2..="),
        (path(&model), &["--length", "9"], 1, "8 ordinary pieces"),
        (path(&model), &["--sequences", "0"], 2, "0 is not in"),
        (path(&model), &["--top", "0"], 2, "0 is not in"),
        (path(&model), &["--checkpoints"], 1, "has no checkpoints"),
        (path(&bytes), &[], 1, "0 ordinary pieces"),
        ("no/model", &[], 1, "no/model"),
    ] {
        let mut failing = command(&["probe-heads", "--model", folder]);
        let failing = failing.args(arguments).assert().code(code);
        failing.stderr(contains(message).and(contains("panicked").not()));
    }
}
