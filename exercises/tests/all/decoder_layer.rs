use crate::{
    compare::{Comparison, compare},
    goldens,
    harness::{Trial, case, property, say},
    random::{matrix, vector},
};
use baichuan2::{
    dtransformer::{Config, DTransformer, Error, Parameter, ParameterSource},
    probe::{LayerProbe, Trace},
    rms_norm::RmsNorm,
    rope::Rotation,
    swiglu::SwiGlu,
    tensor::softmax,
};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Ix2, concatenate, s};
use proptest::prelude::*;
use your_code::decoder_layer::{Layer, Parts, decoder_layer};

const EPS: f64 = 1e-6;
const BASE: f64 = 1e4;

/// The parts as the library has them.
struct Library;

impl Parts for Library {
    fn rms_norm(&self, x: ArrayView2<f64>, gamma: ArrayView1<f64>) -> Array2<f64> {
        RmsNorm {
            gamma: gamma.to_owned(),
            eps: EPS,
        }
        .forward(x)
    }

    fn rope(&self, x: ArrayView2<f64>) -> Array2<f64> {
        let mut x = x.to_owned();
        Rotation::new(x.ncols(), BASE, 0, x.nrows()).rotate(x.view_mut());
        x
    }

    fn attention(&self, q: ArrayView2<f64>, k: ArrayView2<f64>, v: ArrayView2<f64>) -> Array2<f64> {
        let mut scores = q.dot(&k.t()) / (q.ncols() as f64).sqrt();
        for ((i, j), s) in scores.indexed_iter_mut() {
            if j > i {
                *s = f64::NEG_INFINITY;
            }
        }
        softmax(scores.view()).dot(&v)
    }

    fn swiglu(
        &self,
        x: ArrayView2<f64>,
        gate: ArrayView2<f64>,
        up: ArrayView2<f64>,
        down: ArrayView2<f64>,
    ) -> Array2<f64> {
        let layer = SwiGlu {
            gate: gate.to_owned(),
            up: up.to_owned(),
            down: down.to_owned(),
        };
        layer.forward(x, &mut LayerProbe::none())
    }
}

/// The first layer of a decoder whose embedding is `x`: what the whole library makes of it.
fn oracle(x: &Array2<f64>, layer: &Layer, heads: usize) -> Array2<f64> {
    struct Source<'a>(&'a Array2<f64>, &'a Layer);
    impl ParameterSource<f64> for Source<'_> {
        type Matrix = Array2<f64>;
        type Error = Error;

        fn matrix(&mut self, parameter: &Parameter) -> Result<Array2<f64>, Error> {
            let Source(x, layer) = self;
            let found = match parameter
                .name
                .trim_start_matches("model.layers.0.")
                .trim_end_matches(".weight")
            {
                "self_attn.W_pack" => &layer.w_pack,
                "self_attn.o_proj" => &layer.o_proj,
                "mlp.gate_proj" => &layer.gate_proj,
                "mlp.up_proj" => &layer.up_proj,
                "mlp.down_proj" => &layer.down_proj,
                _ => x, // embedding and head
            };
            Ok(found.clone())
        }

        fn vector(&mut self, parameter: &Parameter) -> Result<Array1<f64>, Error> {
            Ok(match &*parameter.name {
                "model.layers.0.input_layernorm.weight" => self.1.input_layernorm.clone(),
                "model.layers.0.post_attention_layernorm.weight" => {
                    self.1.post_attention_layernorm.clone()
                }
                _ => Array1::ones(self.0.ncols()),
            })
        }
    }
    let config = Config {
        vocab_size: x.nrows(),
        hidden_size: x.ncols(),
        intermediate_size: layer.gate_proj.nrows(),
        num_hidden_layers: 1,
        num_attention_heads: heads,
        num_key_value_heads: heads,
        head_dim: x.ncols() / heads,
        rms_norm_eps: EPS,
        ..Config::baichuan2_7b()
    };
    let decoder = DTransformer::new(config, &mut Source(x, layer)).expect("the shapes fit");
    let ids: Vec<u32> = (0..x.nrows() as u32).collect();
    let mut trace = Trace::everything();
    decoder
        .forward(&ids, &mut decoder.new_cache(), Some(&mut trace))
        .expect("the numbers are finite");
    trace.values["layers.0.out"]
        .clone()
        .into_dimensionality()
        .expect("[tokens, d]")
}

