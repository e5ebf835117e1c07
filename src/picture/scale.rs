//! From weights to shades: what is hidden, what is dark, what is bright.

use crate::attention::{
    Visibility,
    map::{cells, span},
};
use ndarray::{Array2, ArrayView2, s};

/// How a weight becomes a shade from 0 to 1. Every scale is monotone: of two weights in a row the larger is never the darker.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Scale {
    /// $w$ itself. Maps can be compared; most of a long map is dark.
    #[cfg_attr(
        feature = "cli",
        value(help = "The weight itself: maps can be compared, but most of a long one is dark")
    )]
    Linear,
    /// $1 + \tfrac14 \log_{10} w$, and 0 for weights below [`Scale::FLOOR`]. Maps can be compared, and small weights are seen.
    #[cfg_attr(
        feature = "cli",
        value(
            help = "Its logarithm from 0.0001 on: maps can be compared, and small weights are seen"
        )
    )]
    Log,
    /// $w / \max_j w_j$, each row by its own largest weight: every query shows where it looked most, however thinly it spread.
    #[cfg_attr(
        feature = "cli",
        value(
            help = "Each row by its own largest: where every query looked most, however thinly it spread"
        )
    )]
    #[default]
    Row,
}

impl Scale {
    /// The weight that is the darkest on the logarithmic scale.
    pub const FLOOR: f32 = 1e-4;

    /// The shade of the weight `w`, in a row whose largest is `largest`.
    fn shade(self, w: f32, largest: f32) -> f32 {
        let shade = match self {
            Scale::Linear => w,
            Scale::Log => 1.0 - w.log10() / Self::FLOOR.log10(),
            Scale::Row if largest > 0.0 => w / largest,
            // A row that sees nothing, as the first does once its only key is left out.
            Scale::Row => w,
        };
        shade.clamp(0.0, 1.0)
    }

    /// The weights, or shares of a weight, that a legend names at the shades 0, ½ and 1.
    pub fn ticks(self) -> [&'static str; 3] {
        match self {
            Scale::Linear | Scale::Row => ["0", "0.5", "1"],
            Scale::Log => ["≤ 0.0001", "0.01", "1"],
        }
    }

    /// What is drawn, in words.
    pub fn meaning(self) -> &'static str {
        match self {
            Scale::Linear => "attention weight",
            Scale::Log => "attention weight, logarithmic",
            Scale::Row => "attention weight ÷ the largest of its row",
        }
    }
}

/// The shades of `map: [queries, keys]`, in its shape; what is NaN (hidden) stays so. A number that is no weight counts as 0 or 1.
///
/// ```
/// use baichuan2::picture::{Scale, normalize};
/// use ndarray::array;
/// let thin = array![[0.01, 0.0001]];
/// assert_eq!(normalize(thin.view(), Scale::Linear), thin);
/// assert_eq!(normalize(thin.view(), Scale::Log), array![[0.5, 0.0]]);
/// assert_eq!(normalize(thin.view(), Scale::Row)[[0, 0]], 1.0);
/// ```
pub fn normalize(map: ArrayView2<f32>, scale: Scale) -> Array2<f32> {
    let mut shades = map.mapv(|w| w.clamp(0.0, 1.0));
    for mut row in shades.rows_mut() {
        let largest = row.iter().copied().fold(0.0, f32::max); // f32::max passes NaN over
        row.mapv_inplace(|w| scale.shade(w, largest));
    }
    shades
}

/// `map: [queries, keys]` with NaN where a decoder's mask hides the key: the last query sees all keys, the one before it all but the last.
pub fn hide_future(map: ArrayView2<f32>) -> Array2<f32> {
    let first = map.ncols().saturating_sub(map.nrows());
    let causal = Visibility::Causal { first };
    let mut map = map.to_owned();
    for ((i, j), w) in map.indexed_iter_mut() {
        if !causal.sees(i, j) {
            *w = f32::NAN;
        }
    }
    map
}

/// Hides the first key as well.
///
/// Where a head has nothing to do it looks at the first token (an *attention sink*: Xiao et al. 2023, arXiv 2309.17453), so brightly that
/// the rest cannot be seen.
pub fn hide_first(mut map: Array2<f32>) -> Array2<f32> {
    let keys = map.ncols();
    map.slice_mut(s![.., ..keys.min(1)]).fill(f32::NAN);
    map
}

