use crate::{
    compare::{compare, compare_number},
    goldens,
    harness::{Finding, Trial, case, property, say},
    random::{matrix, matrix_of},
};
use ndarray::{Array2, Zip, array};
use proptest::{collection::vec, prelude::*};
use serde::Deserialize;
use your_code::adamw::{AdamW, Moments, clip, step};

/// `tests/goldens/adamw.json`, which PyTorch wrote.
#[derive(Deserialize)]
struct Golden {
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    start: Vec<Vec<f64>>,
    rates: Vec<f64>,
    gradients: Vec<Vec<Vec<f64>>>,
    after: Vec<Vec<Vec<f64>>>,
    clip: Clip,
}

#[derive(Deserialize)]
struct Clip {
    to: f64,
    norm: f64,
    gradients: Vec<Vec<Vec<f64>>>,
}

fn golden() -> Golden {
    let path = goldens::file("adamw.json");
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).expect("the goldens are JSON")
}

fn array_of(rows: &[Vec<f64>]) -> Array2<f64> {
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).expect("rows of one length")
}

fn begin(of: &Array2<f64>) -> Moments {
    Moments {
        mean: Array2::zeros(of.raw_dim()),
        square: Array2::zeros(of.raw_dim()),
        steps: 0,
    }
}

fn theta() -> String {
    say("θ", "θ")
}

fn axes() -> [String; 2] {
    [say("row", "行"), say("column", "列")]
}

/// Ways to take the step, of which `Right` is one.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Right,
    DecayInTheGradient,
    NoDecay,
    DecayWithoutRate,
    DecayAfterwards,
    BiasStays,
    OneBiasStays,
    EpsUnderTheRoot,
    NoRoot,
    BetasExchanged,
    HatsKept,
    StepsStay,
    SignTurned,
}

/// Steps as they come out in that way; what the learner's are held against, and what wrong ones smell like.
fn taken(
    way: Way,
    o: &AdamW,
    start: &Array2<f64>,
    gradients: &[Array2<f64>],
    rates: &[f64],
) -> Array2<f64> {
    let (mut theta, mut m, mut v) = (start.clone(), start * 0.0, start * 0.0);
    let (beta1, beta2) = if way == Way::BetasExchanged {
        (o.beta2, o.beta1)
    } else {
        (o.beta1, o.beta2)
    };
    for (i, (g, &rate)) in gradients.iter().zip(rates).enumerate() {
        let t = if way == Way::StepsStay {
            1.0
        } else {
            i as f64 + 1.0
        };
        let unbias1 = if way == Way::BiasStays {
            1.0
        } else {
            1.0 - beta1.powf(t)
        };
        let unbias2 = if matches!(way, Way::BiasStays | Way::OneBiasStays) {
            1.0
        } else {
            1.0 - beta2.powf(t)
        };
        Zip::from(&mut theta)
            .and(g)
            .and(&mut m)
            .and(&mut v)
            .for_each(|theta, &g, m, v| {
                let g = if way == Way::DecayInTheGradient {
                    g + o.weight_decay * *theta
                } else {
                    g
                };
                *m = beta1 * *m + (1.0 - beta1) * g;
                *v = beta2 * *v + (1.0 - beta2) * g * g;
                let (m_hat, v_hat) = (*m / unbias1, *v / unbias2);
                let divisor = match way {
                    Way::EpsUnderTheRoot => (v_hat + o.eps).sqrt(),
                    Way::NoRoot => v_hat + o.eps,
                    _ => v_hat.sqrt() + o.eps,
                };
                let mut move_by = -rate * m_hat / divisor;
                if way == Way::SignTurned {
                    move_by = -move_by;
                }
                let decay = match way {
                    Way::DecayInTheGradient | Way::NoDecay => 0.0,
                    Way::DecayWithoutRate => o.weight_decay,
                    _ => rate * o.weight_decay,
                };
                *theta = match way {
                    Way::DecayAfterwards => (*theta + move_by) * (1.0 - decay),
                    _ => *theta * (1.0 - decay) + move_by,
                };
                if way == Way::HatsKept {
                    (*m, *v) = (m_hat, v_hat);
                }
            });
    }
    theta
}

