use crate::{
    compare::{compare, compare_number},
    goldens,
    harness::{Trial, case, property, say},
    random::matrix,
};
use baichuan2::{probe::LayerProbe, swiglu::SwiGlu, swiglu::ffn_width};
use ndarray::{Array2, array};
use proptest::prelude::*;
use your_code::swiglu::{swiglu, width};

fn axes() -> [String; 2] {
    [say("token", "词元"), say("dimension", "维度")]
}

fn y() -> String {
    say("the output of the layer", "该层的输出")
}

fn silu(z: f64) -> f64 {
    z / (1.0 + (-z).exp())
}

pub fn trials() -> Vec<Trial> {
    vec![
        property(
            "lets_through_what_the_gate_opens",
            "门开多少，放过多少",
            (1..4_usize, 1..4_usize, 1..5_usize).prop_flat_map(|(tokens, d, width)| {
                (
                    matrix(tokens, d),
                    matrix(width, d),
                    matrix(width, d),
                    matrix(d, width),
                )
            }),
            |(x, gate, up, down)| {
                let got = swiglu(x.view(), gate.view(), up.view(), down.view());
                let oracle = |gate: &Array2<f64>, up: &Array2<f64>| {
                    let layer = SwiGlu {
                        gate: gate.clone(),
                        up: up.clone(),
                        down: down.clone(),
                    };
                    layer.forward(x.view(), &mut LayerProbe::none())
                };
                let (g, u) = (x.dot(&gate.t()), x.dot(&up.t()));
                let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
                compare(y(), &got, &oracle(&gate, &up))
                    .axes(axes())
                    .given("x", &x)
                    .given("gate", &gate)
                    .given("up", &up)
                    .given("down", &down)
                    .smell(
                        say(
                            "SiLU is on the other map: gate and up change places",
                            "SiLU 用在了另一个映射上：gate 与 up 对调了",
                        ),
                        oracle(&up, &gate),
                    )
                    .smell(
                        say(
                            "σ(z) where z · σ(z) belongs: that is GLU",
                            "用了 σ(z)，应是 z · σ(z)：那是 GLU",
                        ),
                        (g.mapv(sigmoid) * &u).dot(&down.t()),
                    )
                    .smell(
                        say(
                            "SiLU is taken of the product, and belongs on the gate alone",
                            "SiLU 取在了乘积上，应只取在门上",
                        ),
                        (&g * &u).mapv(silu).dot(&down.t()),
                    )
                    .smell(
                        say("e^(+z) where e^(−z) belongs", "用了 e^(+z)，应是 e^(−z)"),
                        (g.mapv(|z| z * sigmoid(-z)) * &u).dot(&down.t()),
                    )
                    .smell(
                        say("a sum where a product belongs", "用了加，应是乘"),
                        (g.mapv(silu) + &u).dot(&down.t()),
                    )
                    .smell(
                        say("ReLU where SiLU belongs", "用了 ReLU，应是 SiLU"),
                        (g.mapv(|z| z.max(0.0)) * &u).dot(&down.t()),
                    )
                    .smell(
                        say("there is no SiLU in it", "里面没有 SiLU"),
                        (&g * &u).dot(&down.t()),
                    )
                    .check()
            },
        ),
        case(
            "survives_a_gate_that_is_far_shut",
            "门关得很死也不出错",
            || {
                let one = array![[1.0]];
                let x = array![[-2000.0], [2000.0]];
                // z · e^z / (1 + e^z) is the same function, and overflows.
                compare(
                    y(),
                    &swiglu(x.view(), one.view(), one.view(), one.view()),
                    &array![[0.0], [4e6]],
                )
                .axes(axes())
                .given("x", &x)
                .given("gate, up, down", &one)
                .check()
            },
        ),
        case(
            "gives_the_layer_of_the_shipped_model",
            "这一层与发布的模型相同",
            || {
                let x: Array2<f64> =
                    goldens::act("tiny7b", "plain.layers.1.post_attention_layernorm");
                let map = |name| {
                    goldens::weight::<ndarray::Ix2>(
                        "tiny7b",
                        &format!("model.layers.1.mlp.{name}_proj.weight"),
                    )
                };
                let got = swiglu(
                    x.view(),
                    map("gate").view(),
                    map("up").view(),
                    map("down").view(),
                );
                compare(
                    y(),
                    &got,
                    &goldens::act::<ndarray::Ix2>("tiny7b", "plain.layers.1.mlp"),
                )
                .within(goldens::TOLERANCE)
                .axes(axes())
                .check()
            },
        ),
        property(
            "is_as_wide_as_the_recipe_says",
            "宽度合乎规定",
            prop_oneof![Just(4096_usize), Just(5120), Just(48), 1..20_000_usize],
            |d| {
                compare_number(say("the width", "宽度"), width(d), ffn_width(d))
                    .given("d", &d)
                    .smell(
                        say(
                            "8/3 is 2 in whole numbers: multiply first",
                            "在整数里 8/3 等于 2：先乘",
                        ),
                        ndarray::arr0((8 / 3 * d).next_multiple_of(128)),
                    )
                    .smell(
                        say("rounded down", "向下取整了"),
                        ndarray::arr0(8 * d / 3 / 128 * 128),
                    )
                    .smell(
                        say("not rounded to a multiple of 128", "没有取到 128 的倍数"),
                        ndarray::arr0((8 * d).div_ceil(3)),
                    )
                    .smell(
                        say(
                            "a multiple of 128 already, and rounded up all the same",
                            "已是 128 的倍数，却又进了一位",
                        ),
                        ndarray::arr0((8 * d).div_ceil(3) / 128 * 128 + 128),
                    )
                    .check()
            },
        ),
    ]
}
