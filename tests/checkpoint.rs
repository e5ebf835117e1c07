//! Checkpoint folders: every form opens to the same numbers, and what does not fit is named.
#![cfg(feature = "files")]

use baichuan2::{
    checkpoint::{Checkpoint, Format, Problem, read_safetensors, write_safetensors},
    dtransformer::Position,
    tensor::Dtype,
};
use half::bf16;
use ndarray::{ArrayD, IxDyn};
use std::{fs, path::Path};
use tempfile::TempDir;

#[path = "common/checkpoint.rs"]
mod common;
use common::{Folder, golden};

/// Catches: a position scheme chosen by size, or by `model_max_length`, which both goldens have.
#[test]
fn both_sizes_open_with_their_own_position_scheme() {
    let tiny7b = Checkpoint::open(golden("tiny7b")).unwrap();
    assert_eq!(tiny7b.config.position, Position::Rope { base: 1e4 });
    assert_eq!(tiny7b.position_because, "max_position_embeddings");
    let tiny13b = Checkpoint::open(golden("tiny13b")).unwrap();
    assert_eq!(tiny13b.config.position, Position::Alibi);
    for checkpoint in [tiny7b, tiny13b] {
        assert!(checkpoint.config.norm_head && checkpoint.config.packed_qkv);
        assert_eq!(checkpoint.config.context, 64);
        assert_eq!(
            checkpoint.iter().len(),
            checkpoint.config.parameters().len()
        );
        assert_eq!(checkpoint.generation.repetition_penalty, Some(1.05));
        assert_eq!(checkpoint.tokenizer, None);
    }
}

/// Catches: offsets, strides or shards that are read from the wrong place; bf16 taken for f16.
#[test]
fn every_form_holds_the_same_numbers() {
    for size in ["tiny7b", "tiny13b"] {
        let folder = golden(size);
        let expected = Checkpoint::open(&folder).unwrap();
        assert_eq!(expected.format, Format::Safetensors);
        for form in ["pytorch_model.bin", "sharded"] {
            let torch = Checkpoint::open_with(&folder, folder.join(form)).unwrap();
            assert_eq!(torch.format, Format::Torch);
            assert_eq!(torch.iter().len(), expected.iter().len());
            for item in torch.iter() {
                let same = expected.tensor(item.name).unwrap();
                assert_eq!(item.tensor.dtype(), Dtype::F32);
                assert_eq!(item.tensor.bytes(), same.bytes(), "{form}: {}", item.name);
            }
        }
        let rounded =
            Checkpoint::open_with(&folder, folder.join("pytorch_model_bf16.bin")).unwrap();
        for item in rounded.iter() {
            assert_eq!(item.tensor.dtype(), Dtype::BF16);
            let exact = expected.tensor(item.name).unwrap().to_array();
            let nearest = exact.mapv(|x| bf16::from_f32(x).to_f32());
            assert_eq!(item.tensor.to_array(), nearest, "{}", item.name);
        }
    }
}

/// Catches: a folder with several forms that is read from the slower one; a `.bin` beside its index read in part.
#[test]
fn safetensors_come_before_torch_and_whole_files_before_shards() {
    let folder = Folder::copy_of("tiny7b", &["model.safetensors", "pytorch_model.bin"]);
    for shard in fs::read_dir(golden("tiny7b/sharded")).unwrap() {
        let shard = shard.unwrap();
        fs::copy(shard.path(), folder.path().join(shard.file_name())).unwrap();
    }
    let format = |folder: &Folder| Checkpoint::open(folder.path()).unwrap();
    assert_eq!(format(&folder).format, Format::Safetensors);
    folder.remove("model.safetensors");
    let files: Vec<_> = format(&folder).iter().map(|i| i.file.to_owned()).collect();
    assert!(files.iter().all(|file| file.ends_with("pytorch_model.bin")));
    folder.remove("pytorch_model.bin");
    let shards = format(&folder);
    assert_eq!(shards.format, Format::Torch);
    assert!(
        shards
            .iter()
            .all(|item| item.file.to_string_lossy().contains("-of-00006.bin"))
    );
}

