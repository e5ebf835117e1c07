//! Six scores met two at a time: what [`Running`] holds after each block, and how much memory blocks and maps take.

use super::grouped_query::grouping;
use crate::numbers::{Numbers, rounded};
use baichuan2::{
    attention::{Running, fade},
    dtransformer::Config,
    tensor::softmax,
};
use ndarray::{Array1, Array2, Axis, array, s};

/// The numbers of the chapter *Memory-efficient attention*.
pub(super) fn numbers(n: &mut Numbers) {
    let scores: Array1<f64> = array![1.0, 3.0, 2.0, 5.0, 4.0, 0.0];
    let values: Array2<f64> = array![[10.0], [20.0], [30.0], [40.0], [50.0], [60.0]];
    n.vector("scores", scores.view(), 0);
    n.vector("values", values.column(0), 0);

    let mut running = Running::new(1, 1);
    let mut steps = Vec::new();
    // What comes of it where nothing fades: numbers relative to different maxima, added.
    let (mut unfaded_sum, mut unfaded) = (0.0, 0.0);
    for (block, keys) in [0..2, 2..4, 4..6].into_iter().enumerate() {
        let before = running.max[0];
        let met = scores.slice(s![keys.clone()]);
        let met_values = values.slice(s![keys, ..]);
        running.meet(met.insert_axis(Axis(0)).to_owned(), met_values);
        let (m, faded) = (running.max[0], fade(before, running.max[0]));
        let (sum, o) = (running.sum[0], running.weighted[[0, 0]]);
        let so_far = running.clone().output()[[0, 0]];
        let exp = met.mapv(|s| (s - m).exp());
        unfaded_sum += exp.sum();
        unfaded += exp.dot(&met_values.column(0));
        let number = block + 1;
        n.number(&format!("m{number}"), m, 0);
        n.number(&format!("fade{number}"), faded, 3);
        n.number(&format!("sum{number}"), sum, 3);
        n.number(&format!("o{number}"), o, 2);
        n.vector(&format!("met{number}"), met, 0);
        n.vector(&format!("exp{number}"), exp.view(), 3);
        n.number(&format!("exp{number}a"), exp[0], 3);
        n.number(&format!("exp{number}b"), exp[1], 3);
        steps.push(vec![
            number.to_string(),
            rounded(m, 0),
            rounded(faded, 3),
            rounded(sum, 3),
            rounded(o, 2),
            rounded(so_far, 2),
        ]);
    }
    let head = ["block", "$m$", "fade", "$\\ell$", "$o$", "$o / \\ell$"];
    n.table("steps", &head, &steps);
    let head = ["块", "$m$", "褪色", "$\\ell$", "$o$", "$o / \\ell$"];
    n.table("steps_zh", &head, &steps);
    n.number("unfaded", unfaded / unfaded_sum, 2);

    let weights = softmax(scores.view().insert_axis(Axis(0)));
    n.vector("weights", weights.row(0), 3);
    let whole = weights.row(0).dot(&values.column(0));
    assert!((running.output()[[0, 0]] - whole).abs() < 1e-12);
    n.number("whole", whole, 2);

    // A map of the 13B's training, at two bytes a number.
    let c = Config::baichuan2_13b();
    let gib = (1_u64 << 30) as f64;
    let map = (2 * c.num_attention_heads * c.context * c.context) as f64;
    n.number("map_million", (c.context * c.context) as f64 / 1e6, 1);
    n.text(
        "map_million_zh",
        grouping((c.context * c.context + 5000) / 10_000),
    );
    n.text("heads", c.num_attention_heads);
    n.text("layers", c.num_hidden_layers);
    n.number("layer_gib", map / gib, 2);
    n.number("model_gib", map * c.num_hidden_layers as f64 / gib, 0);

    // What tests/attention_memory.rs measures, from the shapes: 64 queries of width 64 in f32, 256 keys a block.
    let (queries, width, block) = (64, 64, 256);
    let running = Running::<f32>::new(queries, width);
    let held = running.max.len() + running.sum.len() + running.weighted.len();
    n.text("block_bytes", grouping(4 * queries * block));
    n.text("output_bytes", grouping(4 * running.weighted.len()));
    n.text(
        "two_bytes",
        grouping(4 * (running.max.len() + running.sum.len())),
    );
    n.text("bytes", grouping(4 * (queries * block + held)));
}
