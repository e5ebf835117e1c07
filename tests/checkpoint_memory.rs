//! Opening a checkpoint reads its headers and nothing else, however large it is.
#![cfg(feature = "files")]

use baichuan2::checkpoint::Checkpoint;
use std::{
    fs::File,
    io::Write,
    time::{Duration, Instant},
};

#[path = "common/checkpoint.rs"]
mod common;
#[path = "common/counting.rs"]
mod counting;
use common::Folder;
use counting::peak;

/// A sparse checkpoint of the 13B shape: its numbers take no space on disk, and would take 28 GB in memory.
fn sparse_13b(folder: &Folder) -> u64 {
    folder.write(
        "config.json",
        r#"{"model_type": "baichuan", "vocab_size": 125696, "hidden_size": 5120, "intermediate_size": 13696,
            "num_hidden_layers": 40, "num_attention_heads": 40, "rms_norm_eps": 1e-6, "model_max_length": 4096}"#,
    );
    let mut header = serde_json::Map::new();
    let mut end = 0_u64;
    for parameter in baichuan2::dtransformer::Config::baichuan2_13b().parameters() {
        let start = end;
        end += 2 * parameter.shape.iter().product::<usize>() as u64;
        let info = serde_json::json!({"dtype": "BF16", "shape": parameter.shape, "data_offsets": [start, end]});
        header.insert(parameter.name, info);
    }
    let header = serde_json::Value::from(header).to_string();
    let mut file = File::create(folder.path().join("model.safetensors")).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes())
        .unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(8 + header.len() as u64 + end).unwrap();
    end
}

/// Catches: numbers that are read, copied or widened while opening.
#[test]
fn twenty_eight_gigabytes_open_at_once_and_take_no_memory() {
    let folder = Folder::copy_of("tiny13b", &[]);
    let bytes = sparse_13b(&folder);
    let start = Instant::now();
    let (checkpoint, peak) = peak(|| Checkpoint::open(folder.path()).unwrap());
    let took = start.elapsed();
    eprintln!("{bytes} bytes opened in {took:?}, {peak} bytes allocated at most");
    assert_eq!(checkpoint.parameter_count(), 13_896_668_160);
    assert_eq!(checkpoint.total_bytes() as u64, bytes);
    assert!(took < Duration::from_millis(500), "{took:?}");
    assert!(peak < 1 << 20, "{peak} bytes");
}