fn smells() -> [(Way, String); 12] {
    [
        (
            Way::DecayInTheGradient,
            say(
                "the decay goes into the gradient, and so through both means: this is Adam with L2; the W of AdamW takes it out of them",
                "衰减加进了梯度，于是经过了两个均值：这是带 L2 的 Adam；AdamW 的 W 正是把它拿出来",
            ),
        ),
        (
            Way::NoDecay,
            say("there is no weight decay", "没有权重衰减"),
        ),
        (
            Way::DecayWithoutRate,
            say(
                "the decay is λ θ, and should be η λ θ",
                "衰减成了 λ θ，应是 η λ θ",
            ),
        ),
        (
            Way::DecayAfterwards,
            say(
                "the decay is taken of the θ after the step, and should be of the θ before it",
                "衰减取自更新之后的 θ，应取自更新之前的 θ",
            ),
        ),
        (
            Way::BiasStays,
            say(
                "the hats are missing: both means begin at zero, and are too small at first",
                "漏了帽子：两个均值都从零开始，起初太小",
            ),
        ),
        (
            Way::OneBiasStays,
            say(
                "v has no hat: its mean begins at zero too",
                "v 没有戴帽子：它也从零开始",
            ),
        ),
        (
            Way::EpsUnderTheRoot,
            say(
                "ε is under the root, and belongs beside it",
                "ε 在根号里面，应在根号外面",
            ),
        ),
        (
            Way::NoRoot,
            say(
                "divided by v̂ itself: the root is forgotten",
                "除以了 v̂ 本身：漏了开方",
            ),
        ),
        (
            Way::BetasExchanged,
            say("β₁ and β₂ change places", "β₁ 与 β₂ 对调了"),
        ),
        (
            Way::HatsKept,
            say(
                "m̂ and v̂ are kept for the next step, and m and v should be: the correction is made twice",
                "m̂ 和 v̂ 被留到下一步，应留 m 和 v：校正做了两次",
            ),
        ),
        (
            Way::StepsStay,
            say(
                "every step is taken for the first one: is `moments.steps` counted up?",
                "每一步都被当成第一步：`moments.steps` 加一了吗？",
            ),
        ),
        (
            Way::SignTurned,
            say(
                "a step along the gradient, and should be against it",
                "顺着梯度走了，应逆着走",
            ),
        ),
    ]
}

/// What the learner makes of some steps, against what is right.
fn check_steps(
    o: &AdamW,
    start: &Array2<f64>,
    gradients: &[Array2<f64>],
    rates: &[f64],
    expected: &Array2<f64>,
) -> Finding {
    let (mut theta_now, mut moments) = (start.clone(), begin(start));
    for (g, &rate) in gradients.iter().zip(rates) {
        step(o, &mut theta_now, g.view(), &mut moments, rate);
    }
    let n = gradients.len();
    let mut comparison = compare(
        say(format!("θ after {n} steps"), format!("{n} 步之后的 θ")),
        &theta_now,
        expected,
    )
    .within(1e-12)
    .axes(axes())
    .given("theta", start)
    .given(&say("the last gradient", "最后一个梯度"), &gradients[n - 1]);
    for (way, text) in smells() {
        comparison = comparison.smell(text, taken(way, o, start, gradients, rates));
    }
    comparison.check()
}

