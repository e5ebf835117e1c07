//! What the real sizes ask of a machine, from their shapes alone.

use crate::numbers::Numbers;
use baichuan2::dtransformer::Config;

/// The numbers of the chapter *Reading the real 7B*.
pub(super) fn numbers(n: &mut Numbers) {
    for (name, config) in [
        ("7b", Config::baichuan2_7b()),
        ("13b", Config::baichuan2_13b()),
    ] {
        let count = |part: &str| -> usize {
            let parameters = config.parameters();
            let of_part = parameters.iter().filter(|p| p.name.contains(part));
            of_part.map(|p| p.shape.iter().product::<usize>()).sum()
        };
        const BYTES: usize = 2; // bf16
        let weights = BYTES * count("");
        n.text(&format!("parameters_{name}"), grouped(count("")));
        n.number(&format!("weights_gib_{name}"), gib(weights), 2);
        n.number(&format!("weights_gb_{name}"), weights as f64 / 1e9, 1);
        // Keys and values of every layer, in f32.
        let per_token = 2 * config.num_hidden_layers * config.kv_width() * size_of::<f32>();
        n.number(
            &format!("cache_mib_{name}"),
            per_token as f64 / f64::from(1 << 20),
            2,
        );
        n.number(
            &format!("cache_gib_{name}"),
            gib(per_token * config.context),
            2,
        );
        // A token needs every weight but those of other tokens' embeddings.
        let read = weights - BYTES * count("embed_tokens");
        n.number(&format!("read_gb_{name}"), read as f64 / 1e9, 1);
        for bandwidth in [25, 50] {
            let seconds = read as f64 / (f64::from(bandwidth) * 1e9);
            n.number(&format!("seconds_{name}_{bandwidth}"), seconds, 2);
        }
        n.text(
            &format!("heads_{name}"),
            config.num_hidden_layers * config.num_attention_heads,
        );
        n.text(
            &format!("map_mib_{name}"),
            (config.context * config.context * size_of::<f32>()) >> 20,
        );
    }
}

fn gib(bytes: usize) -> f64 {
    bytes as f64 / (1_u64 << 30) as f64
}

/// `7,505,973,248`.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
