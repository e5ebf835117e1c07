//! The commands `finetune` and `export`, end to end, on a model that the test trains itself.
#![cfg(feature = "cli")]

use assert_cmd::Command;
use baichuan2::{
    bpe::Tokenizer,
    checkpoint::Checkpoint,
    tensor::StoredTensor,
    training::{export, finetune::order},
};
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
    command.args(arguments).current_dir(workspace());
    command
}

const RECIPE: &str = "hidden_size = 32\nlayers = 2\nheads = 4\nintermediate_size = 64\ncontext = 64\nvocab_size = 500\n\
                      tokens = 12_288\nbatch_tokens = 256\nparts = 2\npeak_rate = 1e-2\nwarm_up = 5\n";

const CHATS: &str = r#"{"id": "1", "conversations": [{"from": "human", "value": "1+1=?"}, {"from": "gpt", "value": "2"}]}
{"conversations": [{"from": "user", "value": "Where is the cat?"}, {"from": "assistant", "value": "on the mat."}, {"from": "user", "value": "The dog?"}, {"from": "assistant", "value": "on the log."}]}
{"conversations": [{"from": "system", "value": "猫"}, {"from": "human", "value": "狗？"}, {"from": "gpt", "value": "坐在木头上。"}]}
"#;

/// A folder with a model `base` of a small text, trained once for all tests of this file, and `chats.jsonl`.
fn workspace() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let text =
            "The cat sat on the mat.\nThe dog sat on the log.\n猫坐在垫子上。\n狗坐在木头上。\n\n";
        fs::write(folder.path().join("text.txt"), text.repeat(60)).unwrap();
        fs::write(folder.path().join("recipe.toml"), RECIPE).unwrap();
        fs::write(folder.path().join("chats.jsonl"), CHATS).unwrap();
        let mut train = Command::cargo_bin("baichuan2").unwrap();
        train.args(["train", "--recipe", "recipe.toml", "--text", "text.txt"]);
        train.args(["--out", "base", "--checkpoints", "1"]);
        train.current_dir(folder.path()).assert().success();
        folder
    });
    folder.path()
}

fn at(path: &str) -> PathBuf {
    workspace().join(path)
}

fn finetune(out: &str, more: &[&str]) -> Command {
    let given = ["finetune", "--model", "base", "--data", "chats.jsonl"];
    baichuan2(&[&given[..], &["--out", out], more].concat())
}

const BY_HEART: [&str; 6] = ["--epochs", "80", "--batch", "2", "--rate", "5e-3"];

fn losses(csv: &Path) -> Vec<f64> {
    let text = fs::read_to_string(csv).unwrap();
    let losses = text.lines().skip(1).map(|line| line.split(',').nth(2));
    losses.map(|loss| loss.unwrap().parse().unwrap()).collect()
}

/// Messages, one a line, and the answers to them.
fn chat(model: &str, more: &[&str], said: &'static str, answers: &'static str) {
    let mut chat = baichuan2(&[&["chat", "--quiet", "--model", model], more].concat());
    chat.write_stdin(said).assert().success().stdout(answers);
}

const OF_TWO_ROUNDS: (&str, &str) = (
    "Where is the cat?\nThe dog?\n",
    "on the mat.\non the log.\n",
);

/// The names of parameters that differ, bit for bit or in their format.
fn changed(a: &str, b: &str) -> Vec<String> {
    let (a, b) = (
        Checkpoint::open(at(a)).unwrap(),
        Checkpoint::open(at(b)).unwrap(),
    );
    let pairs = a.iter().zip(b.iter());
    let differ = pairs.filter(|(a, b)| {
        assert_eq!(a.name, b.name);
        a.tensor.bytes() != b.tensor.bytes() || a.tensor.dtype() != b.tensor.dtype()
    });
    differ.map(|(a, _)| a.name.to_owned()).collect()
}

