//! A decoder of four letters whose every number can be followed, and the embedded model on its way to a word.

use crate::numbers::{Numbers, rounded};
use baichuan2::{
    dtransformer::{
        Config, DTransformer, Error, Parameter, ParameterSource, Position, dtransformer_formal,
    },
    embedded::EmbeddedModel,
    probe::{LayerSite, Site, Trace},
    rms_norm::RmsNorm,
    swiglu::{SwiGluParameters, swiglu_formal},
    tensor::softmax,
};
use ndarray::{Array1, Array2, ArrayView1, Axis, array, s};
use std::collections::HashMap;

/// The letters of the small model.
const LETTERS: [&str; 4] = ["A", "B", "C", "D"];

/// The numbers of the chapter *The decoder*.
pub(super) fn numbers(n: &mut Numbers) {
    alphabet(n);
    embedded(n);
    sizes(n);
}

/// Parameters by name, a vector as a matrix of one row.
struct Given(HashMap<String, Array2<f64>>);

impl ParameterSource<f64> for Given {
    type Matrix = Array2<f64>;
    type Error = Error;

    fn matrix(&mut self, p: &Parameter) -> Result<Array2<f64>, Error> {
        Ok(self.0[&p.name].clone())
    }

    fn vector(&mut self, p: &Parameter) -> Result<Array1<f64>, Error> {
        Ok(self.0[&p.name].row(0).to_owned())
    }
}

/// One layer of one head: its queries and keys are zero, so that it takes the mean of what it sees.
fn small() -> (Config, HashMap<String, Array2<f64>>) {
    let config = Config {
        vocab_size: 4,
        hidden_size: 4,
        intermediate_size: 1,
        num_hidden_layers: 1,
        num_attention_heads: 1,
        num_key_value_heads: 1,
        head_dim: 4,
        rms_norm_eps: 1e-6,
        position: Position::Rope { base: 1e4 },
        context: 8,
        norm_head: true,
        tie_word_embeddings: false,
        packed_qkv: true,
    };
    let mut w_pack = Array2::zeros((12, 4));
    w_pack.slice_mut(s![8.., ..]).assign(&Array2::eye(4));
    let mut given = HashMap::new();
    for p in config.parameters() {
        // A letter is a direction of its own, of length 8; the row of a letter in the output matrix points to the letter before it.
        let value = match p.name.rsplit('.').nth(1).unwrap_or_default() {
            "embed_tokens" => 8.0 * Array2::eye(4),
            "W_pack" => w_pack.clone(),
            "o_proj" => 3.0 * Array2::eye(4),
            "gate_proj" => array![[1.0, 0.0, 0.0, 0.0]],
            "up_proj" => array![[0.0, 1.0, 0.0, 0.0]],
            "down_proj" => array![[0.0], [0.0], [0.0], [0.5]],
            "lm_head" => array![
                [0.0, 0.0, 0.0, 1.0],
                [1.0, 0.0, 0.0, 0.0],
                [0.0, 1.0, 0.0, 0.0],
                [0.0, 0.0, 1.0, 0.0]
            ],
            _ => Array2::ones((1, p.shape[0])),
        };
        given.insert(p.name, value);
    }
    (config, given)
}

