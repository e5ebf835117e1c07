//! The commands `synth`, `quantize` and `bench`, end to end, on small shapes.
#![cfg(feature = "cli")]

use assert_cmd::Command;
use baichuan2::{checkpoint::Checkpoint, dtransformer::Decoder, tensor::Dtype};
use ndarray::Array2;
use predicates::{prelude::PredicateBooleanExt, str::contains};
use std::{fs, path::Path};
use tempfile::TempDir;

fn baichuan2(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::cargo_bin("baichuan2").unwrap();
    command.args(arguments).current_dir(folder);
    command
}

/// A folder with the configuration of a small 7B in `shape/config.json`.
fn workspace() -> TempDir {
    let folder = TempDir::new().unwrap();
    let config = r#"{
        "architectures": ["BaichuanForCausalLM"], "model_type": "baichuan", "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 3,
        "num_attention_heads": 4, "vocab_size": 320, "max_position_embeddings": 96, "model_max_length": 96, "rms_norm_eps": 1e-6,
        "tie_word_embeddings": false, "torch_dtype": "float32"
    }"#;
    fs::create_dir(folder.path().join("shape")).unwrap();
    fs::write(folder.path().join("shape/config.json"), config).unwrap();
    folder
}

fn decoder(folder: &Path) -> Decoder {
    Checkpoint::open(folder).unwrap().decoder().unwrap()
}

fn logits(decoder: &Decoder) -> Array2<f32> {
    let ids: Vec<u32> = (0..40).map(|i| i * 7 % 320).collect();
    decoder
        .forward(&ids, &mut decoder.new_cache(), None)
        .unwrap()
}

/// Catches: names or shapes that are no checkpoint's, a seed without effect or weights that depend on the threads, a number format other than asked for, and an
/// earlier folder that is overwritten.
#[test]
fn synth_writes_a_checkpoint_that_opens_and_is_the_same_each_time() {
    let folder = workspace();
    let at = |name: &str| folder.path().join(name);
    let synth = |arguments: &[&str]| {
        let mut command = baichuan2(&["synth", "shape"], folder.path());
        command.args(arguments);
        command
    };
    synth(&["one"]).assert().success();
    synth(&["two", "--threads", "1"]).assert().success();
    synth(&["three", "--seed", "1"]).assert().success();
    synth(&["short", "--layers", "2", "--dtype", "f16"])
        .assert()
        .success();
    let [one, two, three] = ["one", "two", "three"].map(|name| logits(&decoder(&at(name))));
    assert_eq!(one, two);
    assert_ne!(one, three);
    let checkpoint = Checkpoint::open(at("one")).unwrap();
    let parameters = checkpoint.config.parameters();
    assert_eq!(checkpoint.iter().count(), parameters.len());
    assert!(
        checkpoint
            .iter()
            .all(|item| item.tensor.dtype() == Dtype::BF16)
    );
    let short = Checkpoint::open(at("short")).unwrap();
    assert_eq!(short.config.num_hidden_layers, 2);
    assert!(short.iter().all(|item| item.tensor.dtype() == Dtype::F16));

    synth(&["one"]).assert().failure().stderr(contains("one"));
    assert_eq!(logits(&decoder(&at("one"))), one, "still there");
    synth(&["one", "--seed", "1", "--force"]).assert().success();
    assert_eq!(logits(&decoder(&at("one"))), three);
    baichuan2(&["synth", "8b", "no"], folder.path())
        .assert()
        .failure()
        .stderr(contains("a shape is 7b, 13b, or a config.json"));
    assert!(!at("no").exists());
}

