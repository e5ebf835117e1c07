//! Swish as a curve, a layer of two hidden numbers, and the gates of `embedded:rope`.

use crate::numbers::Numbers;
use baichuan2::{
    attribution::Attribution,
    embedded::EmbeddedModel,
    probe::{LayerProbe, LayerSite, Site, Trace},
    swiglu::{SwiGlu, SwiGluParameters, ffn_width, swiglu_formal},
    tensor::softmax,
};
use ndarray::{Array1, Array2, Axis, array};

/// The numbers of the chapter *SwiGLU*.
pub(super) fn numbers(n: &mut Numbers) {
    for (name, beta) in [("half", 0.0), ("silu", 1.0), ("relu", 1e3)] {
        let point = |x: f64| format!("{:.1},{:.1}", 40.0 * x, -40.0 * swish(x, beta));
        let points: Vec<String> = (-40..=30).map(|i| point(f64::from(i) / 10.0)).collect();
        n.text(name, points.join(" "));
    }
    by_hand(n);
    widths(n);
    trained(n);
}

/// Swish alone: SwiGLU where the other map gives 1.
fn swish(x: f64, beta: f64) -> f64 {
    let p = SwiGluParameters {
        w: array![[1.0]],
        v: array![[0.0]],
        b: array![0.0],
        c: array![1.0],
        beta,
    };
    swiglu_formal(array![x].view(), &p)[0]
}

fn by_hand(n: &mut Numbers) {
    let x = array![1.0, 2.0];
    let ffn = SwiGlu {
        gate: array![[0.0, 1.0], [0.0, -1.0]],
        up: array![[1.0, 1.0], [1.0, 1.0]],
        down: array![[1.0, 1.0], [1.0, -1.0]],
    };
    n.vector("x", x.view(), 0);
    for (name, matrix) in [("G", &ffn.gate), ("U", &ffn.up), ("D", &ffn.down)] {
        n.matrix(name, matrix.view(), 0);
    }
    let (gate, up) = (ffn.gate.dot(&x), ffn.up.dot(&x));
    n.vector("gate", gate.view(), 0);
    n.vector("up", up.view(), 0);
    n.number("open", gate[0], 0);
    n.number("shut", gate[1], 0);
    n.number("silu_open", swish(gate[0], 1.0), 4);
    n.number("silu_shut", swish(gate[1], 1.0), 4);
    let hidden = |w: &Array2<f64>, v: &Array2<f64>| {
        let p = SwiGluParameters {
            w: w.clone(),
            v: v.clone(),
            b: Array1::zeros(2),
            c: Array1::zeros(2),
            beta: 1.0,
        };
        swiglu_formal(x.view(), &p)
    };
    n.vector("hidden", hidden(&ffn.gate, &ffn.up).view(), 4);
    n.vector("exchanged", hidden(&ffn.up, &ffn.gate).view(), 4);
    let y = ffn.forward(x.view().insert_axis(Axis(0)), &mut LayerProbe::none());
    n.vector("y", y.row(0), 4);
}

fn widths(n: &mut Numbers) {
    for (name, d) in [("small", 96), ("7b", 4096), ("13b", 5120)] {
        let width = ffn_width(d);
        n.text(&format!("d_{name}"), d);
        n.text(&format!("width_{name}"), width);
        n.text(&format!("three_{name}"), 3 * d * width);
        n.text(&format!("two_{name}"), 2 * d * 4 * d);
    }
}

/// What layer 0 makes of the first token of a story, and how many gates are shut while the story is read.
fn trained(n: &mut Numbers) {
    let model = EmbeddedModel::Rope;
    let decoder = model.checkpoint().decoder().expect("a test opens it");
    let tokenizer = model.tokenizer();
    let text = "Once upon a time, a little girl named Lily lived by the sea.";
    let ids = tokenizer.encode(text);
    let mut trace = Trace::of(|at| {
        Attribution::<f32>::wants(at) || matches!(at, Site::Layer(_, LayerSite::GateProj))
    });
    decoder
        .forward(&ids, &mut decoder.new_cache(), Some(&mut trace))
        .expect("a short text");
    let seen = |site: Site| -> Array2<f32> {
        let seen = trace.values[&site.to_string()].clone();
        seen.into_dimensionality().expect("rank 2")
    };

    let upon = tokenizer.id_of("▁upon").expect("a piece of the vocabulary");
    assert_eq!(ids[1], upon, "what follows the first token");
    let probability = |x: &Array2<f32>| {
        let p = softmax(decoder.logit_lens(x.view()).view());
        f64::from(p[[0, upon as usize]])
    };
    let attended = seen(Site::Embed) + seen(Site::Layer(0, LayerSite::SelfAttn));
    n.number("before", probability(&attended), 3);
    n.number(
        "after",
        probability(&seen(Site::Layer(0, LayerSite::Out))),
        3,
    );
    let shares = Attribution::of(&decoder, &trace, 0, upon).expect("all was seen");
    n.number("of_attention", f64::from(shares.self_attn[0]), 2);
    n.number("of_feed_forward", f64::from(shares.mlp[0]), 2);

    let gates = (0..decoder.config().num_hidden_layers)
        .map(|layer| seen(Site::Layer(layer, LayerSite::GateProj)));
    let (mut shut, mut all) = (0, 0);
    for gates in gates {
        shut += gates.iter().filter(|&&g| g < 0.0).count();
        all += gates.len();
    }
    n.number("shut_share", 100.0 * shut as f64 / all as f64, 0);
}