fn alphabet(n: &mut Numbers) {
    let (config, given) = small();
    let ids = [0, 0, 0, 1];
    let decoder =
        DTransformer::new(config.clone(), &mut Given(given.clone())).expect("what fits it");
    let mut trace = Trace::everything();
    let logits = decoder
        .forward(&ids, &mut decoder.new_cache(), Some(&mut trace))
        .expect("letters");
    let seen = |site| -> Array2<f64> {
        let seen = trace.get(site).expect("seen").clone();
        seen.into_dimensionality().expect("a row a token")
    };
    let layer = |site| seen(Site::Layer(0, site));
    let last = |x: &Array2<f64>| x.row(3).to_owned();
    let mut row = |name: &str, x: &Array2<f64>, decimals| {
        n.vector(name, x.row(3), decimals);
    };
    let (embed, normed) = (seen(Site::Embed), layer(LayerSite::InputLayernorm));
    let attended = layer(LayerSite::SelfAttn);
    row("embed", &embed, 0);
    row("normed", &normed, 0);
    row("mean", &attended.mapv(|x| x / 3.0), 1);
    row("attended", &attended, 1);
    let after = &embed + &attended;
    row("after_attention", &after, 1);
    let second = layer(LayerSite::PostAttentionLayernorm);
    row("second", &second, 3);
    let inner = layer(LayerSite::Mlp).mapv(|x| 2.0 * x);
    row("mlp", &layer(LayerSite::Mlp), 3);
    row("out", &layer(LayerSite::Out), 3);
    row("final", &seen(Site::FinalNorm), 3);
    row("logits", &logits, 3);
    let (gate, up) = (second[[3, 0]], second[[3, 1]]);
    let rms = (last(&after).mapv(|x| x * x).sum() / 4.0).sqrt();
    n.number("rms", rms, 3);
    n.number("gate", gate, 3);
    n.number("up", up, 3);
    n.number("silu", inner[[3, 3]] / up, 3);
    n.number("inner", inner[[3, 3]], 3);

    let p = decoder.probabilities(&ids).expect("letters");
    let formal = dtransformer_formal(&ids, &config, &given);
    assert!(
        (&p - &formal).iter().all(|d| d.abs() < 1e-9),
        "the page and the model agree"
    );
    let rows: Vec<_> = (0..4)
        .map(|t| {
            let text: Vec<&str> = ids[..=t].iter().map(|&id| LETTERS[id as usize]).collect();
            let numbers = p.row(t).into_iter().map(|&p| rounded(p, 3));
            [text.join(" ")].into_iter().chain(numbers).collect()
        })
        .collect();
    n.table("p", &["", "A", "B", "C", "D"], &rows);
    n.number("p_c", p[[3, 2]], 3);

    // Step 4 as it is printed: each norm takes the place of the stream. Attention reads the same as before.
    let printed = last(&normed) + last(&attended);
    n.vector("printed_after", printed.view(), 1);
    let norm = RmsNorm {
        gamma: Array1::ones(4),
        eps: 1e-6,
    };
    let one = |x: ArrayView1<f64>| norm.forward(x.insert_axis(Axis(0))).row(0).to_owned();
    let overwritten = one(printed.view());
    n.vector("printed_second", overwritten.view(), 3);
    let get = |name: &str| given[&format!("model.layers.0.mlp.{name}.weight")].clone();
    let swiglu = SwiGluParameters {
        w: get("gate_proj"),
        v: get("up_proj"),
        b: Array1::zeros(1),
        c: Array1::zeros(1),
        beta: 1.0,
    };
    let out = &overwritten + &get("down_proj").dot(&swiglu_formal(overwritten.view(), &swiglu));
    n.vector("printed_out", out.view(), 3);
    let logits = decoder
        .unembedding()
        .logits(one(out.view()).insert_axis(Axis(0)).view());
    let p = softmax(logits.view());
    let p = p.row(0);
    n.vector("printed_p", p, 3);
    let likeliest = (0..4).max_by(|&a, &b| p[a].total_cmp(&p[b])).expect("four");
    n.text("printed_answer", LETTERS[likeliest]);
}

