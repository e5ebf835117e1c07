//! What `generate` takes beside its mapped weights: the keys and values, and little more.
#![cfg(all(feature = "cli", target_os = "linux"))]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const PROMPT: usize = 2000;
const LAYERS: usize = 4;
/// Of the keys of a token in a layer: sixteen heads of 128.
const KEYS: usize = 2048;

/// Bytes beside weights and cache, for tiles, intermediates of 512 tokens, the BLAS and the program itself, on two threads: measured, 44 MB (and 63 with caches that grow).
const BESIDE: usize = 54 << 20;

/// A checkpoint of 185 MB in bf16, most of it embedding and head: logits of all tokens of a prompt would take 524 MB, and of one part of it 134.
fn checkpoint() -> TempDir {
    let folder = TempDir::new().unwrap();
    let config = format!(
        r#"{{
            "architectures": ["BaichuanForCausalLM"], "model_type": "baichuan", "hidden_size": 512, "head_dim": 128, "intermediate_size": 1408,
            "num_hidden_layers": {LAYERS}, "num_attention_heads": 16, "vocab_size": 65536, "max_position_embeddings": 4096,
            "model_max_length": 4096, "rms_norm_eps": 1e-6, "tie_word_embeddings": false
        }}"#
    );
    fs::write(folder.path().join("config.json"), config).unwrap();
    let mut synth = assert_cmd::Command::cargo_bin("baichuan2").unwrap();
    let arguments = ["synth", "config.json", "model"];
    synth.args(arguments).current_dir(folder.path());
    synth.assert().success();
    folder
}

/// The most memory of the command at any time that was not mapped from a file.
fn peak(folder: &Path, arguments: &[&str]) -> usize {
    let ids: Vec<String> = (0..PROMPT)
        .map(|i| (i * 7919 % 65536).to_string())
        .collect();
    let mut child = Command::new(env!("CARGO_BIN_EXE_baichuan2"))
        .args([
            "generate",
            "--model",
            "model",
            "--max-new-tokens",
            "4",
            "--ids",
        ])
        .arg(ids.join(","))
        .args(["--threads", "2"])
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let status = fs::read_to_string(&status).unwrap_or_default();
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = kib.and_then(|kib| kib.trim().strip_suffix(" kB")?.parse::<usize>().ok());
        peak = peak.max(kib.unwrap_or(0) << 10);
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(ended.success());
            return peak;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Catches: logits of every token of a prompt; weights that are read into memory or widened whole; a cache that is copied, that leaves holes as it grows, or is
/// in f32 where f16 was asked for.
#[test]
fn a_long_prompt_takes_its_keys_and_values_and_little_more() {
    let folder = checkpoint();
    let [full, half] = [("f32", 4), ("f16", 2)].map(|(format, bytes)| {
        let cache = 2 * LAYERS * (PROMPT + 3) * KEYS * bytes;
        let peak = peak(folder.path(), &["--cache", format]);
        eprintln!("{format}: {peak} bytes, of which {cache} are keys and values");
        assert!(
            (cache..cache + BESIDE).contains(&peak),
            "{format}: {peak} bytes, and {cache} of cache"
        );
        (cache, peak)
    });
    let saved = full.1.saturating_sub(half.1);
    assert!(saved > (full.0 - half.0) / 2, "{saved} bytes saved by f16");
}
