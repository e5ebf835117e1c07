//! The optimizer: AdamW, after the gradient is clipped.
//!
//! $$ m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad
//!    \theta \leftarrow \theta - \eta\lambda \theta - \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \varepsilon} $$
//!
//! * Paper: Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2; Baichuan 2, arXiv 2309.10305, section 2.5: β 0.9 and 0.95, weight decay 0.1,
//!   clipped to a norm of 0.5.
//! * The decay is on matrices alone: a norm's γ is no weight that could grow at will.

use super::Parameters;
use ndarray::{Array2, NdFloat, Zip};

/// What does not change from step to step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// How slowly the mean of gradients forgets.
    pub beta1: f64,
    /// How slowly the mean of their squares forgets.
    pub beta2: f64,
    /// Keeps the division finite.
    pub eps: f64,
    /// λ, what a matrix loses at each step, times the learning rate.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        AdamW {
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 0.1,
        }
    }
}

/// The running means, and how many steps they have seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments<A> {
    /// $m$, of the gradient.
    pub mean: Parameters<A>,
    /// $v$, of its square.
    pub square: Parameters<A>,
    /// $t$.
    pub steps: u64,
}

impl<A: NdFloat> Moments<A> {
    /// Before the first step.
    pub fn new(of: &Parameters<A>) -> Self {
        let zeros = || Parameters::zeros(&of.config);
        Moments {
            mean: zeros(),
            square: zeros(),
            steps: 0,
        }
    }
}

impl AdamW {
    /// One step of `parameters` against `gradient`, at the learning rate `rate`.
    pub fn step<A: NdFloat>(
        &self,
        parameters: &mut Parameters<A>,
        gradient: &Parameters<A>,
        moments: &mut Moments<A>,
        rate: f64,
    ) {
        moments.steps += 1;
        let step = self.of_step(moments.steps, rate);
        let arrays = parameters.arrays.iter_mut().zip(&gradient.arrays);
        for ((p, g), (m, v)) in arrays.zip(
            moments
                .mean
                .arrays
                .iter_mut()
                .zip(&mut moments.square.arrays),
        ) {
            // A matrix of one row holds a norm's γ.
            let decay = if p.nrows() == 1 {
                0.0
            } else {
                rate * self.weight_decay
            };
            step.apply(p, g, m, v, decay);
        }
    }

    fn of_step<A: NdFloat>(&self, t: u64, rate: f64) -> Step<A> {
        let float = |x: f64| A::from(x).expect("a factor fits a float");
        let t = t as f64;
        Step {
            beta1: float(self.beta1),
            beta2: float(self.beta2),
            eps: float(self.eps),
            rate: float(rate / (1.0 - self.beta1.powf(t))),
            unbias: float((1.0 - self.beta2.powf(t)).sqrt().recip()),
        }
    }
}

/// The factors of one step.
struct Step<A> {
    beta1: A,
    beta2: A,
    eps: A,
    /// $\eta / (1 - \beta_1^t)$.
    rate: A,
    /// $1 / \sqrt{1 - \beta_2^t}$.
    unbias: A,
}

impl<A: NdFloat> Step<A> {
    fn apply(
        &self,
        p: &mut Array2<A>,
        g: &Array2<A>,
        m: &mut Array2<A>,
        v: &mut Array2<A>,
        decay: f64,
    ) {
        let one = A::one();
        let keep = one - A::from(decay).expect("a factor fits a float");
        Zip::from(p).and(g).and(m).and(v).for_each(|p, &g, m, v| {
            *m = self.beta1 * *m + (one - self.beta1) * g;
            *v = self.beta2 * *v + (one - self.beta2) * g * g;
            *p = *p * keep - self.rate * *m / (v.sqrt() * self.unbias + self.eps);
        });
    }
}

/// Scales a gradient down to a Euclidean norm of at most `most`, and returns the norm it had.
pub fn clip<A: NdFloat>(gradient: &mut Parameters<A>, most: f64) -> f64 {
    let norm = gradient.norm();
    if norm > most {
        gradient.scale(A::from(most / norm).expect("a factor fits a float"));
    }
    norm
}

/// The learning rate: up in a line through the warm-up, then down along half a cosine.
///
/// Paper: Baichuan 2, section 2.5: 2,000 steps of warm-up, then cosine decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The highest rate.
    pub peak: f64,
    /// The rate at the end.
    pub end: f64,
    /// Steps until the peak.
    pub warm_up: u64,
    /// Steps in all.
    pub steps: u64,
}

