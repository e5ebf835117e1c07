use crate::{
    compare::{compare, compare_number, equal},
    goldens,
    harness::{Finding, Problem, Trial, case, property, say},
    random::{matrix, vector},
};
use baichuan2::{
    dtransformer::{Config, DTransformer, Error, Parameter, ParameterSource, Position},
    training::loss::cross_entropy,
};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, Ix1, Ix2, s};
use proptest::{collection::vec, prelude::*};
use serde::Deserialize;
use std::collections::HashMap;
use your_code::find_the_bugs::{Decoder, Layer};

const MODEL: &str = "tiny13b";
const HEADS: usize = 5;

/// What is taken from the `golden.json` of the shipped code.
#[derive(Deserialize)]
struct Golden {
    loss_without_z: f64,
    greedy: Vec<u32>,
}

fn golden() -> Golden {
    let path = goldens::file(&format!("{MODEL}/golden.json"));
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).expect("the goldens are JSON")
}

fn decoder() -> Decoder {
    let matrix = |name: &str| goldens::weight::<Ix2>(MODEL, &format!("{name}.weight"));
    let gamma = |name: &str| goldens::weight::<Ix1>(MODEL, &format!("{name}.weight"));
    let layer = |l: usize| {
        let of = |name: &str| format!("model.layers.{l}.{name}");
        Layer {
            input_layernorm: gamma(&of("input_layernorm")),
            w_pack: matrix(&of("self_attn.W_pack")),
            o_proj: matrix(&of("self_attn.o_proj")),
            post_attention_layernorm: gamma(&of("post_attention_layernorm")),
            gate_proj: matrix(&of("mlp.gate_proj")),
            up_proj: matrix(&of("mlp.up_proj")),
            down_proj: matrix(&of("mlp.down_proj")),
        }
    };
    Decoder {
        embed_tokens: matrix("model.embed_tokens"),
        layers: vec![layer(0), layer(1)],
        norm: gamma("model.norm"),
        lm_head: matrix("lm_head"),
        heads: HEADS,
        eps: 1e-6,
    }
}

fn prompt() -> Vec<u32> {
    let ids: Array1<f64> = goldens::act(MODEL, "plain.input_ids");
    ids.iter().map(|&id| id as u32).collect()
}

fn blind(_: &str, _: ArrayView2<f64>) {}

/// Logits of the prompt, and all that was shown on the way.
fn traced() -> (Array2<f64>, HashMap<String, Array2<f64>>) {
    let mut seen = HashMap::new();
    let logits = decoder().logits(&prompt(), &mut |name, value| {
        seen.insert(name.to_owned(), value.to_owned());
    });
    (logits, seen)
}

fn axes(of: &str) -> [String; 2] {
    match of {
        "logits" => [say("token", "词元"), say("vocabulary", "词表")],
        of if of.contains("attn_probs") => [say("query", "查询"), say("key", "键")],
        _ => [say("token", "词元"), say("column", "列")],
    }
}

/// An intermediate of the shipped model; the weights of one head are `layers.0.attn_probs.3`, its keys `layers.0.k.3`.
fn shipped(name: &str) -> Array2<f64> {
    let Some((of_heads, head)) = name
        .rsplit_once('.')
        .and_then(|(of, head)| Some((of, head.parse().ok()?)))
    else {
        return goldens::act(MODEL, &format!("plain.{name}"));
    };
    // Keys and values are in the cache of the shipped code.
    let name = match of_heads {
        "layers.0.k" => "cache.0.k".to_owned(),
        "layers.0.v" => "cache.0.v".to_owned(),
        maps => format!("plain.{maps}"),
    };
    let of_heads: Array3<f64> = goldens::act(MODEL, &name);
    of_heads.index_axis_move(Axis(0), head)
}

/// The first of these that differs from the shipped model's.
fn check_seen(names: &[String]) -> Finding {
    let (_, seen) = traced();
    for (i, name) in names.iter().enumerate() {
        let Some(got) = seen.get(name) else {
            return Err(Problem::wrong(say(
                format!(
                    "the decoder does not show `{name}` any more: keep the calls of `see`, for the tests look there"
                ),
                format!("解码器不再展示 `{name}`：请保留对 `see` 的调用，测试要看那里"),
            )));
        };
        let what = match i {
            0 => format!("`{name}`"),
            _ => say(
                format!("`{name}`, the first that differs"),
                format!("第一个不同的中间结果 `{name}`"),
            ),
        };
        compare(what, got, &shipped(name))
            .within(goldens::TOLERANCE)
            .axes(axes(name))
            .check()?;
    }
    Ok(())
}

fn of_layer(l: usize, names: &[&str]) -> Vec<String> {
    names
        .iter()
        .map(|name| format!("layers.{l}.{name}"))
        .collect()
}