/// Ways to put a layer together wrongly, one at a time.
#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    NormOverwrites,
    NoResidual,
    NoResidualAroundAttention,
    NoResidualAroundSwiglu,
    SideBySide,
    NormsExchanged,
    SecondNormForgotten,
    FirstNormForgotten,
    ThirdsInEachHead,
    HeadsInterleaved,
    ValuesTurned,
    KeysNotTurned,
    NotTurned,
    TurnedAsOne,
    ThirdsInAnotherOrder,
    OutputTransposed,
    OutputForgotten,
    GateAndUp,
}

fn mistaken(mistake: Mistake, x: &Array2<f64>, layer: &Layer, heads: usize) -> Array2<f64> {
    use Mistake::*;
    let is = |m: Mistake| m == mistake;
    let d = x.ncols();
    let width = d / heads;
    let mut norms = [&layer.input_layernorm, &layer.post_attention_layernorm];
    if is(NormsExchanged) {
        norms.reverse();
    }
    let normed = if is(FirstNormForgotten) {
        x.clone()
    } else {
        Library.rms_norm(x.view(), norms[0].view())
    };
    let packed = normed.dot(&layer.w_pack.t());
    let third = |t: usize, h: usize| {
        let columns: Vec<usize> = (0..width)
            .map(|i| match mistake {
                ThirdsInEachHead => (3 * h + t) * width + i,
                HeadsInterleaved => t * d + i * heads + h,
                ThirdsInAnotherOrder => [1, 0, 2][t] * d + h * width + i,
                _ => t * d + h * width + i,
            })
            .collect();
        packed.select(Axis(1), &columns)
    };
    let turn = |t: usize, h: usize| {
        let x = third(t, h);
        if is(NotTurned) || (is(KeysNotTurned) && t == 1) {
            x
        } else if is(TurnedAsOne) {
            let all = Library.rope(packed.slice(s![.., t * d..(t + 1) * d]));
            all.slice(s![.., h * width..(h + 1) * width]).to_owned()
        } else {
            Library.rope(x.view())
        }
    };
    let found: Vec<_> = (0..heads)
        .map(|h| {
            let v = if is(ValuesTurned) {
                turn(2, h)
            } else {
                third(2, h)
            };
            Library.attention(turn(0, h).view(), turn(1, h).view(), v.view())
        })
        .collect();
    let views: Vec<_> = found.iter().map(|f| f.view()).collect();
    let concat = concatenate(Axis(1), &views).expect("heads of one shape");
    let attended = match mistake {
        OutputTransposed => concat.dot(&layer.o_proj),
        OutputForgotten => concat,
        _ => concat.dot(&layer.o_proj.t()),
    };
    let after = match mistake {
        NormOverwrites => &normed + &attended,
        NoResidual | NoResidualAroundAttention => attended,
        _ => x + &attended,
    };
    let read = if is(SideBySide) { x } else { &after };
    let normed = if is(SecondNormForgotten) {
        read.clone()
    } else {
        Library.rms_norm(read.view(), norms[1].view())
    };
    let (gate, up) = if is(GateAndUp) {
        (&layer.up_proj, &layer.gate_proj)
    } else {
        (&layer.gate_proj, &layer.up_proj)
    };
    let fed = Library.swiglu(
        normed.view(),
        gate.view(),
        up.view(),
        layer.down_proj.view(),
    );
    match mistake {
        NormOverwrites => normed + fed,
        NoResidual | NoResidualAroundSwiglu => fed,
        _ => after + fed,
    }
}