impl Schedule {
    /// The rate of step `step`, counted from 0.
    ///
    /// ```
    /// let schedule = baichuan2::training::Schedule { peak: 1.0, end: 0.1, warm_up: 4, steps: 12 };
    /// let rates = [0, 3, 4, 8, 12].map(|step| schedule.rate(step));
    /// assert_eq!(rates, [0.25, 1.0, 1.0, 0.55, 0.1]);
    /// ```
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warm_up {
            return self.peak * (step + 1) as f64 / self.warm_up as f64;
        }
        let decay = self.steps.saturating_sub(self.warm_up).max(1) as f64;
        let gone = ((step - self.warm_up) as f64 / decay).min(1.0);
        self.end + (self.peak - self.end) * 0.5 * (1.0 + (std::f64::consts::PI * gone).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dtransformer::Config, testing::largest_difference};
    use serde::Deserialize;

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
        serde_json::from_str(include_str!("../../tests/goldens/adamw.json")).unwrap()
    }

    fn array(rows: &[Vec<f64>]) -> Array2<f64> {
        Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
    }

    /// Some arrays, in the clothes of a model.
    fn arrays(arrays: Vec<Array2<f64>>) -> Parameters<f64> {
        Parameters {
            config: Config::baichuan2_7b(),
            arrays,
        }
    }

    fn moments(of: &Parameters<f64>) -> Moments<f64> {
        let zeros = || {
            arrays(
                of.arrays
                    .iter()
                    .map(|a| Array2::zeros(a.raw_dim()))
                    .collect(),
            )
        };
        Moments {
            mean: zeros(),
            square: zeros(),
            steps: 0,
        }
    }

    /// Catches: decay inside the gradient (Adam with L2); ε inside the root; a bias that is not corrected.
    #[test]
    fn steps_are_pytorchs() {
        let golden = golden();
        let optimizer = AdamW {
            beta1: golden.beta1,
            beta2: golden.beta2,
            eps: golden.eps,
            weight_decay: golden.weight_decay,
        };
        let mut p = arrays(vec![array(&golden.start)]);
        let mut moments = moments(&p);
        assert!(golden.after.len() >= 5);
        for ((g, after), rate) in golden
            .gradients
            .iter()
            .zip(&golden.after)
            .zip(&golden.rates)
        {
            optimizer.step(&mut p, &arrays(vec![array(g)]), &mut moments, *rate);
            let difference = largest_difference(&p.arrays[0], &array(after));
            assert!(difference < 1e-14, "{difference}");
        }
    }

    /// Catches: tensors clipped each by itself.
    #[test]
    fn clipping_is_pytorchs() {
        let golden = golden();
        let mut g = arrays(golden.gradients[..2].iter().map(|g| array(g)).collect());
        let norm = clip(&mut g, golden.clip.to);
        assert!((norm - golden.clip.norm).abs() < 1e-12);
        for (g, clipped) in g.arrays.iter().zip(&golden.clip.gradients) {
            // PyTorch adds 1e-6 to the norm it divides by.
            assert!(largest_difference(g, &array(clipped)) < 1e-6);
        }
        let before = g.clone();
        clip(&mut g, 1e9);
        assert_eq!(g, before, "a small gradient stays as it is");
    }

    /// Catches: norms that decay.
    #[test]
    fn only_matrices_decay() {
        let ones = |rows| Array2::ones((rows, 2));
        let mut p = arrays(vec![ones(1), ones(2)]);
        let zeros = arrays(vec![ones(1) * 0.0, ones(2) * 0.0]);
        let mut moments = moments(&p);
        AdamW::default().step(&mut p, &zeros, &mut moments, 0.5);
        assert_eq!(p.arrays[0], ones(1));
        assert_eq!(p.arrays[1], ones(2) * 0.95);
    }

    /// Catches: a warm-up that begins at 0 or ends late; a cosine of another half; a rate that rises again behind the end.
    #[test]
    fn the_rate_rises_in_a_line_and_falls_along_a_cosine() {
        let schedule = Schedule {
            peak: 1.0,
            end: 0.1,
            warm_up: 4,
            steps: 12,
        };
        let rates = [0, 3, 4, 6, 8, 12, 20].map(|step| schedule.rate(step));
        let at_a_quarter = 0.1 + 0.45 * (1.0 + 0.5_f64.sqrt());
        for (rate, expected) in
            rates
                .into_iter()
                .zip([0.25, 1.0, 1.0, at_a_quarter, 0.55, 0.1, 0.1])
        {
            assert!((rate - expected).abs() < 1e-12, "{rate} for {expected}");
        }
    }
}