/// `map` in at most `rows × cols` cells, each the largest of those it stands for, so that a single bright cell is never lost.
///
/// A cell is NaN (hidden) only where all that it stands for are.
///
/// ```
/// use ndarray::array;
/// let map = array![[0.1, 0.2, 0.3], [0.9, 0.0, f32::NAN]];
/// assert_eq!(baichuan2::picture::pool_max(map.view(), 1, 2), array![[0.9, 0.3]]);
/// ```
pub fn pool_max(map: ArrayView2<f32>, rows: usize, cols: usize) -> Array2<f32> {
    let (all_rows, all_cols) = map.dim();
    let shape = (cells(rows, all_rows), cells(cols, all_cols));
    if shape == map.dim() {
        return map.to_owned();
    }
    Array2::from_shape_fn(shape, |(r, c)| {
        let block = map.slice(s![span(r, shape.0, all_rows), span(c, shape.1, all_cols)]);
        block.iter().copied().fold(f32::NAN, f32::max) // f32::max passes NaN over
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Attention weights, causal, each row summing to one.
    fn maps() -> impl Strategy<Value = Array2<f32>> {
        (1..20_usize).prop_flat_map(|n| {
            prop::collection::vec(-30.0_f32..0.0, n * n).prop_map(move |scores| {
                let mut map = Array2::from_shape_vec((n, n), scores).unwrap();
                map.mapv_inplace(f32::exp);
                for (i, mut row) in map.rows_mut().into_iter().enumerate() {
                    row.slice_mut(s![i + 1..]).fill(0.0);
                    let sum = row.sum();
                    row /= sum;
                }
                map
            })
        })
    }

    proptest! {
        /// Catches: a scale that turns the order of two weights around, leaves 0..1, or draws a hidden key as a weight of 0.
        #[test]
        fn shades_keep_the_order_and_their_bounds(map in maps()) {
            for scale in [Scale::Linear, Scale::Log, Scale::Row] {
                let hidden = hide_future(map.view());
                let shades = normalize(hidden.view(), scale);
                for ((i, j), shade) in shades.indexed_iter() {
                    prop_assert_eq!(shade.is_nan(), j > i);
                    prop_assert!(shade.is_nan() || (0.0..=1.0).contains(shade));
                }
                for (weights, shades) in hidden.rows().into_iter().zip(shades.rows()) {
                    for (w, s) in weights.iter().zip(shades) {
                        for (v, t) in weights.iter().zip(shades) {
                            prop_assert!(w.is_nan() || v.is_nan() || w > v || s <= t);
                        }
                    }
                }
            }
        }

        /// Catches: dividing by the largest of the whole map; counting the hidden ones.
        #[test]
        fn each_row_has_its_own_largest(map in maps()) {
            let shades = normalize(hide_future(map.view()).view(), Scale::Row);
            for row in shades.rows() {
                prop_assert_eq!(row.iter().copied().fold(f32::NAN, f32::max), 1.0);
            }
        }

        /// Catches: cells left out at the edges when sizes do not divide, averages in place of maxima, hidden cells that win.
        #[test]
        fn pooling_keeps_the_largest(map in maps(), rows in 0..25_usize, cols in 0..25_usize) {
            let hidden = hide_future(map.view());
            let pooled = pool_max(hidden.view(), rows, cols);
            let largest = |m: &Array2<f32>| m.iter().copied().fold(f32::NAN, f32::max);
            prop_assert_eq!(largest(&pooled), largest(&hidden));
            prop_assert!(pooled.nrows() <= rows.max(1) && pooled.ncols() <= cols.max(1));
            let whole = pool_max(map.view(), map.nrows(), map.ncols() + 3);
            prop_assert_eq!(whole, map);
        }
    }

    /// Catches: a legend that names another weight than the one of its shade.
    #[test]
    fn legends_name_the_weight_of_a_shade() {
        for scale in [Scale::Linear, Scale::Log, Scale::Row] {
            for (tick, shade) in scale.ticks().into_iter().zip([0.0, 0.5, 1.0]) {
                let w: f32 = tick.trim_start_matches("≤ ").parse().unwrap();
                assert!((scale.shade(w, 1.0) - shade).abs() < 1e-6);
            }
        }
    }

    /// Catches: 0 ÷ 0 where the only key of the first query is left out; slicing a map without keys.
    #[test]
    fn nothing_left_is_no_error() {
        let one = hide_first(hide_future(ndarray::array![[1.0]].view()));
        assert!(normalize(one.view(), Scale::Row)[[0, 0]].is_nan());
        let zeros = Array2::zeros((2, 2));
        assert_eq!(normalize(zeros.view(), Scale::Row), zeros);
        for shape in [(0, 0), (2, 0), (0, 2)] {
            let empty = hide_first(hide_future(Array2::zeros(shape).view()));
            assert_eq!(pool_max(empty.view(), 3, 3).dim(), shape);
        }
    }

    /// Catches: a number that is no weight on its way to a colour that does not exist.
    #[test]
    fn what_is_no_weight_is_clamped() {
        let odd = ndarray::array![[f32::INFINITY, -1.0, f32::NEG_INFINITY, 0.5]];
        for scale in [Scale::Linear, Scale::Log, Scale::Row] {
            let shades = normalize(odd.view(), scale);
            assert_eq!(shades.slice(s![0, ..3]), ndarray::array![1.0, 0.0, 0.0]);
        }
    }
}
