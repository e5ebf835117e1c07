use crate::{
    compare::{compare, compare_number},
    goldens,
    harness::{Finding, Trial, case, property, say},
    random::{matrix, matrix_of, vector},
};
use baichuan2::{
    rms_norm::RmsNorm,
    tensor::softmax,
    training::loss::{Loss, cross_entropy},
};
use ndarray::{Array1, Array2, ArrayView2, Axis, array};
use proptest::prelude::*;
use your_code::gradient::{cross_entropy_backward, rms_norm_backward, slope};

fn axes() -> [String; 2] {
    [say("token", "词元"), say("dimension", "维度")]
}

/// Slopes of a loss, from differences of two widths whose errors of order h² cancel.
fn measured(x: &Array2<f64>, loss: impl Fn(&Array2<f64>) -> f64) -> Array2<f64> {
    Array2::from_shape_fn(x.raw_dim(), |at| {
        let moved = |by: f64| {
            let mut x = x.clone();
            x[at] += by;
            loss(&x)
        };
        let central = |h: f64| (moved(h) - moved(-h)) / (2.0 * h);
        (4.0 * central(1e-4) - central(2e-4)) / 3.0
    })
}

/// What differences of that width are good for.
const MEASURED: f64 = 1e-7;

/// A quadratic with a product of neighbours: central differences of it are exact, however wide.
fn quadratic(x: ArrayView2<f64>) -> f64 {
    let squares: f64 = x
        .iter()
        .enumerate()
        .map(|(i, x)| (i + 1) as f64 * x * x)
        .sum();
    let products: f64 = x.iter().zip(x.iter().skip(1)).map(|(a, b)| a * b).sum();
    squares + products
}

/// Any loss after the norm will do: here a sum of what comes out, each with a weight.
fn norm_loss(x: &Array2<f64>, gamma: &Array1<f64>, eps: f64, weights: &Array2<f64>) -> f64 {
    let norm = RmsNorm {
        gamma: gamma.clone(),
        eps,
    };
    (norm.forward(x.view()) * weights).sum()
}

fn targets(logits: &Array2<f64>, seed: usize) -> Vec<usize> {
    (0..logits.nrows())
        .map(|t| (seed + 3 * t) % logits.ncols())
        .collect()
}

/// The gradient of the cross-entropy against what is measured.
fn check_cross_entropy(z: &Array2<f64>, y: &[usize]) -> Finding {
    let ids: Vec<u32> = y.iter().map(|&y| y as u32).collect();
    let expected = measured(z, |z| cross_entropy(z.view(), &ids));
    let n = z.nrows() as f64;
    let p = softmax(z.view());
    let one_hot = Array2::from_shape_fn(z.dim(), |(t, i)| f64::from(y[t] == i));
    let columns = softmax(z.t()).reversed_axes();
    compare(say("∂L/∂z", "∂L/∂z"), &cross_entropy_backward(z.view(), y), &expected)
        .within(MEASURED)
        .axes([say("token", "词元"), say("vocabulary", "词表")])
        .given("logits", z)
        .given("targets", &y.to_vec())
        .smell(say("this is the gradient of the sum; the loss is the mean over the tokens", "这是和的梯度；损失是各词元的平均"), &p - &one_hot)
        .smell(say("the sign is turned round: this points to where the loss falls", "符号反了：这指向损失下降的方向"), (&one_hot - &p) / n)
        .smell(say("the probabilities alone: the target has no part in it", "只有概率：目标没有参与"), &p / n)
        .smell(say("this is −1/p at the target, the slope of −log p: go on through the softmax, to the logits", "这是目标处的 −1/p，即 −log p 的斜率：还要穿过 softmax，一直到 logits"), -&one_hot / &p / n)
        .smell(say("only the logit of the target has a gradient; the softmax moves with all of them", "只有目标的 logit 有梯度；softmax 随所有 logit 而变"), (&p - 1.0) * &one_hot / n)
        .smell(say("divided by the size of the vocabulary, and the mean is over the tokens", "除以了词表的大小；平均应取在词元上"), (&p - &one_hot) / z.ncols() as f64)
        .smell(say("the softmax runs over the tokens", "softmax 取在了词元上"), (columns - &one_hot) / n)
        .check()
}

