//! A cache of keys and values, solved.

use ndarray::{Array2, ArrayView2, Axis, s};

/// One head: `q: [queries, d]`, `k: [keys, d]`, `v: [keys, d_v]` and a mask `[queries, keys]`, true where a query may
/// look. Returns `[queries, d_v]`.
pub type Attention<'a> =
    dyn Fn(ArrayView2<f64>, ArrayView2<f64>, ArrayView2<f64>, ArrayView2<bool>) -> Array2<f64> + 'a;

/// What earlier tokens left.
pub struct Cache {
    /// `[tokens, d]`
    pub keys: Array2<f64>,
    /// `[tokens, d_v]`
    pub values: Array2<f64>,
}

impl Cache {
    /// A cache that holds no token yet, for keys of `d` dimensions and values of `d_v`.
    pub fn new(d: usize, d_v: usize) -> Self {
        Cache {
            keys: Array2::zeros((0, d)),
            values: Array2::zeros((0, d_v)),
        }
    }

    /// New tokens arrive: `q, k: [new, d]`, `v: [new, d_v]`. Keeps their keys and values, and returns what they
    /// gather from all tokens before them and from themselves, `[new, d_v]`.
    pub fn step(
        &mut self,
        q: ArrayView2<f64>,
        k: ArrayView2<f64>,
        v: ArrayView2<f64>,
        attention: &Attention,
    ) -> Array2<f64> {
        let first = self.keys.nrows();
        self.keys.append(Axis(0), k).expect("keys of one width");
        self.values.append(Axis(0), v).expect("values of one width");
        let mask = Array2::from_shape_fn((q.nrows(), self.keys.nrows()), |(i, j)| j <= first + i);
        attention(q, self.keys.view(), self.values.view(), mask.view())
    }

    /// Forgets all but the first `tokens`: to go on from an earlier point of the text. Does nothing where it holds
    /// fewer.
    pub fn truncate(&mut self, tokens: usize) {
        let tokens = tokens.min(self.keys.nrows());
        self.keys = self.keys.slice(s![..tokens, ..]).to_owned();
        self.values = self.values.slice(s![..tokens, ..]).to_owned();
    }
}
