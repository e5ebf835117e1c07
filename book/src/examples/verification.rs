//! A file of one vector, byte by byte, and numbers in sixteen bits.

use crate::numbers::{Numbers, rounded};
use baichuan2::{
    checkpoint::{read_config, read_safetensors},
    dtransformer::Position,
    tensor::{Dtype, StoredTensor},
};
use ndarray::arr1;

/// The numbers of the chapter *Checkpoints, and how we know that it is right*.
pub(super) fn numbers(n: &mut Numbers) {
    a_file(n);
    sixteen_bits(n);
    schemes(n);
}

/// The file of the chapter's picture.
fn a_file(n: &mut Numbers) {
    let header = br#"{"gamma":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]}}"#;
    let values = StoredTensor::rounded(arr1(&[1.0_f32, -2.0, 0.15625]).into_dyn(), Dtype::BF16);
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(values.bytes().as_ref());
    n.text("header_length", header.len());
    n.text("length_bytes", hex(&file[..8]));
    n.text("header", String::from_utf8_lossy(header));
    n.text("number_bytes", hex(values.bytes()));
    n.text("file_length", file.len());
    let read = read_safetensors(file.into()).expect("as the format has it");
    let gamma = read["gamma"].clone().expect("bf16 is supported");
    let gamma = gamma.to_vector("gamma").expect("a vector");
    let exactly: Vec<String> = gamma.iter().map(f32::to_string).collect();
    n.text("gamma", format!("({})", exactly.join(",\\; ")));

    let third = values.bytes()[4..6].iter().rev();
    let third = third.fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte));
    n.text("third_hex", format!("{third:04X}"));
    n.text("third_sign", third >> 15);
    n.text("third_exponent_bits", format!("{:08b}", third >> 7 & 0xff));
    n.text("third_exponent", (third >> 7 & 0xff) as i32 - 127);
    n.text("third_exponent_stored", third >> 7 & 0xff);
    n.text("third_fraction_bits", format!("{:07b}", third & 0x7f));
    n.number("third_fraction", 1.0 + f64::from(third & 0x7f) / 128.0, 2);
    n.text("third", gamma[2]);
}

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(" ")
}

fn sixteen_bits(n: &mut Numbers) {
    let rows: Vec<_> = [1.0 / 3.0, 1.01, 257.0, 70_000.0, 1e-9]
        .into_iter()
        .map(|x: f32| {
            let through = |dtype| {
                let y = StoredTensor::rounded(arr1(&[x]).into_dyn(), dtype).to_array()[0];
                match y {
                    y if y.is_infinite() => "∞".to_owned(),
                    y if y != 0.0 && y.abs() < 1e-4 => format!("{y:.2e}"),
                    y => {
                        let text = rounded(f64::from(y), 6);
                        text.trim_end_matches('0').trim_end_matches('.').to_owned()
                    }
                }
            };
            [Dtype::F32, Dtype::BF16, Dtype::F16].map(through).to_vec()
        })
        .collect();
    n.table("sixteen", &["f32", "bf16", "f16"], &rows);
}

/// Two configurations that differ in one key.
fn schemes(n: &mut Numbers) {
    let config = |key: &str| {
        let json = format!(
            r#"{{"model_type": "baichuan", "vocab_size": 125696, "hidden_size": 4096, "intermediate_size": 11008,
                 "num_hidden_layers": 32, "num_attention_heads": 32, "rms_norm_eps": 1e-6, "{key}": 4096}}"#
        );
        let model = read_config(json.as_bytes()).expect("a configuration");
        match model.config.position {
            Position::Rope { .. } => "RoPE",
            Position::Alibi => "ALiBi",
        }
    };
    n.text("scheme_7b", config("max_position_embeddings"));
    n.text("scheme_13b", config("model_max_length"));
}
