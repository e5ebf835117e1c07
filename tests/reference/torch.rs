//! Models of ours in PyPI's libraries: what is exported as a Llama in `transformers`, and what is kept beside a model in `peft`.

use crate::{Data, difference, needs};
use baichuan2::checkpoint::Checkpoint;
use libtest_mimic::Trial;
use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
};
use tempfile::TempDir;

pub fn trials() -> Vec<Trial> {
    vec![
        needs(
            [Data::Torch("BAICHUAN2_TORCH_PYTHON")],
            "torch::transformers_computes_the_logits_of_an_exported_llama",
            transformers_computes_the_logits_of_an_exported_llama,
        ),
        needs(
            [Data::Torch("BAICHUAN2_PEFT_PYTHON")],
            "torch::peft_applies_an_adapter_as_it_was_merged",
            peft_applies_an_adapter_as_it_was_merged,
        ),
    ]
}

fn baichuan2(folder: &Path, arguments: &[&str]) {
    let status = Command::new(env!("CARGO_BIN_EXE_baichuan2"))
        .args(arguments)
        .current_dir(folder)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{arguments:?}");
}

/// Logits as transformers computes them.
fn logits_in_torch(python: &Path, ids: &[u32], folders: &[&Path]) -> Vec<f32> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch/llama.py");
    let mut child = Command::new(python)
        .arg(script)
        .args(folders)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let ids = serde_json::to_vec(ids).unwrap();
    child.stdin.take().unwrap().write_all(&ids).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {told}", python.display());
    let rows: Vec<Vec<f32>> = serde_json::from_slice(&output.stdout).unwrap();
    rows.concat()
}

fn our_logits(folder: &Path, ids: &[u32]) -> Vec<f32> {
    let decoder = Checkpoint::open(folder).unwrap().decoder().unwrap();
    let logits = decoder.forward(ids, &mut decoder.new_cache(), None);
    logits.unwrap().into_raw_vec_and_offset().0
}

/// A folder with a small model `ours` of the built-in corpus, with W_pack and NormHead, and `llama`, the same as a Llama.
fn trained() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let train = ["train", "--tokens", "50000", "--checkpoints", "1"];
        baichuan2(folder.path(), &[&train[..], &["--out", "ours"]].concat());
        let export = ["export", "--model", "ours", "--as", "llama"];
        let as_f32 = ["--dtype", "f32", "--out", "llama"];
        baichuan2(folder.path(), &[&export[..], &as_f32].concat());
        folder
    });
    folder.path()
}

/// 200 ids of its vocabulary.
fn ids() -> Vec<u32> {
    let checkpoint = Checkpoint::open(trained().join("ours")).unwrap();
    let vocab_size = checkpoint.config.vocab_size as u32;
    let scattered = (0..200_u32).map(|i| i.wrapping_mul(2_654_435_761));
    scattered.map(|id| id % vocab_size).collect()
}

fn compare(what: &str, ours: &[f32], theirs: &[f32]) {
    let largest = ours.iter().fold(0.0_f32, |max, z| max.max(z.abs()));
    let difference = difference(ours, theirs);
    eprintln!(
        "{what}: {} logits up to {largest:.2}, largest difference {difference:.1e}",
        ours.len()
    );
    assert!(largest > 1.0, "logits of a trained model are not all small");
    assert!(difference < 2e-5, "{difference}");
}

/// Catches: NormHead that is not folded in; W_pack cut in another order; a base, an ε or a name that transformers reads otherwise.
fn transformers_computes_the_logits_of_an_exported_llama([python]: [&Path; 1]) {
    let (folder, ids) = (trained(), ids());
    let theirs = logits_in_torch(python, &ids, &[&folder.join("llama")]);
    let ours = our_logits(&folder.join("ours"), &ids);
    compare("ours and its Llama in transformers", &ours, &theirs);
}

/// Catches: names, factors or a scale in an adapter that PEFT reads otherwise.
fn peft_applies_an_adapter_as_it_was_merged([python]: [&Path; 1]) {
    let (folder, ids) = (trained(), ids());
    let round = r#"{"conversations": [{"from": "human", "value": "hello"}, {"from": "gpt", "value": "good day"}]}"#;
    fs::write(folder.join("chat.jsonl"), round).unwrap();
    let tune = ["finetune", "--model", "llama", "--data", "chat.jsonl"];
    let lora = ["--lora-rank", "3", "--lora-alpha", "6", "--adapter"];
    let out = ["--epochs", "20", "--rate", "0.005", "--out", "adapter"];
    baichuan2(folder, &[&tune[..], &lora, &out].concat());
    let merge = ["export", "--model", "llama", "--adapter", "adapter"];
    baichuan2(folder, &[&merge[..], &["--out", "merged"]].concat());
    let [llama, adapter, merged] = ["llama", "adapter", "merged"].map(|f| folder.join(f));
    let theirs = logits_in_torch(python, &ids, &[&llama, &adapter]);
    let ours = our_logits(&merged, &ids);
    let moved = difference(&ours, &our_logits(&llama, &ids));
    assert!(moved > 0.1, "the adapter changes something: {moved}");
    compare("ours merged and PEFT's", &ours, &theirs);
}
