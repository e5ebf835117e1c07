//! Find the induction head, solved.

use ndarray::{Array2, ArrayView2, ArrayView4, Axis};

/// A head, by its layer and its place there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// The layer, from 0.
    pub layer: usize,
    /// The head, from 0.
    pub head: usize,
}

/// The score of one head, whose weights are `map: [tokens, tokens]`, `[query, key]`. `None` where no query has a target.
pub fn score(map: ArrayView2<f64>, tokens: &[u32]) -> Option<f64> {
    let (mut sum, mut queries) = (0.0, 0);
    for (i, token) in tokens.iter().enumerate() {
        let targets: Vec<usize> = (1..i).filter(|&j| tokens[j - 1] == *token).collect();
        if !targets.is_empty() {
            sum += targets.into_iter().map(|j| map[[i, j]]).sum::<f64>();
            queries += 1;
        }
    }
    (queries > 0).then(|| sum / f64::from(queries))
}

/// The score of a head that shares its attention equally among all it sees.
pub fn by_chance(tokens: &[u32]) -> Option<f64> {
    let n = tokens.len();
    let weight = |i: usize, j: usize| f64::from(j <= i) / (i + 1) as f64;
    let alike = Array2::from_shape_fn((n, n), |(i, j)| weight(i, j));
    score(alike.view(), tokens)
}

/// The induction head of a model, whose maps are `[layers, heads, tokens, tokens]`, if it has one.
pub fn find(maps: ArrayView4<f64>, tokens: &[u32]) -> Option<Head> {
    let chance = by_chance(tokens)?;
    let mut best: Option<(Head, f64)> = None;
    for (layer, maps) in maps.axis_iter(Axis(0)).enumerate() {
        for (head, map) in maps.axis_iter(Axis(0)).enumerate() {
            let score = score(map, tokens)?;
            if best.is_none_or(|(_, highest)| score > highest) {
                best = Some((Head { layer, head }, score));
            }
        }
    }
    best.filter(|(_, score)| *score >= 2.0 * chance)
        .map(|(head, _)| head)
}