pub fn trials() -> Vec<Trial> {
    vec![
        property(
            "a_slope_is_measured_from_both_sides",
            "斜率从两边测量",
            matrix_of(1..4, 1..4),
            |x| {
                let h = 0.5; // wide, so that a slope from one side shows
                let expected = measured(&x, |x| quadratic(x.view()));
                let by = |d: f64, at: (usize, usize)| {
                    let mut x = x.clone();
                    x[at] += d;
                    quadratic(x.view())
                };
                let f = quadratic(x.view());
                let stencil =
                    |of: &dyn Fn((usize, usize)) -> f64| Array2::from_shape_fn(x.dim(), of);
                let all_at_once =
                    (quadratic((&x + h).view()) - quadratic((&x - h).view())) / (2.0 * h);
                compare(
                    say("the slopes", "斜率"),
                    &slope(quadratic, x.view(), h),
                    &expected,
                )
                .within(MEASURED)
                .axes([say("row", "行"), say("column", "列")])
                .given("x", &x)
                .given("h", &h)
                .smell(
                    say(
                        "measured from one side: that is the slope at x + h/2",
                        "只量了一侧：那是 x + h/2 处的斜率",
                    ),
                    stencil(&|at| (by(h, at) - f) / h),
                )
                .smell(
                    say(
                        "measured from one side: that is the slope at x − h/2",
                        "只量了一侧：那是 x − h/2 处的斜率",
                    ),
                    stencil(&|at| (f - by(-h, at)) / h),
                )
                .smell(
                    say("the two points lie 2h apart, not h", "两点相距 2h，不是 h"),
                    stencil(&|at| (by(h, at) - by(-h, at)) / h),
                )
                .smell(
                    say(
                        "not divided by the distance of the two points",
                        "没有除以两点的距离",
                    ),
                    stencil(&|at| by(h, at) - by(-h, at)),
                )
                .smell(
                    say(
                        "all numbers are moved at once, and should be moved one at a time",
                        "所有的数一起动了，应一次只动一个",
                    ),
                    Array2::from_elem(x.dim(), all_at_once),
                )
                .check()
            },
        ),
        property(
            "cross_entropy_has_the_gradient_that_is_measured",
            "交叉熵的梯度与测得的相同",
            (matrix_of(1..4, 1..6), 0..12_usize),
            |(z, seed)| check_cross_entropy(&z, &targets(&z, seed)),
        ),
        case(
            "large_logits_have_a_gradient_too",
            "很大的 logits 也有梯度",
            || {
                let z = array![[800.0, 0.0, 799.0], [-900.0, -900.0, -950.0]];
                let (_, expected) = Loss::of(z.clone(), &[Some(1), Some(0)], 0.0, 2);
                compare(
                    say("∂L/∂z", "∂L/∂z"),
                    &cross_entropy_backward(z.view(), &[1, 0]),
                    &expected,
                )
                .axes([say("token", "词元"), say("vocabulary", "词表")])
                .given("logits", &z)
                .given("targets", &vec![1_usize, 0])
                .check()
            },
        ),
        case(
            "a_step_down_it_lowers_the_loss_of_the_shipped_model",
            "沿梯度走一步，发布模型的损失下降",
            || {
                // The prompt of the golden numbers: each token is the target of the one before.
                let logits: Array2<f64> = goldens::act("tiny7b", "plain.logits");
                let ids: Array1<f64> = goldens::act("tiny7b", "plain.input_ids");
                let y: Vec<usize> = ids.iter().skip(1).map(|&id| id as usize).collect();
                let z = logits.slice_move(ndarray::s![..y.len(), ..]);
                check_cross_entropy(&z, &y)?;
                let ids: Vec<u32> = y.iter().map(|&y| y as u32).collect();
                let bar = cross_entropy_backward(z.view(), &y);
                let gained = cross_entropy(z.view(), &ids)
                    - cross_entropy((&z - &(&bar * 1e-3)).view(), &ids);
                // The step is −0.001 of the gradient, so that the loss falls by 0.001 of its squared length.
                compare_number(
                    say(
                        "how much the loss falls, over what the gradient promises",
                        "损失下降的量除以梯度所预示的量",
                    ),
                    gained / (1e-3 * (&bar * &bar).sum()),
                    1.0,
                )
                .within(1e-3)
                .check()
            },
        ),
        property(
            "rms_norm_hands_back_the_gradient_that_is_measured",
            "RMSNorm 传回的梯度与测得的相同",
            (1..4_usize, 1..5_usize)
                .prop_flat_map(|(t, d)| (matrix(t, d), vector(d), matrix(t, d))),
            |(x, gamma, y_bar)| {
                let eps = 0.25;
                let d = x.ncols() as f64;
                let expected = measured(&x, |x| norm_loss(x, &gamma, eps, &y_bar));
                let rms = x
                    .map_axis(Axis(1), |x| (x.dot(&x) / d + eps).sqrt())
                    .insert_axis(Axis(1));
                let g = &y_bar * &gamma;
                // x̄ = (g − x · part) / RMS, for what is taken to be the part through the norm.
                let with = |g: &Array2<f64>, inner: &Array2<f64>, power: i32, over: f64| {
                    let mut bar = g.clone();
                    for (t, mut bar) in bar.rows_mut().into_iter().enumerate() {
                        let rms = rms[[t, 0]];
                        let part = inner.row(t).dot(&x.row(t)) / (rms.powi(power) * over);
                        bar.scaled_add(-part, &x.row(t));
                        bar /= rms;
                    }
                    bar
                };
                let (got, _) = rms_norm_backward(x.view(), gamma.view(), eps, y_bar.view());
                compare(say("x̄", "x̄"), &got, &expected)
                    .within(MEASURED)
                    .axes(axes())
                    .given("x", &x)
                    .given("gamma", &gamma)
                    .given("eps", &eps)
                    .given("y_bar", &y_bar)
                    .smell(say("RMS is held fixed: x also reaches the loss through its own length", "把 RMS 当成了常数：x 还通过自己的长度影响损失"), &g / &rms)
                    .smell(say("γ is forgotten on the way back", "回传时漏了 γ"), with(&y_bar, &y_bar, 2, d))
                    .smell(say("γ is missing in the part that goes through RMS", "穿过 RMS 的那一部分漏了 γ"), with(&g, &y_bar, 2, d))
                    .smell(say("the mean square has a 1/d, and so has its slope", "均方里有 1/d，它的斜率里也有"), with(&g, &g, 2, 1.0))
                    .smell(say("the part through RMS has the wrong power of RMS", "穿过 RMS 的那一部分，RMS 的次数不对"), with(&g, &g, 1, d))
                    .smell(say("the part through RMS has the wrong power of RMS", "穿过 RMS 的那一部分，RMS 的次数不对"), with(&g, &g, 0, d))
                    .smell(say("the part through RMS has the wrong sign: a longer x makes a larger divisor", "穿过 RMS 的那一部分符号反了：x 变长，除数就变大"), with(&g, &(-&g), 2, d))
                    .smell(say("the factor of √'s slope, ½, does not meet the 2 of x²", "√ 的斜率里的 ½ 没有与 x² 的 2 相消"), with(&g, &(&g * 2.0), 2, d))
                    .smell(say("the factor of √'s slope, ½, does not meet the 2 of x²", "√ 的斜率里的 ½ 没有与 x² 的 2 相消"), with(&g, &(&g / 2.0), 2, d))
                    .check()
            },
        ),
        property(
            "gamma_gets_its_gradient_from_every_token",
            "γ 的梯度来自每个词元",
            (1..4_usize, 1..5_usize)
                .prop_flat_map(|(t, d)| (matrix(t, d), vector(d), matrix(t, d))),
            |(x, gamma, y_bar)| {
                let eps = 0.25;
                let as_row = gamma.clone().insert_axis(Axis(0));
                let expected = measured(&as_row, |gamma| {
                    norm_loss(&x, &gamma.row(0).to_owned(), eps, &y_bar)
                })
                .index_axis_move(Axis(0), 0);
                let ones = RmsNorm {
                    gamma: Array1::ones(gamma.len()),
                    eps,
                };
                let of_each = ones.forward(x.view()) * &y_bar;
                let (_, got) = rms_norm_backward(x.view(), gamma.view(), eps, y_bar.view());
                compare(say("γ̄", "γ̄"), &got, &expected)
                    .within(MEASURED)
                    .axes([say("dimension", "维度")])
                    .given("x", &x)
                    .given("gamma", &gamma)
                    .given("eps", &eps)
                    .given("y_bar", &y_bar)
                    .smell(
                        say(
                            "only the last token's: the gradient of γ is a sum over the tokens",
                            "只有最后一个词元的：γ 的梯度是各词元之和",
                        ),
                        of_each.row(x.nrows() - 1).to_owned(),
                    )
                    .smell(
                        say(
                            "a mean over the tokens, and should be a sum",
                            "取了各词元的平均，应是和",
                        ),
                        of_each.sum_axis(Axis(0)) / x.nrows() as f64,
                    )
                    .smell(
                        say(
                            "x as it came: γ meets x after the division by RMS",
                            "用了原来的 x：γ 乘的是除以 RMS 之后的 x",
                        ),
                        (&x * &y_bar).sum_axis(Axis(0)),
                    )
                    .smell(
                        say(
                            "γ itself stands in it, and should not",
                            "里面有 γ 自己，不该有",
                        ),
                        of_each.sum_axis(Axis(0)) * &gamma,
                    )
                    .smell(
                        say(
                            "the sum of ȳ: that is the gradient of an offset",
                            "这是 ȳ 的和：那是偏置的梯度",
                        ),
                        y_bar.sum_axis(Axis(0)),
                    )
                    .check()
            },
        ),
    ]
}