/// Catches: a map that stays as it was or an embedding, norm or head that does not; an error that is not told; a folder that no command opens; groups of groups.
#[test]
fn quantize_rounds_the_maps_of_the_layers_and_nothing_else() {
    let folder = workspace();
    baichuan2(
        &["synth", "shape", "exact", "--dtype", "f32"],
        folder.path(),
    )
    .assert()
    .success();
    let exact = Checkpoint::open(folder.path().join("exact")).unwrap();
    let reference = logits(&exact.decoder().unwrap());
    let size = |m: &Array2<f32>| m.iter().map(|x| x * x).sum::<f32>().sqrt();
    let mut errors = Vec::new();
    for (bits, dtype) in [("8", Dtype::Int8), ("4", Dtype::Int4)] {
        let out = format!("int{bits}");
        let arguments = [
            "quantize", "--model", "exact", "--bits", bits, "--out", &out,
        ];
        baichuan2(&arguments, folder.path())
            .assert()
            .success()
            .stdout(
                contains("W_pack")
                    .and(contains("down_proj"))
                    .and(contains("%")),
            );
        let rounded = Checkpoint::open(folder.path().join(&out)).unwrap();
        for item in rounded.iter() {
            let map = item.name.contains("_proj") || item.name.contains("W_pack");
            if map {
                assert_eq!(item.tensor.dtype(), dtype, "{}", item.name);
            } else {
                let same = exact.tensor(item.name).unwrap();
                assert_eq!(item.tensor.to_array(), same.to_array(), "{}", item.name);
            }
        }
        let logits = logits(&rounded.decoder().unwrap());
        errors.push(size(&(&logits - &reference)) / size(&reference));
    }
    // Weights are off by 0.4% and 7%; three layers add up what they make of it.
    assert!(errors[0] < 0.02, "{errors:?}");
    assert!(errors[1] < 0.3 && errors[1] > 4.0 * errors[0], "{errors:?}");

    baichuan2(
        &["quantize", "--model", "int8", "--bits", "4", "--out", "no"],
        folder.path(),
    )
    .assert()
    .failure()
    .stderr(contains("is in groups already"));
    baichuan2(
        &["quantize", "--model", "exact", "--bits", "3", "--out", "no"],
        folder.path(),
    )
    .assert()
    .failure()
    .stderr(contains("give 8 or 4"));
    assert!(!folder.path().join("no").exists());
}

/// Catches: a row that is not a multiple of a group cut short; it must be told, with the tensor and what would be needed.
#[test]
fn quantize_says_what_cannot_be_cut_into_groups() {
    let folder = TempDir::new().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny7b");
    baichuan2(
        &[
            "quantize",
            "--model",
            golden.to_str().unwrap(),
            "--out",
            "no",
        ],
        folder.path(),
    )
    .assert()
    .failure()
    .stderr(contains("down_proj").and(contains("172")));
    assert!(!folder.path().join("no").exists());
}

/// Catches: figures that are not numbers or not there; a model that cannot be measured; zero rounds taken for a measurement; a cache in a format
/// that nobody asked for.
#[test]
fn bench_prints_figures_of_the_machine_and_of_the_model() {
    let folder = workspace();
    let few = ["--rounds", "1", "--prompt", "8", "--tokens", "2"];
    let mut bench = baichuan2(&["bench", "--json"], folder.path());
    let printed = bench.args(few).output().unwrap();
    assert!(printed.status.success());
    let figures: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    for figure in [
        "/arithmetic_flops",
        "/bandwidth_bytes",
        "/prompt/tokens_per_second",
        "/prompt/share",
        "/token/tokens_per_second",
        "/token/share",
        "/cache_bytes",
    ] {
        let number = figures.pointer(figure).and_then(|f| f.as_f64());
        assert!(
            number.is_some_and(|n| n.is_finite() && n > 0.0),
            "{figure}: {number:?}"
        );
    }
    let cache = |arguments: &[&str]| {
        let mut bench = baichuan2(&["bench", "--json"], folder.path());
        let printed = bench.args(few).args(arguments).output().unwrap();
        let figures: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
        figures["cache_bytes"].as_u64().unwrap()
    };
    assert_eq!(cache(&[]), 2 * cache(&["--cache", "f16"]));
    baichuan2(&["bench", "--attention", "300"], folder.path())
        .args(["--rounds", "1"])
        .assert()
        .success()
        .stdout(contains("in blocks").and(contains("with the whole map")));
    baichuan2(&["bench", "--rounds", "0"], folder.path())
        .assert()
        .failure()
        .stderr(contains("give numbers above 0"));
}