/// A small decoder with random weights, its parameters by the names of the library, and ids.
fn decoders() -> impl Strategy<Value = (Decoder, Config, HashMap<String, Array2<f64>>, Vec<u32>)> {
    let sizes = (1..9_usize, 1..3_usize, 1..3_usize, 1..3_usize, 1..4_usize);
    sizes.prop_flat_map(|(heads, head_dim, width, layers, vocab)| {
        let d = heads * head_dim;
        let layer = (
            vector(d),
            matrix(3 * d, d),
            matrix(d, d),
            vector(d),
            matrix(width, d),
            matrix(width, d),
            matrix(d, width),
        )
            .prop_map(
                |(
                    input_layernorm,
                    w_pack,
                    o_proj,
                    post_attention_layernorm,
                    gate_proj,
                    up_proj,
                    down_proj,
                )| Layer {
                    input_layernorm,
                    w_pack,
                    o_proj,
                    post_attention_layernorm,
                    gate_proj,
                    up_proj,
                    down_proj,
                },
            );
        let parts = (
            matrix(vocab, d),
            vec(layer, layers),
            vector(d),
            matrix(vocab, d),
            vec(0..vocab as u32, 1..5),
        );
        // Sizes shrink; numbers do not, for there are many.
        parts
            .no_shrink()
            .prop_map(move |(embed_tokens, layers, norm, lm_head, ids)| {
                let config = Config {
                    vocab_size: vocab,
                    hidden_size: d,
                    intermediate_size: width,
                    num_hidden_layers: layers.len(),
                    num_attention_heads: heads,
                    num_key_value_heads: heads,
                    head_dim,
                    rms_norm_eps: 0.25,
                    position: Position::Alibi,
                    ..Config::baichuan2_13b()
                };
                let decoder = Decoder {
                    embed_tokens,
                    layers,
                    norm,
                    lm_head,
                    heads,
                    eps: config.rms_norm_eps,
                };
                let parameters = named(&decoder);
                (decoder, config, parameters, ids)
            })
    })
}

/// What the library makes of it.
fn oracle(config: Config, parameters: HashMap<String, Array2<f64>>, ids: &[u32]) -> Array2<f64> {
    struct Source(HashMap<String, Array2<f64>>);
    impl ParameterSource<f64> for Source {
        type Matrix = Array2<f64>;
        type Error = Error;

        fn matrix(&mut self, parameter: &Parameter) -> Result<Array2<f64>, Error> {
            Ok(self.0[&parameter.name].clone())
        }

        fn vector(&mut self, parameter: &Parameter) -> Result<Array1<f64>, Error> {
            Ok(self.0[&parameter.name].row(0).to_owned())
        }
    }
    let decoder = DTransformer::new(config, &mut Source(parameters)).expect("the shapes fit");
    decoder
        .forward(ids, &mut decoder.new_cache(), None)
        .expect("the numbers are finite")
}

fn named(decoder: &Decoder) -> HashMap<String, Array2<f64>> {
    let row = |gamma: &Array1<f64>| gamma.clone().insert_axis(Axis(0));
    let mut named = HashMap::from([
        (
            "model.embed_tokens.weight".to_owned(),
            decoder.embed_tokens.clone(),
        ),
        ("model.norm.weight".to_owned(), row(&decoder.norm)),
        ("lm_head.weight".to_owned(), decoder.lm_head.clone()),
    ]);
    for (l, layer) in decoder.layers.iter().enumerate() {
        for (name, value) in [
            ("input_layernorm", row(&layer.input_layernorm)),
            ("self_attn.W_pack", layer.w_pack.clone()),
            ("self_attn.o_proj", layer.o_proj.clone()),
            (
                "post_attention_layernorm",
                row(&layer.post_attention_layernorm),
            ),
            ("mlp.gate_proj", layer.gate_proj.clone()),
            ("mlp.up_proj", layer.up_proj.clone()),
            ("mlp.down_proj", layer.down_proj.clone()),
        ] {
            named.insert(format!("model.layers.{l}.{name}.weight"), value);
        }
    }
    named
}

