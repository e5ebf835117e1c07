//! A softmax that never sees its whole row, solved.

use ndarray::{Array1, ArrayView1, ArrayView2};

/// What one query knows after the keys it has met.
#[derive(Clone, Debug)]
pub struct Running {
    /// The largest score so far.
    pub max: f64,
    /// The sum of e^(s − max).
    pub sum: f64,
    /// The sum of e^(s − max) · v, `[d_v]`.
    pub weighted: Array1<f64>,
}

impl Running {
    /// Before any key, for values of `d_v` dimensions.
    pub fn new(d_v: usize) -> Self {
        Running {
            max: f64::NEG_INFINITY,
            sum: 0.0,
            weighted: Array1::zeros(d_v),
        }
    }

    /// Meets a block of keys: `scores: [block]`, `values: [block, d_v]`.
    pub fn meet(&mut self, scores: ArrayView1<f64>, values: ArrayView2<f64>) {
        let max = scores.fold(self.max, |max, &s| max.max(s));
        if max == f64::NEG_INFINITY {
            return; // nothing seen yet
        }
        let exp = scores.mapv(|s| (s - max).exp());
        let fade = (self.max - max).exp();
        self.sum = self.sum * fade + exp.sum();
        self.weighted = &self.weighted * fade + exp.dot(&values);
        self.max = max;
    }

    /// What the query gathers, `[d_v]`.
    pub fn output(&self) -> Array1<f64> {
        if self.sum > 0.0 {
            &self.weighted / self.sum
        } else {
            self.weighted.clone()
        }
    }
}
