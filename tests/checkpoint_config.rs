//! `config.json` and `generation_config.json`: what they mean, and what of them is refused.
#![cfg(feature = "files")]

use baichuan2::{
    checkpoint::{
        Checkpoint, ConfigFileError, Family, ModelConfig, config_json, read_config,
        read_generation_config,
    },
    dtransformer::{Config, Position},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;

#[path = "common/checkpoint.rs"]
mod common;
use common::Folder;

fn with(base: &Value, changes: Value) -> Result<ModelConfig, ConfigFileError> {
    let mut config = base.as_object().unwrap().clone();
    for (key, value) in changes.as_object().unwrap() {
        match value.as_str() {
            Some("absent") => config.remove(key),
            _ => config.insert(key.clone(), value.clone()),
        };
    }
    read_config(Value::from(config).to_string().as_bytes())
}

/// The keys of the real 7B that mean something, and some that do not.
fn baichuan2_7b() -> Value {
    json!({
        "architectures": ["BaichuanForCausalLM"],
        "auto_map": {"AutoConfig": "configuration_baichuan.BaichuanConfig"},
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "hidden_act": "silu",
        "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 11008,
        "max_position_embeddings": 4096, "model_max_length": 4096, "model_type": "baichuan",
        "num_attention_heads": 32, "num_hidden_layers": 32, "rms_norm_eps": 1e-06,
        "_from_model_config": true, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "use_cache": true, "vocab_size": 125696
    })
}

fn llama() -> Value {
    json!({
        "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152, "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5, "rope_theta": 100000.0, "rope_scaling": null, "hidden_act": "silu",
        "attention_bias": false, "tie_word_embeddings": true
    })
}

fn message(result: Result<ModelConfig, ConfigFileError>) -> String {
    result.unwrap_err().to_string()
}

/// Catches: a scheme chosen by the size of the model: a 7B-sized one with the keys of 13B has linear biases, and the other way round.
#[test]
fn the_keys_decide_on_the_position_scheme_and_not_the_size() {
    let model = with(&baichuan2_7b(), json!({})).unwrap();
    assert_eq!(model.config, Config::baichuan2_7b());
    assert_eq!(model.family, Family::Baichuan2);
    assert_eq!(model.generation.eos_token_ids, [2]);

    let alibi = with(
        &baichuan2_7b(),
        json!({"max_position_embeddings": "absent"}),
    )
    .unwrap();
    assert_eq!(alibi.config.position, Position::Alibi);
    let thirteen = json!({"hidden_size": 5120, "num_attention_heads": 40, "num_hidden_layers": 40});
    let rope = with(&baichuan2_7b(), thirteen).unwrap();
    assert_eq!(rope.config.position, Position::Rope { base: 1e4 });

    let neither = json!({"max_position_embeddings": "absent", "model_max_length": "absent"});
    assert!(message(with(&baichuan2_7b(), neither)).contains("position scheme cannot be told"));
}

/// Catches: NormHead applied to Baichuan 1, which says it is `baichuan` too.
#[test]
fn baichuan_1_has_no_norm_head() {
    let first = with(&baichuan2_7b(), json!({"vocab_size": 64000})).unwrap();
    assert_eq!(
        (first.family, first.config.norm_head),
        (Family::Baichuan1, false)
    );
    let own = with(
        &baichuan2_7b(),
        json!({"vocab_size": 320, "norm_head": false}),
    )
    .unwrap();
    assert_eq!(
        (own.family, own.config.norm_head),
        (Family::Baichuan2, false)
    );
}

/// Catches: defaults of another model; a base that newer files keep elsewhere.
#[test]
fn llama_is_read_with_its_own_keys() {
    let model = with(&llama(), json!({})).unwrap();
    let config = model.config;
    assert_eq!((config.head_dim, config.num_key_value_heads), (64, 3));
    assert_eq!(config.position, Position::Rope { base: 1e5 });
    assert!(!config.packed_qkv && !config.norm_head && config.tie_word_embeddings);
    assert_eq!(config.context, 8192);

    let old = json!({"num_key_value_heads": "absent", "rope_theta": "absent", "tie_word_embeddings": "absent"});
    let config = with(&llama(), old).unwrap().config;
    assert_eq!(config.num_key_value_heads, 9);
    assert_eq!(config.position, Position::Rope { base: 1e4 });
    assert!(!config.tie_word_embeddings);

    let new = json!({"rope_theta": "absent", "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}, "head_dim": 32});
    let config = with(&llama(), new).unwrap().config;
    assert_eq!(config.position, Position::Rope { base: 5e5 });
    assert_eq!(config.head_dim, 32);
}

/// Catches: a feature that is not computed, and so a model that answers something else.
#[test]
fn what_is_not_computed_is_refused_by_name() {
    for (change, said) in [
        (
            json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}),
            "`rope_scaling` is `llama3`",
        ),
        (
            json!({"rope_scaling": {"type": "linear", "factor": 2.0}}),
            "`rope_scaling` is `linear`",
        ),
        (
            json!({"rope_scaling": {"factor": 2.0}}),
            "a scaling of no type",
        ),
        (
            json!({"rope_parameters": {"rope_theta": 1e4, "rope_type": "yarn"}}),
            "`rope_parameters` is `yarn`",
        ),
        (json!({"attention_bias": true}), "`attention_bias` is true"),
        (json!({"mlp_bias": true}), "`mlp_bias` is true"),
        (json!({"hidden_act": "gelu"}), "`hidden_act` is `gelu`"),
        (
            json!({"quantization_config": {"bits": 4}}),
            "the model that was not quantized",
        ),
        (
            json!({"model_type": "qwen2"}),
            "model_type is `qwen2`; supported are `baichuan`",
        ),
        (json!({"model_type": "absent"}), "`model_type` is missing"),
        (
            json!({"max_position_embeddings": "absent"}),
            "`max_position_embeddings` is missing",
        ),
    ] {
        let message = message(with(&llama(), change));
        assert!(message.contains(said), "{said}: {message}");
    }
    let grouped = message(with(&baichuan2_7b(), json!({"num_key_value_heads": 8})));
    assert!(
        grouped.contains("W_pack has three equal thirds"),
        "{grouped}"
    );
}

/// Catches: a value of the wrong type taken for its absence; sizes that no decoder can have.
#[test]
fn types_and_sizes_are_strict() {
    for (change, said) in [
        (
            json!({"num_key_value_heads": "3"}),
            "invalid type: string \"3\"",
        ),
        (json!({"hidden_size": -1}), "invalid value: integer `-1`"),
        (
            json!({"hidden_size": 576.5}),
            "invalid type: floating point",
        ),
        (
            json!({"vocab_size": "absent"}),
            "missing field `vocab_size`",
        ),
        (
            json!({"num_attention_heads": 0}),
            "num_attention_heads is 0",
        ),
        (
            json!({"num_attention_heads": 7}),
            "is not a multiple of num_attention_heads (7)",
        ),
        (
            json!({"num_key_value_heads": 2}),
            "not a multiple of num_key_value_heads (2)",
        ),
        (json!({"rms_norm_eps": 0.0}), "rms_norm_eps is 0"),
        (
            json!({"vocab_size": 1_u64 << 40}),
            "more than any checkpoint can hold",
        ),
        (
            json!({"eos_token_id": "</s>"}),
            "a token id, or a list of token ids",
        ),
    ] {
        let message = message(with(&llama(), change));
        assert!(message.contains(said), "{said}: {message}");
    }
}

/// Catches: one end token where a file lists several; a file that is silently half read.
#[test]
fn generation_config_is_optional_and_strict() {
    let several =
        read_generation_config(br#"{"eos_token_id": [2, 32000], "new_key": {}}"#).unwrap();
    assert_eq!(several.eos_token_ids, [2, 32000]);
    for (json, said) in [
        (
            r#"{"top_p": 1.5}"#,
            "top_p is 1.5; it must be above 0 and at most 1",
        ),
        (
            r#"{"repetition_penalty": 0}"#,
            "repetition_penalty is 0; it must be above 0",
        ),
        (r#"{"temperature": -0.1}"#, "temperature is -0.1"),
        (r#"{"top_k": "5"}"#, "invalid type: string"),
        (r#"{"do_sample""#, "EOF while parsing"),
    ] {
        let message = read_generation_config(json.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(message.contains(said), "{said}: {message}");
    }

    let folder = Folder::copy_of("tiny7b", &["model.safetensors"]);
    let full = Checkpoint::open(folder.path()).unwrap().generation;
    assert_eq!(
        (full.temperature, full.top_k, full.top_p),
        (Some(0.3), Some(5), Some(0.85))
    );
    assert_eq!(
        (full.user_token_id, full.assistant_token_id),
        (Some(195), Some(196))
    );
    assert_eq!(
        (full.do_sample, full.max_new_tokens),
        (Some(true), Some(2048))
    );
    folder.remove("generation_config.json");
    let bare = Checkpoint::open(folder.path()).unwrap().generation;
    assert_eq!((bare.temperature, bare.bos_token_id), (None, Some(1)));
    assert_eq!(bare.eos_token_ids, [2], "config.json repeats it");
    folder.write("generation_config.json", "{");
    let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("generation_config.json: EOF"), "{error}");
}

/// Catches: a huge file that is read into memory because its name is `config.json`.
#[test]
fn a_configuration_of_gigabytes_is_not_read() {
    let folder = Folder::copy_of("tiny7b", &["model.safetensors"]);
    let config = fs::File::create(folder.path().join("config.json")).unwrap();
    config.set_len(8 << 30).unwrap();
    let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("8589934592 bytes long"), "{error}");
}

fn config() -> impl Strategy<Value = Config> {
    let sizes = (
        1..70_000_usize,
        1..9_usize,
        1..5_usize,
        1..9_usize,
        1..99_usize,
    );
    let kind = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let floats = (1e-12..1e-1_f64, prop::option::of(1.0..1e7_f64));
    (sizes, kind, floats).prop_map(|(sizes, kind, (rms_norm_eps, base))| {
        let (vocab_size, kv_heads, group, half_head, rest) = sizes;
        let (packed, norm_head, tie_word_embeddings, wide) = kind;
        let packed_qkv = packed || base.is_none();
        let heads = if packed_qkv {
            kv_heads
        } else {
            kv_heads * group
        };
        Config {
            vocab_size,
            hidden_size: 2 * half_head * heads + usize::from(wide),
            intermediate_size: rest,
            num_hidden_layers: rest,
            num_attention_heads: heads,
            num_key_value_heads: kv_heads,
            head_dim: 2 * half_head,
            rms_norm_eps,
            position: base.map_or(Position::Alibi, |base| Position::Rope { base }),
            context: rest,
            norm_head,
            tie_word_embeddings,
            packed_qkv,
        }
    })
}

proptest! {
    /// Catches: a hyperparameter that is lost, or rounded, when a model of one's own is saved.
    #[test]
    fn what_is_saved_is_read_back(config in config()) {
        let json = config_json(&config).unwrap();
        prop_assert_eq!(read_config(json.as_bytes()).unwrap().config, config);
    }
}

/// Catches: a model that is saved as one of another kind.
#[test]
fn what_no_model_type_stands_for_is_not_saved() {
    let config = Config {
        packed_qkv: false,
        ..Config::baichuan2_13b()
    };
    let error = config_json(&config).unwrap_err().to_string();
    assert!(
        error.contains("linear biases with separate projections"),
        "{error}"
    );
}