/// Catches: steps that do not learn; another format in training than in chat; a folder that lacks a file; answers that do not end.
#[test]
fn it_learns_conversations_by_heart() {
    finetune("by-heart", &BY_HEART)
        .assert()
        .success()
        .stderr(contains(
            "3 conversations to learn, 0 held out; 80 epochs, 160 steps",
        ))
        .stderr(contains("epoch 80: loss 0.0"));
    let losses = losses(&at("by-heart/loss.csv"));
    assert_eq!(losses.len(), 160);
    assert!(losses[0] > 1.0 && losses[159] < 0.05, "{losses:?}");
    assert!(at("by-heart/loss.svg").is_file());
    chat("by-heart", &[], "1+1=?\n", "2\n");
    chat("by-heart", &[], OF_TWO_ROUNDS.0, OF_TWO_ROUNDS.1);
    chat("by-heart", &["--system", "猫"], "狗？\n", "坐在木头上。\n");
    // All parameters have moved, and kept their format.
    let all = Checkpoint::open(at("base")).unwrap().iter().len();
    assert_eq!(changed("base", "by-heart").len(), all);
    for file in ["config.json", "generation_config.json", "tokenizer.model"] {
        let [before, after] = ["base", "by-heart"].map(|f| fs::read(at(f).join(file)).unwrap());
        assert_eq!(before, after, "{file}");
    }
    // The same seed gives the same bytes.
    finetune("by-heart-again", &BY_HEART).assert().success();
    assert!(changed("by-heart", "by-heart-again").is_empty());
}

/// Catches: frozen weights that are rounded or move; an adapter that merges to something else than what was learned.
#[test]
fn lora_changes_w_pack_alone_and_can_be_kept_beside() {
    // Pieces that the model knows: `on` without a space before it was in no text, and has no row in the frozen head to be said with.
    let said = (
        "Where is the cat?\nThe dog?\n",
        "The cat sat on the mat.\nThe dog sat on the log.\n",
    );
    let second = CHATS.lines().nth(1).unwrap();
    let second = second.replace("on the mat", "The cat sat on the mat");
    let second = second.replace("on the log", "The dog sat on the log");
    fs::write(at("second.jsonl"), second).unwrap();
    let tune = |model: &str, out: &str, more: &[&str]| {
        let given = [
            "finetune",
            "--data",
            "second.jsonl",
            "--epochs",
            "100",
            "--rate",
            "5e-3",
        ];
        let lora = ["--lora-rank", "4", "--model", model, "--out", out];
        baichuan2(&[&given[..], &lora, more].concat())
    };
    tune("base", "lora", &[]).assert().success();
    chat("lora", &[], said.0, said.1);
    let w_pack = [0, 1].map(|i| format!("model.layers.{i}.self_attn.W_pack.weight"));
    assert_eq!(changed("base", "lora"), w_pack);

    tune("base", "adapter", &["--adapter"])
        .assert()
        .success()
        .stderr(contains("export --model base --adapter adapter"));
    assert!(!at("adapter/model.safetensors").exists());
    let export = [
        "export",
        "--model",
        "base",
        "--adapter",
        "adapter",
        "--out",
        "merged",
    ];
    baichuan2(&export).assert().success();
    assert!(changed("lora", "merged").is_empty());

    // On the names of a Llama, where the three are apart.
    let llama = [
        "export", "--model", "base", "--as", "llama", "--out", "llama",
    ];
    baichuan2(&llama).assert().success();
    tune("llama", "llama-lora", &[]).assert().success();
    chat("llama-lora", &[], said.0, said.1);
    let apart = [0, 1].map(|i| {
        ["q", "k", "v"].map(|module| format!("model.layers.{i}.self_attn.{module}_proj.weight"))
    });
    assert_eq!(changed("llama", "llama-lora"), apart.concat());
    baichuan2(&[
        "export",
        "--model",
        "llama",
        "--adapter",
        "adapter",
        "--out",
        "x",
    ])
    .assert()
    .failure()
    .stderr(contains("the adapter adapter"))
    .stderr(contains("W_pack").and(contains("made for another")));
    assert!(!at("x").exists());
}

