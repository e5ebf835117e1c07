use crate::{
    compare::{compare, compare_number},
    goldens,
    harness::{Trial, case, property, say},
    random::vector,
};
use baichuan2::rope::{Rotation, permutation as oracle_permutation, rope_formal};
use ndarray::{Array1, Array2, Array3, Axis, arr1, s};
use proptest::prelude::*;
use your_code::rope::{permutation, rotate_halves, rotate_neighbours};

const BASE: f64 = 10_000.0;

fn turned() -> String {
    say("the turned vector", "旋转后的向量")
}

fn axes() -> [String; 1] {
    [say("dimension", "维度")]
}

/// A vector of even width, and a position.
fn cases() -> impl Strategy<Value = (Array1<f64>, usize)> {
    (1..5_usize).prop_flat_map(|half| (vector(2 * half), 0..50_usize))
}

fn halves(x: &Array1<f64>, position: usize) -> Array1<f64> {
    let mut x = x.clone().insert_axis(Axis(0));
    Rotation::new(x.ncols(), BASE, position, 1).rotate(x.view_mut());
    x.remove_axis(Axis(0))
}

/// Pairs as told, by angles as told.
fn with(
    x: &Array1<f64>,
    pair: impl Fn(usize) -> (usize, usize),
    angle: impl Fn(f64) -> f64,
) -> Array1<f64> {
    let mut y = x.clone();
    for i in 0..x.len() / 2 {
        let ((a, b), (sin, cos)) = (pair(i), angle(i as f64).sin_cos());
        y[a] = x[a] * cos - x[b] * sin;
        y[b] = x[b] * cos + x[a] * sin;
    }
    y
}

/// What may have gone wrong, whichever pairs are turned.
fn check(
    got: &Array1<f64>,
    expected: &Array1<f64>,
    x: &Array1<f64>,
    position: usize,
    pair: impl Fn(usize) -> (usize, usize) + Copy,
    other: Array1<f64>,
) -> crate::harness::Finding {
    let (t, d) = (position as f64, x.len() as f64);
    compare(turned(), got, expected)
        .axes(axes())
        .given("x", x)
        .given("position", &position)
        .given("base", &BASE)
        .smell(
            say(
                "the other pairs: neighbours for halves, or halves for \
                neighbours",
                "配对弄反了：该用一半一半时用了相邻，或相反",
            ),
            other,
        )
        .smell(
            say(
                "turned the other way: the sign of sin φ",
                "转反了方向：sin φ 的符号",
            ),
            with(x, pair, |i| -t * BASE.powf(-2.0 * i / d)),
        )
        .smell(
            say(
                "the exponent lacks its 2: θ_i = base^(−2i/d)",
                "指数漏了 2：θ_i = base^(−2i/d)",
            ),
            with(x, pair, |i| t * BASE.powf(-i / d)),
        )
        .smell(
            say("one angle for all planes", "所有平面用了同一个角度"),
            with(x, pair, |_| t),
        )
        .smell(
            say(
                "the exponent lacks its minus: the later planes are the \
                slower ones",
                "指数漏了负号：越往后的平面转得越慢",
            ),
            with(x, pair, |i| t * BASE.powf(2.0 * i / d)),
        )
        .smell(
            say(
                "positions are counted from 1; the first is 0 and is not \
                turned",
                "位置从 1 数起了；第一个是 0，不转",
            ),
            with(x, pair, |i| (t + 1.0) * BASE.powf(-2.0 * i / d)),
        )
        .smell(
            say(
                "i counts from 1, and the first plane turns by θ_0 = 1",
                "i 从 1 数起了；第一个平面的角是 θ_0 = 1",
            ),
            with(x, pair, |i| t * BASE.powf(-2.0 * (i + 1.0) / d)),
        )
        .smell(
            say("x is as it was: nothing is turned", "x 原封不动，没有转"),
            x.clone(),
        )
        .check()
}

