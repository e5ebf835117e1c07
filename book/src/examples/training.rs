//! A gradient, two steps of AdamW, a clipped gradient and a learning rate, small enough for a pencil.

use crate::numbers::{Numbers, rounded};
use baichuan2::{
    dtransformer::Config,
    training::{
        AdamW, Moments, Parameters, Recipe, clip,
        loss::{Loss, cross_entropy},
    },
};
use ndarray::{Array1, Array2, array};

/// The numbers of the chapter *Training*.
pub(super) fn numbers(n: &mut Numbers) {
    gradient(n);
    adamw(n);
    clipping(n);
    schedule(n);
}

/// Three logits, the second token being the one that came.
fn gradient(n: &mut Numbers) {
    let z = array![[2.0, 1.0, 0.0]];
    let target = 1;
    let loss_of = |z: &Array2<f64>| cross_entropy(z.view(), &[target]);
    n.vector("z", z.row(0), 0);
    let p = baichuan2::tensor::softmax(z.view());
    n.vector("p", p.row(0), 4);
    n.number("p_y", p[[0, 1]], 4);
    n.number("loss", loss_of(&z), 4);
    let (_, z_bar) = Loss::of(z.clone(), &[Some(target)], 0.0, 1);
    n.vector("z_bar", z_bar.row(0), 4);
    n.number("z_bar_0", z_bar[[0, 0]], 4);

    let h = 0.01;
    n.number("h", h, 2);
    let mut moved = z.clone();
    moved[[0, 0]] += h;
    let above = loss_of(&moved);
    moved[[0, 0]] -= 2.0 * h;
    let below = loss_of(&moved);
    n.number("above", above, 6);
    n.number("below", below, 6);
    n.number("slope", (above - below) / (2.0 * h), 4);

    let x = array![[1.0, -2.0]];
    n.vector("x", x.row(0), 0);
    n.matrix("w_bar", z_bar.t().dot(&x).view(), 4);
    let w = array![[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]];
    n.matrix("w", w.view(), 1);
    n.vector("x_bar", z_bar.dot(&w).row(0), 4);
}

/// Arrays in the clothes of a model, as the optimizer takes them.
fn dressed(array: Array2<f64>) -> Parameters<f64> {
    Parameters {
        config: Config::baichuan2_7b(),
        arrays: vec![array],
    }
}

/// Four weights (in two rows, since one row is a norm's γ) with gradients of very different sizes.
fn adamw(n: &mut Numbers) {
    let optimizer = AdamW::default();
    let rate = 0.1;
    n.number("rate", rate, 1);
    let mut p = dressed(array![[1.0, 1.0], [1.0, 1.0]]);
    let zeros = || dressed(Array2::zeros((2, 2)));
    let mut moments = Moments {
        mean: zeros(),
        square: zeros(),
        steps: 0,
    };
    let gradients = [
        array![[20.0, 0.3], [-0.001, 0.0]],
        array![[20.0, -0.3], [-0.001, 0.0]],
    ];
    let mut rows: Vec<Vec<String>> = gradients[0]
        .iter()
        .zip(&gradients[1])
        .map(|(a, b)| vec![plain(*a), plain(*b)])
        .collect();
    for g in gradients {
        optimizer.step(&mut p, &dressed(g), &mut moments, rate);
        for (row, p) in rows.iter_mut().zip(&p.arrays[0]) {
            row.push(rounded(*p, 4));
        }
    }
    n.table(
        "adamw",
        &["$g_1$", "$g_2$", "$\\theta_1$", "$\\theta_2$"],
        &rows,
    );
    n.number("only_decay", 1.0 - rate * optimizer.weight_decay, 2);
    n.number("step_1", 1.0 - rate * optimizer.weight_decay - rate, 2);
}

fn plain(x: f64) -> String {
    format!("{x}")
}

fn clipping(n: &mut Numbers) {
    let mut g = dressed(array![[3.0, 4.0]]);
    n.vector("g", g.arrays[0].row(0), 0);
    let norm = clip(&mut g, 0.5);
    n.number("g_norm", norm, 0);
    n.vector("g_clipped", g.arrays[0].row(0), 1);
}

/// The recipe that made `embedded:rope`, and its learning rate as a curve.
fn schedule(n: &mut Numbers) {
    let recipe = Recipe::from_toml(include_str!("../../../models/rope/recipe.toml"))
        .expect("the recipe that trained the model");
    let config = recipe.config(recipe.vocab_size);
    let numbers: usize = config
        .parameters()
        .iter()
        .map(|p| p.shape.iter().product::<usize>())
        .sum();
    n.text("parameters", grouped(numbers));
    n.text("steps", grouped(recipe.steps() as usize));
    n.text("sequences", recipe.batch_tokens / recipe.context);
    n.number("guess", (recipe.vocab_size as f64).ln(), 2);
    let schedule = recipe.schedule();
    for (name, step) in [
        ("rate_first", 0),
        ("rate_half", (recipe.warm_up + recipe.steps()) / 2),
        ("rate_last", recipe.steps()),
    ] {
        n.text(
            name,
            format!("{:.2e}", schedule.rate(step)).replace("e-", "\\cdot 10^{-") + "}",
        );
    }

    let (width, height) = (560.0, 150.0);
    let points: Vec<String> = Array1::linspace(0.0, 1.0, 141)
        .iter()
        // The warm-up is so short that it needs points of its own.
        .map(|share| share * share)
        .map(|share| {
            let step = (share * recipe.steps() as f64) as u64;
            let y = height * (1.0 - schedule.rate(step) / schedule.peak);
            format!("{:.1},{:.1}", 40.0 + width * share, 15.0 + y)
        })
        .collect();
    n.text("curve", points.join(" "));
    n.number(
        "warm_x",
        40.0 + width * recipe.warm_up as f64 / recipe.steps() as f64,
        1,
    );
}

/// A whole number with commas between thousands.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let head = digits.len() % 3;
    let (head, rest) = digits.split_at(head);
    let groups = rest
        .as_bytes()
        .chunks(3)
        .map(|chunk| String::from_utf8_lossy(chunk).into_owned());
    let parts = (!head.is_empty())
        .then(|| head.to_owned())
        .into_iter()
        .chain(groups);
    parts.collect::<Vec<_>>().join(",")
}
