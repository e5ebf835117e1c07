//! What people ask of a map of attention weights.

use ndarray::ArrayView2;

/// Averages over the queries of a map that have a choice: all but the one at position 0, which sees itself alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// $-\sum_j w_j \log_2 w_j$ in bits: 0 where one key has it all, $\log_2 n$ where $n$ keys share alike.
    pub entropy: f64,
    /// Weight of the first token.
    pub first: f64,
    /// Weight of the token just before the query.
    pub previous: f64,
    /// Weight of the query's own token.
    pub itself: f64,
}

impl Facts {
    /// The facts of a causal map `weights: [queries, keys]` whose last query stands at the last key; none where no query has a choice.
    ///
    /// ```
    /// use baichuan2::picture::Facts;
    /// use ndarray::array;
    /// let facts = Facts::of(array![[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0]].view());
    /// assert_eq!(facts, Some(Facts { entropy: 0.5, first: 0.25, previous: 0.75, itself: 0.25 }));
    /// assert_eq!(Facts::of(array![[1.0]].view()), None);
    /// ```
    pub fn of(weights: ArrayView2<f32>) -> Option<Self> {
        let (queries, keys) = weights.dim();
        let before = keys.checked_sub(queries)?;
        let mut sum = [0.0; 4];
        let mut rows = 0_u32;
        for (i, row) in weights.rows().into_iter().enumerate() {
            let own = before + i;
            let Some(previous) = own.checked_sub(1) else {
                continue;
            };
            let row = row.mapv(f64::from);
            let entropy = row
                .iter()
                .filter(|w| **w > 0.0)
                .map(|w| -w * w.log2())
                .sum();
            for (sum, x) in sum
                .iter_mut()
                .zip([entropy, row[0], row[previous], row[own]])
            {
                *sum += x;
            }
            rows += 1;
        }
        let [entropy, first, previous, itself] = sum.map(|sum| sum / f64::from(rows));
        (rows > 0).then_some(Facts {
            entropy,
            first,
            previous,
            itself,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    /// Catches: counting the first query, whose map is always the same; the wrong logarithm.
    #[test]
    fn even_attention_has_the_entropy_of_its_length() {
        let n = 9;
        let map = Array2::from_shape_fn(
            (n, n),
            |(i, j)| if j <= i { 1.0 / (i + 1) as f32 } else { 0.0 },
        );
        let facts = Facts::of(map.view()).unwrap();
        let entropy = (2..=n).map(|k| (k as f64).log2()).sum::<f64>() / (n - 1) as f64;
        assert!((facts.entropy - entropy).abs() < 1e-6);
        assert!((facts.first - facts.itself).abs() < 1e-12);
    }

    /// Catches: positions counted from the first query where keys were cached before it.
    #[test]
    fn queries_stand_at_the_last_keys() {
        let facts = Facts::of(array![[0.1, 0.2, 0.7]].view()).unwrap();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(near(facts.first, 0.1) && near(facts.previous, 0.2) && near(facts.itself, 0.7));
    }
}
