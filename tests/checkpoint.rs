//! Checkpoint folders: every form opens to the same numbers, and what does not fit is named.

use baichuan2::{checkpoint::Checkpoint, dtransformer::Position};
use std::path::{Path, PathBuf};

#[path = "common/reference.rs"]
mod reference;
use reference::reference;

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/goldens")
        .join(path)
}

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
    }
}

/// Catches: grouped-query heads, a tied embedding, or unpacked projections that are not read from `config.json`.
#[test]
fn a_real_llama_opens() {
    let Some(folder) = reference("stories260k") else {
        return;
    };
    let checkpoint = Checkpoint::open(folder).unwrap();
    assert_eq!(checkpoint.config.num_key_value_heads, 4);
    assert!(checkpoint.config.tie_word_embeddings && !checkpoint.config.norm_head);
    let k_proj = checkpoint.tensor("model.layers.4.self_attn.k_proj.weight");
    assert_eq!(k_proj.unwrap().shape(), [32, 64]);
}