/// Catches: a share that is learned although it is held out; a loss that is not told before and after.
#[test]
fn a_share_is_held_out() {
    // Answers that nothing tells but having seen them.
    let round = |i: usize| {
        let answer = (i + 1) * 734_287 % 1_000_003;
        format!(
            r#"{{"conversations": [{{"from": "human", "value": "{i}"}}, {{"from": "gpt", "value": "{answer}"}}]}}"#
        )
    };
    let array = (0..20).map(round).collect::<Vec<_>>().join(",\n");
    fs::write(at("twenty.json"), format!("[{array}]")).unwrap();
    let given = [
        &["finetune", "--model", "base", "--data", "twenty.json"][..],
        &["--out", "held", "--validation", "0.2", "--dtype", "f32"],
        &["--epochs", "100", "--batch", "4", "--rate", "5e-3"],
    ];
    baichuan2(&given.concat())
        .assert()
        .success()
        .stderr(contains(
            "16 conversations to learn, 4 held out; 100 epochs, 400 steps",
        ))
        .stderr(contains("before: held out").and(contains("epoch 100: loss")));
    let csv = fs::read_to_string(at("held/loss.csv")).unwrap();
    let held_out = csv
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').nth(3).filter(|loss| !loss.is_empty()));
    let held_out: Vec<f64> = held_out.map(|loss| loss.parse().unwrap()).collect();
    assert_eq!(held_out.len(), 100, "one an epoch");
    let learned = losses(&at("held/loss.csv"))[396..].iter().sum::<f64>() / 4.0;
    assert!(
        learned < 0.1 && held_out[99] > 1.0,
        "learned {learned}, held out {}",
        held_out[99]
    );
    let dtypes = Checkpoint::open(at("held")).unwrap().dtypes();
    assert_eq!(dtypes, [baichuan2::tensor::Dtype::F32]);
    let config = fs::read_to_string(at("held/config.json")).unwrap();
    assert!(config.contains(r#""torch_dtype": "float32""#), "{config}");
}

/// Catches: conversations that are cut, or left out, without a word; one that just fits taken for too long.
#[test]
fn what_is_too_long_is_told() {
    // 195, 1, +, 1, =, ?, 196, 2, </s>: nine tokens.
    let fits = r#"{"conversations": [{"from": "human", "value": "1+1=?"}, {"from": "gpt", "value": "2"}]}"#;
    let cut = fits.replace("\"2\"", "\"2222222222\"");
    let left_out = fits.replace("1+1=?", "1+1+1+1+1+1+1+1+1=?");
    fs::write(at("long.jsonl"), [fits, &cut, &left_out].join("\n")).unwrap();
    let tune = |context: &str| {
        let given = ["finetune", "--model", "base", "--data", "long.jsonl"];
        let more = ["--out", "cut", "--epochs", "1", "--context", context];
        baichuan2(&[&given[..], &more].concat())
    };
    tune("5").assert().failure().stderr(contains(
        "no conversation has an answer within 5 tokens (--context)",
    ));
    tune("9")
        .assert()
        .success()
        .stderr(contains(
            "1 conversations are longer than 9 tokens and were cut at their end",
        ))
        .stderr(contains(
            "1 conversations have no answer within 9 tokens and were left out",
        ))
        .stderr(contains("2 conversations to learn"));
}

/// Catches: hours of learning thrown away where a later step diverges; a model that learned nothing written as if it had.
#[test]
fn what_was_learned_before_it_diverged_is_written() {
    // The third conversation, and it alone, has tokens whose embedding is not a number.
    let base = Checkpoint::open(at("base")).unwrap();
    let tokenizer = Tokenizer::open(at("base/tokenizer.model")).unwrap();
    let ids = tokenizer.encode("狗");
    let weights = base.iter().map(|item| {
        let mut tensor = item.tensor.clone();
        if item.name == "model.embed_tokens.weight" {
            let mut rows = tensor.to_matrix(item.name).unwrap();
            for &id in &ids {
                rows.row_mut(id as usize).fill(f32::NAN);
            }
            tensor = StoredTensor::rounded(rows.into_dyn(), tensor.dtype());
        }
        (item.name.to_owned(), tensor)
    });
    let bytes = fs::read(at("base/tokenizer.model")).unwrap();
    export::write_folder(
        &at("broken"),
        &base.config,
        weights,
        &bytes,
        &base.generation,
    )
    .unwrap();
    let tune = |seed: u64, out: &str| {
        let given = ["finetune", "--model", "broken", "--data", "chats.jsonl"];
        let more = ["--batch", "1", "--out", out, "--seed", &seed.to_string()];
        baichuan2(&[&given[..], &more].concat())
    };
    let place = |seed: &u64| order(3, *seed, 1).iter().position(|&i| i == 2);
    let last = (0..).find(|seed| place(seed) == Some(2)).unwrap();
    tune(last, "diverged").assert().code(1).stderr(
        contains("what was learned until then is written")
            .and(contains("step 3: the loss is NaN"))
            .and(contains("try a lower learning rate")),
    );
    assert_eq!(losses(&at("diverged/loss.csv")).len(), 2);
    let head = "lm_head.weight".to_owned();
    assert!(changed("broken", "diverged").contains(&head));
    let first = (0..).find(|seed| place(seed) == Some(0)).unwrap();
    tune(first, "nothing")
        .assert()
        .code(1)
        .stderr(contains("nothing was written").and(contains("step 1: the loss is NaN")));
    assert!(!at("nothing").exists());
}

/// Catches: a mistake that is met after an hour; a file and line that are not named; results written over.
#[test]
fn what_cannot_be_done_is_refused() {
    fs::write(
        at("bad.jsonl"),
        format!("{CHATS}\n{{\"conversations\": [}}\n"),
    )
    .unwrap();
    fs::write(at("dog.jsonl"), CHATS.replace("user", "dog")).unwrap();
    fs::write(at("empty.jsonl"), "\n").unwrap();
    let with = |data: &str, told: &str| {
        let given = [
            "finetune", "--model", "base", "--out", "refused", "--data", data,
        ];
        baichuan2(&given)
            .assert()
            .code(1)
            .stderr(contains(data).and(contains(told)));
    };
    with("bad.jsonl", "line 5, column 20");
    with("dog.jsonl", "line 2: message 1 is from `dog`");
    with("empty.jsonl", "no conversation");
    with("none.jsonl", "cannot be read");
    for (more, told) in [
        (&["--validation", "1"][..], "--validation is 1"),
        (&["--rate", "0"], "positive number"),
        (&["--rate", "7"], "the learning rate is 7"),
        (&["--lora-alpha", "4"], "--lora-rank"),
        (&["--adapter"], "--lora-rank"),
        (
            &["--lora-rank", "0"],
            "the rank is 0; it must be from 1 to 32",
        ),
        (
            &["--lora-rank", "18446744073709551615"],
            "it must be from 1 to 32",
        ),
        (&["--epochs", "0"], "--epochs"),
        (&["--memory", "0.0005"], "take 0.001 GiB"),
    ] {
        finetune("refused", more)
            .assert()
            .failure()
            .stderr(contains(told));
    }
    finetune("base", &["--force"])
        .assert()
        .failure()
        .stderr(contains("the model's own folder"));
    finetune("none/refused", &[])
        .assert()
        .failure()
        .stderr(contains("there is no folder none"));
    finetune(".", &["--force"])
        .assert()
        .failure()
        .stderr(contains("name it by its own name"));
    // A model, and a program of the user's own.
    for name in ["model.safetensors", "modeling_baichuan.py", "notes.py"] {
        fs::create_dir_all(at("mine")).unwrap();
        fs::write(at("mine").join(name), "mine").unwrap();
    }
    for command in ["finetune", "export"] {
        let mut given = vec![command, "--model", "base", "--out", "mine", "--force"];
        if command == "finetune" {
            given.extend(["--data", "chats.jsonl"]);
        }
        baichuan2(&given)
            .assert()
            .failure()
            .stderr(contains("holds notes.py, which --force would remove"));
    }
    // The weights fit, the maps of a hundred sequences do not.
    let said = "1+".repeat(20);
    let long = CHATS.lines().next().unwrap().replace("1+1=?", &said);
    fs::write(at("hundred.jsonl"), format!("{long}\n").repeat(100)).unwrap();
    let given = ["finetune", "--model", "base", "--data", "hundred.jsonl"];
    let more = ["--out", "refused", "--batch", "100", "--memory", "0.002"];
    baichuan2(&[&given[..], &more].concat())
        .assert()
        .failure()
        .stderr(contains("the attention maps of a batch of 90 sequences"));
    assert!(!at("refused").exists());

    finetune("once", &["--epochs", "1"]).assert().success();
    let before = fs::read(at("once/model.safetensors")).unwrap();
    let again = ["--epochs", "3", "--lora-rank", "2", "--lora-alpha", "100"];
    finetune("once", &again)
        .assert()
        .failure()
        .stderr(contains("--force replaces it"));
    assert_eq!(fs::read(at("once/model.safetensors")).unwrap(), before);
    finetune("once", &[&again[..], &["--force"]].concat())
        .assert()
        .success();
    assert_ne!(fs::read(at("once/model.safetensors")).unwrap(), before);
    let names = fs::read_dir(workspace()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let replaced: Vec<_> = names.filter(|name| name.starts_with(".replaced")).collect();
    assert!(replaced.is_empty(), "{replaced:?}");

    let tiny7b = golden("tiny7b");
    let given = [
        "finetune",
        "--data",
        "chats.jsonl",
        "--out",
        "refused",
        "--model",
    ];
    baichuan2(&[&given[..], &[tiny7b.to_str().unwrap()]].concat())
        .assert()
        .failure()
        .stderr(contains("neither tokenizer.model nor tokenizer.json"));
}

/// Catches: a run that is lost, or a folder that is half written, when it is interrupted.
#[cfg(unix)]
#[test]
fn an_interrupted_run_writes_what_it_has_learned() {
    use std::io::{BufRead, BufReader, Read};
    // A folder in which no other test writes.
    fs::create_dir_all(at("alone")).unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_baichuan2"))
        .args(["finetune", "--model", "base", "--data", "chats.jsonl"])
        .args(["--out", "alone/interrupted", "--epochs", "100000"])
        .current_dir(workspace())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("epoch 3") {
        line.clear();
        assert!(told.read_line(&mut line).unwrap() > 0, "it ended by itself");
    }
    assert!(!at("alone/interrupted").exists(), "not before it is whole");
    let id = child.id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status();
    assert!(killed.unwrap().success());
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{rest}");
    assert!(
        rest.contains("what was learned until then is written"),
        "{rest}"
    );
    assert!(!changed("base", "alone/interrupted").is_empty());
    assert!(!losses(&at("alone/interrupted/loss.csv")).is_empty());
    let left = fs::read_dir(at("alone")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["interrupted"], "no .partial-… is left behind");
}

/// Catches: weights that change on their way into another form; a 13B exported as a Llama; a folder that is left behind.
#[test]
fn export_writes_what_other_engines_take() {
    let torch = Folder::copy_of("tiny7b", &["pytorch_model_bf16.bin"]);
    fs::rename(
        torch.path().join("pytorch_model_bf16.bin"),
        torch.path().join("pytorch_model.bin"),
    )
    .unwrap();
    let from = torch.path().to_str().unwrap();
    let export = |more: &[&str]| baichuan2(&[&["export", "--model", from], more].concat());
    export(&["--out", "same"]).assert().success();
    let [before, after] = [torch.path(), &at("same")].map(|f| Checkpoint::open(f).unwrap());
    assert!(
        before
            .iter()
            .zip(after.iter())
            .all(|(a, b)| a.tensor.bytes() == b.tensor.bytes())
    );
    export(&["--out", "wide", "--dtype", "f32"])
        .assert()
        .success();
    let wide = Checkpoint::open(at("wide")).unwrap();
    assert!(
        before
            .iter()
            .zip(wide.iter())
            .all(|(a, b)| a.tensor.to_array() == b.tensor.to_array())
    );

    export(&["--out", "as-llama", "--as", "llama"])
        .assert()
        .success();
    let llama = Checkpoint::open(at("as-llama")).unwrap();
    assert_eq!(llama.family, baichuan2::checkpoint::Family::Llama);
    export(&["--out", "as-llama", "--as", "llama"])
        .assert()
        .failure()
        .stderr(contains("--force replaces it"));
    export(&["--out", "other", "--as", "gpt"])
        .assert()
        .code(2)
        .stderr(contains("llama"));

    let alibi = golden("tiny13b");
    baichuan2(&[
        "export",
        "--model",
        alibi.to_str().unwrap(),
        "--as",
        "llama",
        "--out",
        "alibi",
    ])
    .assert()
    .failure()
    .stderr(contains("ALiBi has no place in a Llama"));
    assert!(!at("alibi").exists());

    // A Baichuan that has become a Llama reads and writes the same text.
    baichuan2(&[
        "export",
        "--model",
        "base",
        "--as",
        "llama",
        "--out",
        "text-llama",
    ])
    .assert()
    .success();
    let text = |model: &str| {
        let mut generate = baichuan2(&["generate", "--quiet", "--model", model, "The dog sat"]);
        let output = generate.args(["--max-new-tokens", "12"]).assert().success();
        output.get_output().stdout.clone()
    };
    assert_eq!(text("base"), text("text-llama"));
}