pub fn trials() -> Vec<Trial> {
    vec![
        case(
            "scores_every_token_after_each",
            "在每个词元之后给全词表打分",
            || {
                let logits = decoder().logits(&prompt(), &mut blind);
                equal(
                    say("tokens × vocabulary", "词元 × 词表"),
                    &logits.dim(),
                    &(12, 320),
                )
                .check()?;
                equal(
                    say("all are finite numbers", "都是有限的数"),
                    &logits.iter().all(|z| z.is_finite()),
                    &true,
                )
                .check()
            },
        ),
        case(
            "no_token_sees_a_later_one",
            "没有词元看得到后面的",
            || {
                let (decoder, ids) = (decoder(), prompt());
                let whole = decoder.logits(&ids, &mut blind);
                let begin = decoder.logits(&ids[..7], &mut blind);
                compare("logits", &begin, &whole.slice(s![..7, ..]).to_owned())
                    .axes(axes("logits"))
                    .check()
            },
        ),
        case(
            "queries_keys_and_values_are_made_as_shipped",
            "查询、键和值的算法与发布的相同",
            || {
                check_seen(
                    &[
                        vec!["embed".to_owned()],
                        of_layer(0, &["input_layernorm", "W_pack"]),
                    ]
                    .concat(),
                )
            },
        ),
        case(
            "every_head_has_the_shipped_keys_and_values",
            "每个头的键和值与发布的相同",
            || {
                let heads: Vec<String> = (0..HEADS)
                    .flat_map(|h| ["k", "v"].map(|part| format!("layers.0.{part}.{h}")))
                    .collect();
                check_seen(&heads)
            },
        ),
        case(
            "every_head_attends_as_shipped",
            "每个头的注意力与发布的相同",
            || {
                let heads: Vec<String> = (0..HEADS)
                    .map(|h| format!("layers.0.attn_probs.{h}"))
                    .collect();
                check_seen(&heads)
            },
        ),
        case(
            "the_first_layer_is_the_shipped_one",
            "第一层与发布的相同",
            || {
                check_seen(&of_layer(
                    0,
                    &[
                        "self_attn",
                        "post_attention_layernorm",
                        "gate_proj",
                        "up_proj",
                        "mlp",
                        "out",
                    ],
                ))
            },
        ),
        case(
            "the_stream_ends_as_shipped",
            "残差流的终点与发布的相同",
            || check_seen(&["layers.1.out".to_owned(), "final_norm".to_owned()]),
        ),
        case(
            "the_logits_are_the_shipped_ones",
            "logits 与发布的相同",
            || {
                let (logits, seen) = traced();
                let expected = shipped("logits");
                let lengths = decoder()
                    .lm_head
                    .map_axis(Axis(1), |row| row.dot(&row).sqrt());
                compare("logits", &logits, &expected)
                .within(goldens::TOLERANCE)
                .axes(axes("logits"))
                .smell(say("each token's score is off by a factor of its own, the same after every text", "每个词元的分数都差一个自己的倍数，无论前文是什么"), &expected * &lengths)
                .smell(say("every score of a row is off by one factor, and each row by another", "同一行的分数都差同一个倍数，各行的倍数不同"), {
                    let of_row = logits.sum_axis(Axis(1)) / expected.sum_axis(Axis(1));
                    &expected * &of_row.insert_axis(Axis(1))
                })
                .check()?;
                equal(
                    say("every intermediate is shown", "每个中间结果都展示了"),
                    &seen.contains_key("layers.1.attn_concat"),
                    &true,
                )
                .check()
            },
        ),
        case(
            "is_as_surprised_as_the_shipped_model",
            "损失与发布的模型相同",
            || {
                let ids = prompt();
                let logits = decoder().logits(&ids, &mut blind);
                let loss = cross_entropy(logits.slice(s![..ids.len() - 1, ..]), &ids[1..]);
                compare_number(
                    say("the loss on the prompt", "提示词上的损失"),
                    loss,
                    golden().loss_without_z,
                )
                .within(goldens::TOLERANCE)
                .check()
            },
        ),
        case(
            "says_what_the_shipped_model_says",
            "说出的与发布的模型相同",
            || {
                let (decoder, mut ids, expected) = (decoder(), prompt(), golden().greedy);
                let mut said = Vec::new();
                for _ in 0..expected.len() {
                    let logits = decoder.logits(&ids, &mut blind);
                    let last = logits.row(logits.nrows() - 1);
                    let best = (0..last.len())
                        .max_by(|&a, &b| last[a].total_cmp(&last[b]))
                        .expect("a vocabulary") as u32;
                    said.push(best);
                    ids.push(best);
                }
                equal(
                    say(
                        "the most likely token, sixteen times",
                        "最可能的词元，十六次",
                    ),
                    &said,
                    &expected,
                )
                .check()
            },
        ),
        property(
            "any_decoder_with_any_number_of_heads",
            "任意解码器，任意个头",
            decoders(),
            |(decoder, config, parameters, ids)| {
                compare(
                    "logits",
                    &decoder.logits(&ids, &mut blind),
                    &oracle(config.clone(), parameters, &ids),
                )
                .axes(axes("logits"))
                .given("heads", &decoder.heads)
                .given("head_dim", &config.head_dim)
                .given("ids", &ids)
                .given("embed_tokens", &decoder.embed_tokens)
                .given("lm_head", &decoder.lm_head)
                .check()
            },
        ),
    ]
}