pub fn trials() -> Vec<Trial> {
    vec![
        property(
            "turns_neighbours",
            "旋转相邻的两维",
            cases(),
            |(x, position)| {
                check(
                    &rotate_neighbours(x.view(), position, BASE),
                    &rope_formal(x.view(), position, BASE),
                    &x,
                    position,
                    |i| (2 * i, 2 * i + 1),
                    halves(&x, position),
                )
            },
        ),
        property(
            "turns_halves",
            "旋转前后两半的对应维",
            cases(),
            |(x, position)| {
                let half = x.len() / 2;
                check(
                    &rotate_halves(x.view(), position, BASE),
                    &halves(&x, position),
                    &x,
                    position,
                    move |i| (i, i + half),
                    rope_formal(x.view(), position, BASE),
                )
            },
        ),
        property(
            "an_order_makes_the_one_the_other",
            "换个顺序，一种变成另一种",
            cases(),
            |(x, position)| {
                let d = x.len();
                let order = permutation(d);
                let expected = oracle_permutation(d);
                let mut inverse = vec![0; d];
                for (i, &p) in expected.iter().enumerate() {
                    inverse[p] = i;
                }
                compare(
                    say("the permutation", "排列"),
                    &arr1(&order),
                    &arr1(&expected),
                )
                .axes(axes())
                .given("d", &d)
                .smell(
                    say(
                        "the way back: this makes neighbours of halves",
                        "方向反了：这是把一半一半变回相邻",
                    ),
                    arr1(&inverse),
                )
                .check()?;
                let ordered = |x: &Array1<f64>| x.select(Axis(0), &order);
                compare(
                    say(
                        "x in that order, turned by halves",
                        "按该顺序重排的 x，按一半一半旋转",
                    ),
                    &rotate_halves(ordered(&x).view(), position, BASE),
                    &ordered(&rotate_neighbours(x.view(), position, BASE)),
                )
                .check()
            },
        ),
        property(
            "a_product_knows_the_distance_alone",
            "内积只知道距离",
            (
                (1..5_usize).prop_flat_map(|half| (vector(2 * half), vector(2 * half))),
                0..20_usize,
                0..20_usize,
                0..100_usize,
            ),
            |((q, k), m, n, shift)| {
                let product = |by: usize| {
                    rotate_halves(q.view(), m + by, BASE).dot(&rotate_halves(
                        k.view(),
                        n + by,
                        BASE,
                    ))
                };
                compare_number(
                    say(
                        format!("q · k, both moved by {shift}"),
                        format!("q · k，两者都移动 {shift}"),
                    ),
                    product(shift),
                    product(0),
                )
                .given("q", &q)
                .given("k", &k)
                .given("positions", &vec![m, n])
                .check()
            },
        ),
        case(
            "turns_as_the_shipped_model_turns",
            "旋转与发布的模型相同",
            || {
                let pack: Array2<f64> = goldens::act("tiny7b", "plain.layers.0.W_pack");
                let turned_heads: Array3<f64> = goldens::act("tiny7b", "plain.layers.0.q_rot");
                let (heads, tokens, d) = turned_heads.dim();
                for head in 0..heads {
                    for t in 0..tokens {
                        let q = pack.slice(s![t, head * d..(head + 1) * d]);
                        compare(
                            say(
                                format!("the query of head {head} at position {t}"),
                                format!("第 {head} 个头在位置 {t} 的查询"),
                            ),
                            &rotate_halves(q, t, BASE),
                            &turned_heads.slice(s![head, t, ..]).to_owned(),
                        )
                        .within(goldens::TOLERANCE)
                        .axes(axes())
                        .smell(
                            say(
                                "neighbours are turned, and the shipped model turns halves",
                                "转的是相邻的维，而发布的模型转一半一半",
                            ),
                            rope_formal(q, t, BASE),
                        )
                        .check()?;
                    }
                }
                Ok(())
            },
        ),
    ]
}