/// The next word as each layer would say it.
fn embedded(n: &mut Numbers) {
    let text = "moon fish tree boat | moon fish tree boat | moon fish";
    n.text("words", text.replace('|', "&#124;"));
    let tokenizer = EmbeddedModel::Rope.tokenizer();
    let decoder = EmbeddedModel::Rope
        .checkpoint()
        .decoder()
        .expect("it is inside");
    let ids = tokenizer.encode(text);
    let mut trace = Trace::of(|site| matches!(site, Site::Embed | Site::Layer(_, LayerSite::Out)));
    decoder
        .forward(&ids, &mut decoder.new_cache(), Some(&mut trace))
        .expect("a short text");
    let layers = decoder.config().num_hidden_layers;
    let depths = [Site::Embed]
        .into_iter()
        .chain((0..layers).map(|l| Site::Layer(l, LayerSite::Out)));
    let rows: Vec<_> = depths
        .enumerate()
        .map(|(depth, site)| {
            let x = trace.get(site).expect("seen").slice(s![-1, ..]).to_owned();
            let x: Array2<f32> = x.insert_axis(Axis(0)).into_dimensionality().expect("a row");
            let length = (x.mapv(|x| x * x).sum() / x.len() as f32).sqrt();
            let p = softmax(decoder.logit_lens(x.view()).view());
            let p = p.row(0);
            let best = (0..p.len())
                .max_by(|&a, &b| p[a].total_cmp(&p[b]))
                .expect("a vocabulary");
            let piece = tokenizer.decode_with(&[best as u32], baichuan2::bpe::Specials::Show);
            vec![
                depth.to_string(),
                rounded(f64::from(length), 2),
                format!("`{}`", piece.expect("of the vocabulary").trim()),
                rounded(f64::from(p[best]), 3),
            ]
        })
        .collect();
    let names = |first: &str, layer: &dyn Fn(usize) -> String| -> Vec<Vec<String>> {
        let named = |(depth, row): (usize, &Vec<String>)| {
            let name = match depth {
                0 => first.to_owned(),
                depth => layer(depth - 1),
            };
            [vec![name], row[1..].to_vec()].concat()
        };
        rows.iter().enumerate().map(named).collect()
    };
    let english = names("the embedding", &|layer| format!("layer {layer}"));
    let head = ["after", "RMS", "likeliest word", "its probability"];
    n.table("lens", &head, &english);
    let chinese = names("嵌入", &|layer| format!("第 {layer} 层"));
    n.table(
        "lens_zh",
        &["之后", "RMS", "最可能的词", "它的概率"],
        &chinese,
    );
}

/// Where the parameters are.
fn sizes(n: &mut Numbers) {
    let small = EmbeddedModel::Rope.checkpoint().config;
    let all = [Config::baichuan2_7b(), Config::baichuan2_13b(), small];
    let count = |config: &Config, parts: &[&str]| -> usize {
        let of = |p: &Parameter| parts.iter().any(|part| p.name.contains(part));
        let parameters = config.parameters();
        let counted = parameters.iter().filter(|p| of(p));
        counted.map(|p| p.shape.iter().product::<usize>()).sum()
    };
    let rows: Vec<_> = [
        ("$W_e$", &["embed_tokens"][..]),
        ("$W_q, W_k, W_v$", &["W_pack"]),
        ("$W_o$", &["o_proj"]),
        ("SwiGLU", &["mlp"]),
        ("$\\gamma$", &["norm"]),
        ("$W_u$", &["lm_head"]),
        ("Σ", &[""]),
    ]
    .into_iter()
    .map(|(name, parts)| {
        let numbers = all.iter().map(|config| grouped(count(config, parts)));
        [name.to_owned()].into_iter().chain(numbers).collect()
    })
    .collect();
    n.table("sizes", &["", "7B", "13B", "`embedded:rope`"], &rows);
    let share = |config: &Config, parts: &[&str]| {
        100.0 * count(config, parts) as f64 / count(config, &[""]) as f64
    };
    n.number("share_mlp", share(&all[0], &["mlp"]), 0);
    n.number(
        "share_ends",
        share(&all[0], &["embed_tokens", "lm_head"]),
        0,
    );
    n.number(
        "share_ends_small",
        share(&all[2], &["embed_tokens", "lm_head"]),
        0,
    );
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