pub fn trials() -> Vec<Trial> {
    vec![
        property(
            "the_first_step_is_as_long_as_the_rate",
            "第一步的长度就是学习率",
            (matrix_of(1..3, 1..4), -3..4_i32),
            |(g, digits)| {
                // Whatever the size of the gradient, for m̂ / √v̂ is then g / |g|.
                let g = g.mapv(|g| if g == 0.0 { 1.0 } else { g }) * 10_f64.powi(digits);
                let o = AdamW {
                    beta1: 0.9,
                    beta2: 0.95,
                    eps: 1e-8,
                    weight_decay: 0.0,
                };
                let mut got = Array2::zeros(g.raw_dim());
                step(&o, &mut got, g.view(), &mut begin(&g), 0.5);
                compare(theta(), &got, &(g.mapv(f64::signum) * -0.5))
                .within(1e-4)
                .axes(axes())
                .given("theta", &Array2::<f64>::zeros(g.raw_dim()))
                .given("gradient", &g)
                .given("rate", &0.5)
                .smell(say("a step along the gradient, and should be against it", "顺着梯度走了，应逆着走"), g.mapv(f64::signum) * 0.5)
                .smell(say("t is 0 at the first step, so that the hats divide by zero; t counts from 1", "第一步的 t 成了 0，于是帽子除以了零；t 从 1 数起"), g.mapv(|_| f64::NAN))
                .smell(say("the hats are missing: both means begin at zero, and are too small at first", "漏了帽子：两个均值都从零开始，起初太小"), g.mapv(|g| -0.5 * 0.1 * g / (0.05_f64.sqrt() * g.abs())))
                .check()
            },
        ),
        case(
            "without_a_gradient_there_is_decay_alone",
            "没有梯度时只有衰减",
            || {
                let o = AdamW {
                    beta1: 0.9,
                    beta2: 0.95,
                    eps: 1e-8,
                    weight_decay: 0.1,
                };
                let start = array![[2.0, -4.0]];
                let none = [array![[0.0, 0.0]], array![[0.0, 0.0]]];
                let keep = 1.0 - 0.5 * 0.1;
                check_steps(&o, &start, &none, &[0.5, 0.5], &(&start * (keep * keep)))
            },
        ),
        property(
            "steps_add_up",
            "一步接一步",
            (1..3_usize, 1..4_usize)
                .prop_flat_map(|(r, c)| (matrix(r, c), vec((matrix(r, c), 1..5_i32), 1..4))),
            |(start, steps)| {
                // All settings far from each other, and ε large enough to tell where it stands.
                let o = AdamW {
                    beta1: 0.5,
                    beta2: 0.75,
                    eps: 0.25,
                    weight_decay: 0.125,
                };
                let (gradients, rates): (Vec<_>, Vec<_>) = steps
                    .into_iter()
                    .map(|(g, rate)| (g, f64::from(rate) / 8.0))
                    .unzip();
                check_steps(
                    &o,
                    &start,
                    &gradients,
                    &rates,
                    &taken(Way::Right, &o, &start, &gradients, &rates),
                )
            },
        ),
        case(
            "moments_are_those_of_the_page",
            "两个滑动平均与公式一致",
            || {
                let o = AdamW {
                    beta1: 0.5,
                    beta2: 0.75,
                    eps: 1e-8,
                    weight_decay: 0.0,
                };
                let (mut theta, mut moments) = (array![[1.0, 1.0]], begin(&array![[0.0, 0.0]]));
                for g in [array![[4.0, -2.0]], array![[8.0, 0.0]]] {
                    step(&o, &mut theta, g.view(), &mut moments, 0.1);
                }
                compare_number(say("steps", "steps"), moments.steps, 2).check()?;
                compare(
                    say("m after two steps", "两步之后的 m"),
                    &moments.mean,
                    &array![[5.0, -0.5]],
                )
                .axes(axes())
                .check()?;
                compare(
                    say("v after two steps", "两步之后的 v"),
                    &moments.square,
                    &array![[19.0, 0.75]],
                )
                .axes(axes())
                .check()
            },
        ),
        case(
            "five_steps_are_pytorchs",
            "五步与 PyTorch 相同",
            || {
                let golden = golden();
                let o = AdamW {
                    beta1: golden.beta1,
                    beta2: golden.beta2,
                    eps: golden.eps,
                    weight_decay: golden.weight_decay,
                };
                let gradients: Vec<_> = golden.gradients.iter().map(|g| array_of(g)).collect();
                for n in 1..=golden.after.len() {
                    check_steps(
                        &o,
                        &array_of(&golden.start),
                        &gradients[..n],
                        &golden.rates[..n],
                        &array_of(&golden.after[n - 1]),
                    )?;
                }
                Ok(())
            },
        ),
        case("clipping_is_pytorchs", "裁剪与 PyTorch 相同", || {
            let golden = golden();
            let before: Vec<_> = golden.gradients[..2].iter().map(|g| array_of(g)).collect();
            let mut got = before.clone();
            let norm = clip(&mut got, golden.clip.to);
            let squares = |g: &Array2<f64>| (g * g).sum();
            compare_number(
                say(
                    "the length of both gradients together",
                    "两个梯度合起来的长度",
                ),
                norm,
                golden.clip.norm,
            )
            .smell(
                say(
                    "the square of the length: the root is forgotten",
                    "长度的平方：漏了开方",
                ),
                ndarray::arr0(before.iter().map(squares).sum::<f64>()),
            )
            .smell(
                say("the sum of the lengths of each", "各自长度之和"),
                ndarray::arr0(before.iter().map(|g| squares(g).sqrt()).sum::<f64>()),
            )
            .smell(
                say(
                    "the longest of all, and should be all together",
                    "其中最长的，应是全部合起来的",
                ),
                ndarray::arr0(before.iter().map(|g| squares(g).sqrt()).fold(0.0, f64::max)),
            )
            .smell(
                say(
                    "the length after clipping, and should be the one before",
                    "裁剪之后的长度，应是之前的",
                ),
                ndarray::arr0(golden.clip.to),
            )
            .check()?;
            for (i, (got, expected)) in got.iter().zip(&golden.clip.gradients).enumerate() {
                let own = squares(&before[i]).sqrt();
                compare(say(format!("gradient {i}, clipped"), format!("裁剪后的梯度 {i}")), got, &array_of(expected))
                    .within(1e-6) // PyTorch adds 1e-6 to the length it divides by.
                    .axes(axes())
                    .given(&say("the limit", "上限"), &golden.clip.to)
                    .smell(say("each gradient is clipped by itself, so that the direction of the step changes", "各个梯度各自裁剪，步子的方向就变了"), &before[i] * (golden.clip.to / own).min(1.0))
                    .smell(say("each number is clipped by itself, so that the direction of the step changes", "每个数各自裁剪，步子的方向就变了"), before[i].mapv(|g| g.clamp(-golden.clip.to, golden.clip.to)))
                    .smell(say("not clipped", "没有裁剪"), before[i].clone())
                    .check()?;
            }
            Ok(())
        }),
        property(
            "a_short_gradient_stays_as_it_is",
            "短的梯度原样不动",
            vec(matrix_of(1..3, 1..3), 1..3),
            |gradients| {
                let mut got = gradients.clone();
                clip(&mut got, 100.0);
                for (got, g) in got.iter().zip(&gradients) {
                    compare(
                        say("a gradient shorter than the limit", "比上限短的梯度"),
                        got,
                        g,
                    )
                    .within(0.0)
                    .axes(axes())
                    .given(&say("the limit", "上限"), &100.0)
                    .smell(
                        say(
                            "0/0: a gradient of nothing has no length to divide by",
                            "0/0：全零的梯度没有长度可除",
                        ),
                        g.mapv(|_| f64::NAN),
                    )
                    .check()?;
                }
                Ok(())
            },
        ),
    ]
}
