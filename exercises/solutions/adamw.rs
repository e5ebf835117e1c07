//! AdamW, solved.

use ndarray::{Array2, ArrayView2, Zip};

/// What does not change from step to step.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// β₁.
    pub beta1: f64,
    /// β₂.
    pub beta2: f64,
    /// ε.
    pub eps: f64,
    /// λ.
    pub weight_decay: f64,
}

/// What one matrix remembers from step to step. It begins with zeros.
#[derive(Clone, Debug)]
pub struct Moments {
    /// m.
    pub mean: Array2<f64>,
    /// v.
    pub square: Array2<f64>,
    /// t: steps that were taken.
    pub steps: u64,
}

/// Takes one step of `theta` against `gradient`, both of one shape, at the learning rate `rate`.
pub fn step(
    optimizer: &AdamW,
    theta: &mut Array2<f64>,
    gradient: ArrayView2<f64>,
    moments: &mut Moments,
    rate: f64,
) {
    moments.steps += 1;
    let t = moments.steps as f64;
    let AdamW {
        beta1,
        beta2,
        eps,
        weight_decay,
    } = *optimizer;
    let (unbias1, unbias2) = (1.0 - beta1.powf(t), 1.0 - beta2.powf(t));
    Zip::from(theta)
        .and(gradient)
        .and(&mut moments.mean)
        .and(&mut moments.square)
        .for_each(|theta, &g, m, v| {
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            let direction = (*m / unbias1) / ((*v / unbias2).sqrt() + eps);
            *theta -= rate * weight_decay * *theta + rate * direction;
        });
}

/// Scales `gradients`, all of a model's, down to a length of at most `most` together. Returns the length they had.
pub fn clip(gradients: &mut [Array2<f64>], most: f64) -> f64 {
    let squares: f64 = gradients.iter().flatten().map(|g| g * g).sum();
    let norm = squares.sqrt();
    if norm > most {
        for gradient in gradients {
            *gradient *= most / norm;
        }
    }
    norm
}