/// What a layer smells of.
fn smells(mut comparison: Comparison, x: &Array2<f64>, layer: &Layer, heads: usize) -> Comparison {
    use Mistake::*;
    let texts = [
        (
            NormOverwrites,
            say(
                "the norm overwrites the stream: it is for the block to read, and the block's result is added to the stream as it was",
                "归一化覆盖了残差流：它只给模块读，模块的结果应加在原来的流上",
            ),
        ),
        (
            NoResidual,
            say(
                "the blocks replace the stream, and should add to it",
                "模块替换了残差流，应加在上面",
            ),
        ),
        (
            NoResidualAroundAttention,
            say(
                "attention replaces the stream, and should add to it",
                "注意力替换了残差流，应加在上面",
            ),
        ),
        (
            NoResidualAroundSwiglu,
            say(
                "SwiGLU replaces the stream, and should add to it",
                "SwiGLU 替换了残差流，应加在上面",
            ),
        ),
        (
            SideBySide,
            say(
                "both blocks read the stream as it came; SwiGLU should read it after attention",
                "两个模块读的都是进来时的流；SwiGLU 应读注意力之后的",
            ),
        ),
        (
            NormsExchanged,
            say("the two norms change places", "两个归一化对调了"),
        ),
        (
            FirstNormForgotten,
            say(
                "attention reads the stream without its norm",
                "注意力读了没有归一化的流",
            ),
        ),
        (
            SecondNormForgotten,
            say(
                "SwiGLU reads the stream without its norm",
                "SwiGLU 读了没有归一化的流",
            ),
        ),
        (
            ThirdsInEachHead,
            say(
                "W_pack is cut into heads first and each head into thirds; it comes in thirds first, and each third in heads",
                "W_pack 先按头切、每个头再切三份；应先切三份，每份再按头切",
            ),
        ),
        (
            HeadsInterleaved,
            say(
                "the dimensions of the heads are interleaved; each head's lie together",
                "各个头的维度交错了；每个头的维度应连在一起",
            ),
        ),
        (
            ValuesTurned,
            say(
                "values are turned too; RoPE is for queries and keys alone",
                "值也被旋转了；RoPE 只用于查询和键",
            ),
        ),
        (KeysNotTurned, say("keys are not turned", "键没有旋转")),
        (
            NotTurned,
            say(
                "nothing is turned: tokens do not know their positions",
                "什么都没有旋转：词元不知道自己的位置",
            ),
        ),
        (
            TurnedAsOne,
            say(
                "all heads are turned together as one wide head; RoPE turns each head by itself",
                "所有的头被当成一个宽头一起旋转了；RoPE 对每个头各自旋转",
            ),
        ),
        (
            ThirdsInAnotherOrder,
            say("queries and keys change places", "查询与键对调了"),
        ),
        (
            OutputTransposed,
            say(
                "o_proj is transposed: maps are stored [out, in], so that it is x.dot(&w.t())",
                "o_proj 转置了：映射按 [out, in] 存放，应为 x.dot(&w.t())",
            ),
        ),
        (OutputForgotten, say("o_proj is forgotten", "漏了 o_proj")),
        (
            GateAndUp,
            say("gate and up change places", "gate 与 up 对调了"),
        ),
    ];
    for (mistake, text) in texts {
        comparison = comparison.smell(text, mistaken(mistake, x, layer, heads));
    }
    comparison
}

fn stream() -> String {
    say("the stream after the layer", "该层之后的残差流")
}

fn axes() -> [String; 2] {
    [say("token", "词元"), say("dimension", "维度")]
}

/// The layer of a golden model.
fn golden(l: usize) -> Layer {
    let name = |name: &str| format!("model.layers.{l}.{name}.weight");
    let matrix = |n: &str| goldens::weight::<Ix2>("tiny7b", &name(n));
    let gamma = |n: &str| goldens::weight::<ndarray::Ix1>("tiny7b", &name(n));
    Layer {
        input_layernorm: gamma("input_layernorm"),
        w_pack: matrix("self_attn.W_pack"),
        o_proj: matrix("self_attn.o_proj"),
        post_attention_layernorm: gamma("post_attention_layernorm"),
        gate_proj: matrix("mlp.gate_proj"),
        up_proj: matrix("mlp.up_proj"),
        down_proj: matrix("mlp.down_proj"),
    }
}

/// The heads of the small 7B.
const HEADS: usize = 4;

