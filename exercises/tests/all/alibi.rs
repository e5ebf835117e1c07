use crate::{
    compare::compare,
    goldens,
    harness::{Trial, case, property, say},
};
use baichuan2::{
    alibi::{relative_bias, slopes as oracle},
    tensor::softmax,
};
use ndarray::{Array1, Array2, Array3, Axis, arr1};
use std::collections::BTreeMap;
use your_code::alibi::{bias, slopes};

fn of_slopes() -> String {
    say("the slopes", "斜率")
}

fn head() -> [String; 1] {
    [say("head", "头")]
}

fn axes() -> [String; 2] {
    [say("query", "查询"), say("key", "键")]
}

fn series(h: impl Iterator<Item = f64>, n: f64) -> Vec<f64> {
    h.map(|h| (-8.0 * h / n).exp2()).collect()
}

fn check(heads: usize, expected: &[f64]) -> crate::harness::Finding {
    let n = heads as f64;
    let power = 1 << heads.ilog2();
    let own = |with: usize| (1..=with).map(|h| h as f64);
    let both = |rest: Vec<f64>| arr1(&[series(own(power), power as f64), rest].concat());
    let (next, left) = (2.0 * power as f64, heads - power);
    compare(of_slopes(), &Array1::from(slopes(heads)), &arr1(expected))
        .axes(head())
        .given("heads", &heads)
        .smell(
            say(
                "one series for all heads, which is right for powers of two \
                alone",
                "所有头用了同一个数列，只有二的幂时才对",
            ),
            arr1(&series(own(heads), n)),
        )
        .smell(
            say(
                "h counts from 0, and the first slope is 2^(−8/H), not 1",
                "h 从 0 数起了；第一个斜率是 2^(−8/H)，不是 1",
            ),
            arr1(&series((0..heads).map(|h| h as f64), n)),
        )
        .smell(
            say(
                "the first slopes of the series of the next power of two",
                "直接取了下一个二的幂的数列的开头",
            ),
            arr1(&series(own(heads), next)),
        )
        .smell(
            say(
                "every other slope, but beginning with the second",
                "隔一个取一个，却从第二个开始了",
            ),
            both(series((0..left).map(|i| 2.0 * i as f64 + 2.0), next)),
        )
        .smell(
            say(
                "the slopes that are left are taken one after the other; \
                take every other",
                "剩下的斜率是连着取的；应隔一个取一个",
            ),
            both(series((0..left).map(|i| i as f64 + 1.0), next)),
        )
        .smell(
            say(
                "the slopes that are left come first, and should come last",
                "剩下的斜率放在了前面，应放在后面",
            ),
            {
                let mut v = expected.to_vec();
                v.rotate_right(left);
                arr1(&v)
            },
        )
        .check()
}

pub fn trials() -> Vec<Trial> {
    vec![
        property(
            "a_power_of_two_is_one_series",
            "2 的幂个头是一个数列",
            0..7_u32,
            |log| {
                let heads = 1 << log;
                check(heads, &oracle(heads))
            },
        ),
        property(
            "any_number_of_heads_has_its_slopes",
            "多少个头都有各自的斜率",
            1..100_usize,
            |heads| check(heads, &oracle(heads)),
        ),
        case("the_13b_has_40_heads", "13B 有 40 个头", || {
            check(40, &oracle(40))
        }),
        case(
            "gives_the_slopes_of_the_shipped_code",
            "斜率与发布的代码相同",
            || {
                let path = goldens::file("alibi_slopes.json");
                let text = std::fs::read_to_string(&path)
                    .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                let shipped: BTreeMap<usize, Vec<f64>> =
                    serde_json::from_str(&text).expect("heads and their slopes");
                shipped
                    .iter()
                    .try_for_each(|(&heads, expected)| check(heads, expected))
            },
        ),
        property(
            "the_bias_falls_with_distance",
            "偏置随距离下降",
            (1..9_i32, 0..5_usize, 1..5_usize, 0..3_usize),
            |(eighths, first, queries, later)| {
                let (slope, keys) = (f64::from(eighths) / 8.0, first + queries + later);
                let expected: Array2<f64> = relative_bias(slope, first, queries, keys);
                compare(
                    say("the bias", "偏置"),
                    &bias(slope, first, queries, keys),
                    &expected,
                )
                .axes(axes())
                .given("slope", &slope)
                .given("first", &first)
                .given("queries", &queries)
                .given("keys", &keys)
                .smell(
                    say(
                        "`first` is not used: query 0 stands at position `first`",
                        "没有用到 `first`：第 0 个查询在位置 `first`",
                    ),
                    relative_bias::<f64>(slope, 0, queries, keys),
                )
                .smell(
                    say(
                        "the distance without its sign: a later key is no nearer \
                for being hidden",
                        "距离丢了符号：后面的键虽被隐藏，也并非就近",
                    ),
                    expected.mapv(|b| -b.abs()),
                )
                .smell(say("the slope is forgotten", "漏了斜率"), &expected / slope)
                .smell(
                    say(
                        "m · j: the shipped evaluation code's way, the same after \
                the softmax, but not what is asked here",
                        "m · j：发布的推理代码的写法，softmax 之后一样，\
                但这里问的不是它",
                    ),
                    Array2::from_shape_fn((queries, keys), |(_, j)| slope * j as f64),
                )
                .check()
            },
        ),
        case(
            "biases_as_the_shipped_model_does",
            "偏置与发布的模型相同",
            || {
                // It adds m · j in place of m · (j − i). A softmax takes out what is constant in a row.
                let shipped: Array3<f64> = goldens::act("tiny13b", "alibi_mask_eval_8");
                let n = shipped.len_of(Axis(1));
                for (h, (&slope, shipped)) in oracle(shipped.len_of(Axis(0)))
                    .iter()
                    .zip(shipped.outer_iter())
                    .enumerate()
                {
                    let mut ours = bias(slope, 0, n, n);
                    for ((i, j), b) in ours.indexed_iter_mut() {
                        if j > i {
                            *b = f64::NEG_INFINITY;
                        }
                    }
                    compare(
                        say(
                            format!("what head {h} looks at where all scores are equal"),
                            format!("分数都相等时第 {h} 个头看的地方"),
                        ),
                        &softmax(ours.view()),
                        &softmax(
                            shipped
                                .mapv(|b| if b < -1e30 { f64::NEG_INFINITY } else { b })
                                .view(),
                        ),
                    )
                    .within(1e-6)
                    .axes(axes())
                    .check()?;
                }
                Ok(())
            },
        ),
    ]
}
