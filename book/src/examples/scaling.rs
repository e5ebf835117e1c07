//! The figures of the report's tables 2 and 10, and figure 2, held against our own counting.

use crate::numbers::{Numbers, rounded};
use baichuan2::dtransformer::{Config, Parameter};

/// The numbers of the chapter *Data and scaling*.
pub(super) fn numbers(n: &mut Numbers) {
    filtered(n);
    compression(n);
    small_models(n);
    compute(n);
}

/// Figure 2 of the report: the share of the raw text that each stage takes away.
fn filtered(n: &mut Numbers) {
    let stages = [29.89, 1.77, 3.06, 14.47, 19.13];
    let mut left = 100.0;
    for (i, taken) in stages.iter().enumerate() {
        left -= taken;
        n.number(&format!("taken_{i}"), *taken, 2);
        n.number(&format!("left_{i}"), left, 2);
    }
    n.number("same", stages[0] + stages[3] + stages[4], 2);
    n.number("poor", stages[1] + stages[2], 2);
}

/// Table 2.
fn compression(n: &mut Numbers) {
    let (llama_2, baichuan_1, baichuan_2) = (1.037, 0.570, 0.498);
    n.number("against_llama", 100.0 * baichuan_2 / llama_2, 0);
    n.number(
        "against_baichuan_1",
        100.0 * (1.0 - baichuan_2 / baichuan_1),
        1,
    );
    let config = Config::baichuan2_7b();
    let embeddings = 2 * config.vocab_size * config.hidden_size;
    n.number("embeddings", embeddings as f64 / 1e9, 2);
    n.number(
        "embeddings_share",
        100.0 * embeddings as f64 / count(&config, |_| true) as f64,
        1,
    );
}

fn count(config: &Config, of: impl Fn(&Parameter) -> bool) -> usize {
    let parameters = config.parameters();
    let numbers = parameters
        .iter()
        .filter(|p| of(p))
        .map(|p| p.shape.iter().product::<usize>());
    numbers.sum()
}

/// Without the embedding and the head.
fn inner(config: &Config) -> usize {
    count(config, |p| p.shape.first() != Some(&config.vocab_size))
}

/// Table 10: width, inner width, layers, heads, and how many millions of parameters the report counts.
fn small_models(n: &mut Numbers) {
    let table = [
        (384, 1152, 6, 6, 11.51),
        (704, 2112, 8, 8, 51.56),
        (832, 2496, 12, 8, 108.01),
        (1216, 3648, 16, 8, 307.60),
        (1792, 5376, 20, 14, 835.00),
        (2240, 6720, 24, 14, 1565.60),
        (2880, 8640, 28, 20, 3019.33),
    ];
    let large = inner(&Config::baichuan2_13b()) as f64;
    let mut rows = Vec::new();
    for (width, ffn, layers, heads, printed) in table {
        let config = Config {
            hidden_size: width,
            intermediate_size: ffn,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: heads,
            head_dim: width / heads,
            ..Config::baichuan2_7b()
        };
        let ours = inner(&config);
        rows.push(vec![
            format!("{width} · {ffn} · {layers} · {heads}"),
            rounded(printed, 2),
            rounded(ours as f64 / 1e6, 2),
            rounded(count(&config, |_| true) as f64 / 1e6, 2),
            format!("1/{:.0}", large / ours as f64),
        ]);
    }
    let english = [
        "width · inside · layers · heads",
        "printed",
        "our count, layers and norms",
        "with embedding and head",
        "of the 13B's layers",
    ];
    let chinese = [
        "宽 · 内宽 · 层 · 头",
        "印的",
        "我们数的：层和归一化",
        "连同嵌入和输出矩阵",
        "占 13B 的层",
    ];
    n.table("small_models", &english, &rows);
    n.table("small_models_zh", &chinese, &rows);
}

/// $C = 6 N D$ of both sizes, and how long 1,024 GPUs at 180 TFLOPS take for it.
fn compute(n: &mut Numbers) {
    let (tokens, gpus, flops) = (2.6e12, 1024.0, 180e12);
    for (name, config) in [
        ("7b", Config::baichuan2_7b()),
        ("13b", Config::baichuan2_13b()),
    ] {
        let all = count(&config, |_| true) as f64;
        let c = 6.0 * all * tokens;
        n.number(&format!("n_{name}"), all / 1e9, 2);
        n.number(&format!("c_{name}"), c / 1e23, 2);
        n.number(&format!("days_{name}"), c / (gpus * flops) / 86_400.0, 1);
        n.number(&format!("ratio_{name}"), tokens / all, 0);
    }
    let ours = 0.96e6;
    n.number("c_ours", 6.0 * ours * 45e6 / 1e14, 1);
    n.number("ratio_ours", 45e6 / ours, 0);
}