/// A stream, a layer, and the number of its heads.
fn layers() -> impl Strategy<Value = (Array2<f64>, Layer, usize)> {
    (1..4_usize, 1..4_usize, 1..3_usize, 1..4_usize).prop_flat_map(
        |(tokens, heads, half, width)| {
            let d = heads * 2 * half;
            let maps = (
                matrix(3 * d, d),
                matrix(d, d),
                matrix(width, d),
                matrix(width, d),
                matrix(d, width),
            );
            let vectors = (vector(d), vector(d));
            // Sizes shrink; numbers do not, for there are many, and what is wrong here is where they go.
            (matrix(tokens, d), vectors, maps, Just(heads))
                .no_shrink()
                .prop_map(|(x, vectors, maps, heads)| {
                    let (input_layernorm, post_attention_layernorm) = vectors;
                    let (w_pack, o_proj, gate_proj, up_proj, down_proj) = maps;
                    (
                        x,
                        Layer {
                            input_layernorm,
                            w_pack,
                            o_proj,
                            post_attention_layernorm,
                            gate_proj,
                            up_proj,
                            down_proj,
                        },
                        heads,
                    )
                })
        },
    )
}

pub fn trials() -> Vec<Trial> {
    vec![
        case(
            "gives_the_layers_of_the_shipped_model",
            "各层与发布的模型相同",
            || {
                let mut x: Array2<f64> = goldens::act("tiny7b", "plain.embed");
                for l in 0..2 {
                    let layer = golden(l);
                    let expected: Array2<f64> =
                        goldens::act("tiny7b", &format!("plain.layers.{l}.out"));
                    let got = decoder_layer(x.view(), &layer, HEADS, &Library);
                    let comparison = compare(
                        say(
                            format!("the stream after layer {l}"),
                            format!("第 {l} 层之后的残差流"),
                        ),
                        &got,
                        &expected,
                    )
                    .within(goldens::TOLERANCE)
                    .axes(axes());
                    smells(comparison, &x, &layer, HEADS).check()?;
                    x = expected;
                }
                Ok(())
            },
        ),
        property(
            "any_layer_on_any_stream",
            "任意的层作用于任意的残差流",
            layers(),
            |(x, layer, heads)| {
                let comparison = compare(
                    stream(),
                    &decoder_layer(x.view(), &layer, heads, &Library),
                    &oracle(&x, &layer, heads),
                )
                .axes(axes())
                .given("x", &x)
                .given("heads", &heads)
                .given("w_pack", &layer.w_pack)
                .given("o_proj", &layer.o_proj);
                smells(comparison, &x, &layer, heads).check()
            },
        ),
        property(
            "a_layer_that_finds_nothing_lets_the_stream_pass",
            "什么也没找到的层让残差流原样通过",
            layers(),
            |(x, mut layer, heads)| {
                layer.o_proj.fill(0.0);
                layer.down_proj.fill(0.0);
                let comparison = compare(
                    stream(),
                    &decoder_layer(x.view(), &layer, heads, &Library),
                    &x,
                )
                .within(0.0)
                .axes(axes())
                .given("x", &x)
                .given(&say("o_proj and down_proj", "o_proj 与 down_proj"), &0.0);
                smells(comparison, &x, &layer, heads).check()
            },
        ),
        property(
            "no_token_sees_a_later_one",
            "没有词元看得到后面的",
            (layers(), -12..=12_i32),
            |((x, layer, heads), last)| {
                let mut other = x.clone();
                let end = x.nrows() - 1;
                other.row_mut(end).fill(f64::from(last) / 4.0);
                let [a, b] = [&x, &other].map(|x| decoder_layer(x.view(), &layer, heads, &Library));
                let before = |y: &Array2<f64>| {
                    y.slice_axis(Axis(0), (..end.min(y.nrows())).into())
                        .to_owned()
                };
                compare(
                    say(
                        "the tokens before the last, after the last was changed",
                        "改动最后一个词元后，它之前的词元",
                    ),
                    &before(&b),
                    &before(&a),
                )
                .axes(axes())
                .given("x", &x)
                .given(&say("x changed", "改动后的 x"), &other)
                .check()
            },
        ),
    ]
}