/// Catches: sharded safetensors that are not read, or links that are refused: a hub's cache consists of links.
#[cfg(unix)]
#[test]
fn sharded_safetensors_behind_links_open() {
    let whole = Checkpoint::open(golden("tiny13b")).unwrap();
    let blobs = TempDir::new().unwrap();
    let folder = Folder::copy_of("tiny13b", &[]);
    let mut weight_map = serde_json::Map::new();
    let items: Vec<_> = whole.iter().collect();
    for (i, half) in items.chunks(items.len().div_ceil(2)).enumerate() {
        let name = format!("model-0000{}-of-00002.safetensors", i + 1);
        let blob = blobs.path().join(i.to_string());
        let arrays = half
            .iter()
            .map(|item| (item.name.to_owned(), item.tensor.to_array()));
        write_safetensors(&blob, arrays).unwrap();
        std::os::unix::fs::symlink(&blob, folder.path().join(&name)).unwrap();
        for item in half {
            weight_map.insert(item.name.into(), name.clone().into());
        }
    }
    let index = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": weight_map});
    folder.write("model.safetensors.index.json", index.to_string());
    let sharded = Checkpoint::open(folder.path()).unwrap();
    for item in sharded.iter() {
        assert_eq!(
            item.tensor.bytes(),
            whole.tensor(item.name).unwrap().bytes()
        );
    }
}

/// Catches: a file that is half written when the disk is full, and shapes or orders lost on the way to disk and back.
#[test]
fn what_is_written_is_read_back() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("trace.safetensors");
    let column_major = ArrayD::from_shape_fn(IxDyn(&[3, 2]), |i| (10 * i[0] + i[1]) as f32);
    let arrays = || {
        [
            ("logits".to_owned(), column_major.t().to_owned()),
            ("scalar".to_owned(), ArrayD::from_elem(IxDyn(&[]), 7.0)),
            ("nothing".to_owned(), ArrayD::zeros(IxDyn(&[0, 4]))),
        ]
    };
    write_safetensors(&path, arrays()).unwrap();
    let read = read_safetensors(fs::read(&path).unwrap().into()).unwrap();
    for (name, array) in arrays() {
        assert_eq!(read[&name].clone().unwrap().to_array(), array);
    }

    let twice = arrays().into_iter().chain(arrays());
    let error = write_safetensors(&path, twice).unwrap_err();
    assert_eq!(error.to_string(), "the tensor `logits` was given twice");
    let nowhere = folder.path().join("missing/trace.safetensors");
    let error = write_safetensors(&nowhere, arrays()).unwrap_err();
    assert!(error.to_string().contains("missing/trace.safetensors"));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file stays behind");
}

/// Catches: a first problem that hides the others; a problem told without tensor, shapes or file.
#[test]
fn everything_that_does_not_fit_is_told_at_once() {
    let folder = Folder::copy_of("tiny7b", &[]);
    let mut tensors = common::arrays("tiny7b");
    tensors.shift_remove("model.norm.weight");
    tensors.insert(
        "model.norm.bias".into(),
        ndarray::arr1(&[1.0, 2.0]).into_dyn(),
    );
    tensors["lm_head.weight"] = ArrayD::zeros(IxDyn(&[64, 320]));
    write_safetensors(folder.path().join("model.safetensors"), tensors).unwrap();

    let error = Checkpoint::open(folder.path()).unwrap_err();
    let baichuan2::checkpoint::Error::Problems { problems, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(problems.count(), 3);
    let text = error.to_string();
    for part in [
        "model.norm.weight: missing; it should have shape [64]",
        "lm_head.weight: expected shape [320, 64], got [64, 320] in",
        "model.norm.bias: of shape [2] in",
        "model.safetensors",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// Catches: a list of hundreds of missing tensors in which nobody finds the cause.
#[test]
fn of_many_problems_ten_are_shown() {
    let folder = Folder::copy_of("tiny7b", &["model.safetensors"]);
    let config = folder.read("config.json");
    folder.write(
        "config.json",
        config.replace("\"hidden_size\": 64", "\"hidden_size\": 128"),
    );
    let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 12, "{error}");
    assert!(error.ends_with("and 7 more"), "{error}");
}

/// Catches: as many names written out as a hostile `num_hidden_layers` asks for.
#[test]
fn more_layers_than_tensors_are_refused_at_once() {
    let folder = Folder::copy_of("tiny7b", &["model.safetensors"]);
    let config = folder.read("config.json");
    let config = config.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 4000");
    folder.write("config.json", config);
    let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("4000 layers, but the files hold 17 tensors"),
        "{error}"
    );
}

/// Catches: a checkpoint refused for a buffer that shipped code saves, or any tensor passed over in silence.
#[test]
fn known_buffers_are_skipped_and_listed() {
    let folder = Folder::copy_of("tiny7b", &[]);
    let mut tensors = common::arrays("tiny7b");
    let inv_freq = "model.layers.0.self_attn.rotary_emb.inv_freq";
    tensors.insert(inv_freq.into(), ArrayD::zeros(IxDyn(&[8])));
    let path = folder.path().join("model.safetensors");
    write_safetensors(&path, tensors.clone()).unwrap();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.skipped()[0].name, inv_freq);
    assert!(checkpoint.tensor(inv_freq).is_err());

    tensors.insert("not_rotary_emb.inv_freq".into(), ArrayD::zeros(IxDyn(&[8])));
    write_safetensors(&path, tensors).unwrap();
    let error = Checkpoint::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("not_rotary_emb.inv_freq"));
}

