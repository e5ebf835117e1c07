//! `baichuan2 inspect`, end to end.
#![cfg(feature = "cli")]

use assert_cmd::Command;
use predicates::str::contains;

#[path = "common/checkpoint.rs"]
mod common;
use common::{Folder, golden};

fn inspect(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("baichuan2").unwrap();
    command.arg("inspect").args(arguments);
    command
}

fn stdout(mut command: Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

/// Catches: a position scheme without its reason; layers folded that differ, or not folded at all.
#[test]
fn it_tells_what_the_model_is_and_folds_its_layers() {
    let folder = golden("tiny13b");
    let text = stdout(inspect(&[folder.to_str().unwrap()]));
    for part in [
        "Baichuan 2",
        "linear biases (ALiBi), by model_max_length without max_position_embeddings",
        "5 of width 16",
        "model.layers.{0..1}.self_attn.W_pack.weight",
        "[240, 80]",
        // 2 × 320 × 80 of embeddings, 2 × 77,600 of layers, 80 of the last norm.
        "206,480 parameters in f32, safetensors (1 file)",
        // 2 layers × keys and values × 80 × 4 bytes.
        "1.25 KiB of keys and values in f32 for each token, 80.00 KiB for the full context",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert!(!text.contains("model.layers.1."));
    let all = stdout(inspect(&[folder.to_str().unwrap(), "--all"]));
    assert!(all.contains("model.layers.1.self_attn.W_pack.weight"));
}

/// Catches: figures that only people can read; a weight file that is named and not used.
#[test]
fn json_holds_every_tensor_and_figure() {
    let folder = golden("tiny7b");
    let bf16 = folder.join("pytorch_model_bf16.bin");
    let arguments = [
        folder.to_str().unwrap(),
        "--weights",
        bf16.to_str().unwrap(),
        "--json",
    ];
    let json: serde_json::Value = serde_json::from_str(&stdout(inspect(&arguments))).unwrap();
    assert_eq!(json["config"]["position"]["scheme"], "rope");
    assert_eq!(json["format"], "torch pickle");
    assert_eq!(json["tensors"].as_array().unwrap().len(), 17);
    assert_eq!(
        json["tensors"][2]["name"],
        "model.layers.0.self_attn.W_pack.weight"
    );
    assert_eq!(json["tensors"][2]["shape"], serde_json::json!([192, 64]));
    let parameters = json["parameters"].as_u64().unwrap();
    assert_eq!(parameters, 140_096);
    assert_eq!(json["memory_bytes"]["weights"], 2 * parameters);
    assert_eq!(json["generation"]["eos_token_id"], serde_json::json!([2]));
}

/// Catches: a failure that a script takes for success, or that prints a panic.
#[test]
fn failures_have_their_exit_codes() {
    inspect(&["/nowhere"])
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("error: /nowhere: is not a folder"));
    inspect(&[])
        .assert()
        .success()
        .stdout(contains("Baichuan 2"));
    inspect(&["--nothing"]).assert().code(2);
    inspect(&["--help"])
        .assert()
        .success()
        .stdout(contains("Examples:\n  baichuan2 inspect"));
    let folder = Folder::copy_of("tiny7b", &["pytorch_model.bin"]);
    let path = folder.path().join("pytorch_model.bin");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    inspect(&[folder.path().to_str().unwrap()])
        .assert()
        .code(1)
        .stderr(contains(
            "pytorch_model.bin: is not a whole zip archive, so it is truncated",
        ));
}
