//! Real checkpoints open.

use crate::{Data, needs};
use baichuan2::checkpoint::Checkpoint;
use libtest_mimic::Trial;
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    vec![needs(
        [Data::Reference("stories260k")],
        "checkpoint::a_real_llama_opens",
        a_real_llama_opens,
    )]
}

/// Catches: grouped-query heads, a tied embedding, or unpacked projections that are not read from `config.json`.
fn a_real_llama_opens([folder]: [&Path; 1]) {
    let checkpoint = Checkpoint::open(folder).unwrap();
    assert_eq!(checkpoint.config.num_key_value_heads, 4);
    assert!(checkpoint.config.tie_word_embeddings && !checkpoint.config.norm_head);
    let k_proj = checkpoint.tensor("model.layers.4.self_attn.k_proj.weight");
    assert_eq!(k_proj.unwrap().shape(), [32, 64]);
    assert_eq!(checkpoint.tokenizer, Some(folder.join("tokenizer.model")));
}