/// Catches: an index that reads any file of the machine, and shards that are missing, misnamed or named twice.
#[test]
fn an_index_is_held_to_its_folder_and_its_shards() {
    let folder = Folder::copy_of("tiny7b", &[]);
    for shard in fs::read_dir(golden("tiny7b/sharded")).unwrap() {
        let shard = shard.unwrap();
        fs::copy(shard.path(), folder.path().join(shard.file_name())).unwrap();
    }
    let index = folder.read("pytorch_model.bin.index.json");
    let first = "pytorch_model-00001-of-00006.bin";
    let outside = golden("tiny7b/sharded").join(first);
    let above = "../pytorch_model-00001-of-00006.bin";
    let below = "./below/../pytorch_model-00001-of-00006.bin";
    for escape in [outside.to_str().unwrap(), above, below, "", ".."] {
        folder.write("pytorch_model.bin.index.json", index.replace(first, escape));
        let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
        let refused = "is not the name of a file in the folder; refused";
        assert!(error.contains(refused), "{escape}: {error}");
        assert!(error.contains("model.embed_tokens.weight"), "{error}");
    }

    let elsewhere = index.replace(
        "\"model.embed_tokens.weight\": \"pytorch_model-00001-of-00006.bin\"",
        "\"model.embed_tokens.weight\": \"pytorch_model-00002-of-00006.bin\"",
    );
    folder.write("pytorch_model.bin.index.json", elsewhere);
    let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("model.embed_tokens.weight: the index says")
            && error.contains("00002-of-00006.bin, which does not hold it"),
        "{error}"
    );

    folder.write("pytorch_model.bin.index.json", &index);
    folder.remove("pytorch_model-00003-of-00006.bin");
    let error = Checkpoint::open(folder.path()).unwrap_err();
    let baichuan2::checkpoint::Error::Problems { problems, .. } = error else {
        panic!("{error}");
    };
    let [Problem::NoShard { tensors: 4, .. }] = problems.first() else {
        panic!("{problems}");
    };

    let twice = index.replacen(
        "\"weight_map\": {",
        "\"weight_map\": {\"model.embed_tokens.weight\": \"a\",",
        1,
    );
    folder.write("pytorch_model.bin.index.json", twice);
    let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("`model.embed_tokens.weight` is there twice"),
        "{error}"
    );
}

/// Catches: an error that does not say what to do about the most common broken downloads.
#[test]
fn folders_without_usable_weights_get_a_cure() {
    let message = |folder: &Path| Checkpoint::open(folder).unwrap_err().to_string();
    let folder = Folder::copy_of("tiny7b", &[]);
    assert!(message(&folder.path().join("none")).contains("is not a folder"));
    assert!(message(folder.path()).contains("has no weights; looked for model.safetensors"));

    folder.write("model-00001-of-00002.safetensors", "");
    assert!(message(folder.path()).contains("bring the index"));
    folder.write(
        "pytorch_model.bin",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    );
    assert!(message(folder.path()).contains("git lfs pull"));
    folder.write("pytorch_model.bin", b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46");
    assert!(message(folder.path()).contains("before 1.6"));
    folder.write("model.safetensors", "");
    assert!(message(folder.path()).contains("0 bytes long"));
    folder.remove("config.json");
    assert!(message(folder.path()).contains("config.json"));
}

/// Catches: a tensor that two shards hold, of which the last one read wins.
#[test]
fn a_tensor_in_two_files_is_told_with_both() {
    let folder = Folder::copy_of("tiny7b", &[]);
    let arrays = common::arrays("tiny7b");
    let mut weight_map = serde_json::Map::new();
    for name in ["a.safetensors", "b.safetensors"] {
        let mut part = arrays.clone();
        let norm = part.swap_remove("model.norm.weight").unwrap();
        if name == "b.safetensors" {
            part.clear();
        }
        part.insert("model.norm.weight".into(), norm);
        for tensor in part.keys() {
            weight_map.insert(tensor.clone(), name.into());
        }
        write_safetensors(folder.path().join(name), part).unwrap();
    }
    let index = serde_json::json!({ "weight_map": weight_map });
    folder.write("model.safetensors.index.json", index.to_string());
    let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("a.safetensors, but not in the index"),
        "{error}"
    );
    let twice = error.lines().find(|line| line.contains("and again in"));
    let twice = twice.unwrap_or_else(|| panic!("{error}"));
    assert!(
        twice.contains("a.safetensors") && twice.contains("b.safetensors"),
        "{error}"
    );
}

/// Catches: whole numbers taken for weights, or refused without a name.
#[test]
fn a_parameter_in_whole_numbers_is_told() {
    let (config, file) = in_memory("tiny7b");
    let header = "\"model.norm.weight\":{\"dtype\":\"F32\"";
    let mut starts = file.windows(header.len());
    let at = starts.position(|bytes| bytes == header.as_bytes()).unwrap() + header.len() - 4;
    let mut broken = file.clone();
    broken[at..at + 3].copy_from_slice(b"I32");
    let error = Checkpoint::from_bytes(&config, broken.into())
        .unwrap_err()
        .to_string();
    let said =
        "model.norm.weight: stored in I32 in model.safetensors; supported are f32, f16 and bf16";
    assert!(error.contains(said), "{error}");
}

fn in_memory(size: &str) -> (Vec<u8>, Vec<u8>) {
    let read = |name: &str| fs::read(golden(size).join(name)).unwrap();
    (read("config.json"), read("model.safetensors"))
}

/// Catches: a reader for the browser that finds other numbers than the one for files.
#[test]
fn bytes_in_memory_open_as_files_do() {
    let (config, file) = in_memory("tiny13b");
    let memory = Checkpoint::from_bytes(&config, file.into()).unwrap();
    let files = Checkpoint::open(golden("tiny13b")).unwrap();
    assert_eq!(memory.config, files.config);
    for (memory, file) in memory.iter().zip(files.iter()) {
        assert_eq!(
            (memory.name, memory.tensor.bytes()),
            (file.name, file.tensor.bytes())
        );
    }
}

/// Catches: an output matrix that overrules the embedding it is tied to, or is refused as unknown.
#[test]
fn the_output_matrix_of_a_tied_model_is_the_embedding() {
    let folder = Folder::copy_of("tiny7b", &["model.safetensors"]);
    let config = folder.read("config.json");
    let tied = config.replace(
        "\"tie_word_embeddings\": false",
        "\"tie_word_embeddings\": true",
    );
    folder.write("config.json", tied);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.skipped()[0].name, "lm_head.weight");
    assert!(checkpoint.tensor("lm_head.weight").is_err());
}

/// Catches: a converted `tokenizer.json`, some of which are unfaithful, preferred to the tokenizer itself.
#[test]
fn the_tokenizer_itself_comes_before_its_conversion() {
    let folder = Folder::copy_of("tiny7b", &["model.safetensors"]);
    for name in ["tokenizer.json", "tokenizer.model"] {
        folder.write(name, "");
        let tokenizer = Checkpoint::open(folder.path()).unwrap().tokenizer;
        assert_eq!(tokenizer, Some(folder.path().join(name)));
    }
}
