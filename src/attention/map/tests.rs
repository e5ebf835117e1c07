//! What must hold of a map that is made in parts.

use super::*;
use crate::{
    attention::attend,
    testing::{largest_difference, matrix},
};
use ndarray::array;
use proptest::prelude::*;

/// Queries and keys of one head, what they may see, a slope, and a rectangle with the size of its picture.
#[derive(Clone, Debug)]
struct Look {
    q: Array2<f64>,
    k: Array2<f64>,
    sees: Sees,
    mask: Array2<bool>,
    slope: Option<f64>,
    rows: Range<usize>,
    columns: Range<usize>,
    size: [usize; 2],
}

#[derive(Clone, Copy, Debug)]
enum Sees {
    All,
    Causal,
    Mask,
}

impl Look {
    fn bias(&self) -> Bias<'_> {
        Bias {
            visibility: match self.sees {
                Sees::All => Visibility::All,
                Sees::Causal => Visibility::Causal {
                    first: self.k.nrows() - self.q.nrows(),
                },
                Sees::Mask => Visibility::Mask(self.mask.view()),
            },
            alibi_slope: self.slope,
        }
    }

    /// [`attend`]'s weights, NaN where hidden.
    fn whole(&self) -> Array2<f64> {
        let mut map = attend(self.q.view(), self.k.view(), self.k.view(), &self.bias()).weights;
        for ((i, j), w) in map.indexed_iter_mut() {
            if !self.bias().visibility.sees(i, j) {
                *w = f64::NAN;
            }
        }
        map
    }

    fn map(&self) -> HeadMap<'_, f64> {
        HeadMap::new(&self.q, &self.k, self.bias()).unwrap()
    }

    fn weights(&self, map: &mut HeadMap<f64>, pooling: Pooling) -> Array2<f64> {
        map.weights(self.rows.clone(), self.columns.clone(), self.size, pooling)
            .unwrap()
    }
}

/// Ranges of which some go over several blocks.
fn look() -> impl Strategy<Value = Look> {
    let shape = prop_oneof![
        3 => (1..9_usize, 0..9_usize),
        1 => (60..150_usize, 0..40_usize),
        1 => (1..70_usize, 480..600_usize),
    ];
    (shape, 1..4_usize).prop_flat_map(|((queries, more), d)| {
        let keys = queries + more;
        let part =
            |len: usize| (0..len, 0..=len).prop_map(|(a, b)| if a < b { a..b } else { b..a + 1 });
        (
            matrix(queries, d),
            matrix(keys, d),
            prop::sample::select(vec![Sees::All, Sees::Causal, Sees::Mask]),
            (any::<u64>(), prop::option::of(0.01..1.0_f64)),
            (part(queries), part(keys)),
            prop_oneof![[1..5_usize, 1..5_usize], [1..200_usize, 1..700_usize]],
        )
            .prop_map(move |(q, k, sees, (seed, slope), (rows, columns), size)| {
                let mask = |(i, j): (usize, usize)| (seed >> ((7 * i + 3 * j) % 64)) & 1 == 1;
                let mask = Array2::from_shape_fn((queries, keys), mask);
                Look {
                    q,
                    k,
                    sees,
                    mask,
                    slope,
                    rows,
                    columns,
                    size,
                }
            })
    })
}

/// The cells of a rectangle, as the documentation has them. Returns `[rows, columns]`.
fn pooled(map: &Array2<f64>, look: &Look, pooling: Pooling) -> Array2<f64> {
    let map = map.slice(s![look.rows.clone(), look.columns.clone()]);
    let (n, m) = map.dim();
    let (rows, columns) = (n.min(look.size[0]), m.min(look.size[1]));
    Array2::from_shape_fn((rows, columns), |(r, c)| {
        let of = s![
            r * n / rows..(r + 1) * n / rows,
            c * m / columns..(c + 1) * m / columns
        ];
        let seen: Vec<f64> = map
            .slice(of)
            .iter()
            .copied()
            .filter(|w| !w.is_nan())
            .collect();
        match pooling {
            _ if seen.is_empty() => f64::NAN,
            Pooling::Max => seen.into_iter().fold(0.0, f64::max),
            Pooling::Mean => seen.iter().sum::<f64>() / seen.len() as f64,
        }
    })
}

/// The largest difference where both are numbers; infinite where one alone is.
fn difference(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    assert_eq!(a.dim(), b.dim());
    let zero_if_hidden = |map: &Array2<f64>, other: &Array2<f64>| {
        ndarray::Zip::from(map)
            .and(other)
            .map_collect(|&a, &b| if a.is_nan() && b.is_nan() { 0.0 } else { a })
    };
    largest_difference(&zero_if_hidden(a, b), &zero_if_hidden(b, a))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Catches: rows normalized by the rectangle alone; a block left out or met twice; positions that start over at the rectangle; hidden cells that win,
    /// or count in a mean; cells left out at the edges when sizes do not divide.
    #[test]
    fn a_rectangle_is_that_of_the_whole_map(look in look()) {
        let whole = look.whole();
        for pooling in [Pooling::Max, Pooling::Mean] {
            let cells = look.weights(&mut look.map(), pooling);
            prop_assert!(difference(&cells, &pooled(&whole, &look, pooling)) < 1e-12);
        }
    }

    /// Catches: a normalizer that is made of some of the keys, or kept for another row.
    #[test]
    fn what_was_looked_at_before_changes_nothing(look in look(), query in any::<usize>(), key in any::<usize>()) {
        let mut map = look.map();
        let [queries, keys] = map.shape();
        map.terms(query % queries, key % keys).unwrap();
        map.weights(query % queries..queries, 0..key % keys, [3, 3], Pooling::Mean).unwrap();
        let later = look.weights(&mut map, Pooling::Max);
        prop_assert!(difference(&later, &look.weights(&mut look.map(), Pooling::Max)) < 1e-12);
        let at_once = map.weights(0..queries, 0..keys, [queries, keys], Pooling::Mean).unwrap();
        prop_assert!(difference(&at_once, &look.whole()) < 1e-12);
    }

    /// Catches: a bias inside the scale; a normalizer of scores without it; a weight where the key is hidden.
    #[test]
    fn the_terms_make_the_weight(look in look(), query in any::<usize>(), key in any::<usize>()) {
        let mut map = look.map();
        let [queries, keys] = map.shape();
        let (i, j) = (query % queries, key % keys);
        let terms = map.terms(i, j).unwrap();
        let whole = attend(look.q.view(), look.k.view(), look.k.view(), &look.bias());
        prop_assert_eq!(terms.products.len(), look.q.ncols());
        prop_assert!((terms.products.sum() - terms.dot).abs() < 1e-12);
        prop_assert!((terms.dot / (look.q.ncols() as f64).sqrt() - terms.score).abs() < 1e-12);
        prop_assert_eq!(terms.score + terms.bias, terms.biased);
        prop_assert!(terms.biased == whole.scores[[i, j]] || (terms.biased - whole.scores[[i, j]]).abs() < 1e-12);
        prop_assert!((terms.weight - whole.weights[[i, j]]).abs() < 1e-12);
        let row = whole.scores.row(i).mapv(f64::exp).sum();
        prop_assert!(row == 0.0 && terms.log_normalizer == f64::NEG_INFINITY || (terms.log_normalizer - row.ln()).abs() < 1e-9);
    }

    /// Catches: logarithms of normalizers, which in f32 lose what large scores have in common.
    #[test]
    fn f32_is_attends_to_rounding(look in look()) {
        // Quarters, whose products are exact: what is left is the rounding of the softmax, however large the scores.
        let quarters = |x: &Array2<f64>, by: f64| x.mapv(|x| ((4.0 * x).round() / 4.0 * by) as f32);
        let (q, k) = (quarters(&look.q, 5.0), quarters(&look.k, 1.0));
        let whole = attend(q.view(), k.view(), k.view(), &look.bias()).weights;
        let [n, m] = look.map().shape();
        let map = HeadMap::new(&q, &k, look.bias()).unwrap().weights(0..n, 0..m, [n, m], Pooling::Max).unwrap();
        for ((i, j), &w) in map.indexed_iter() {
            prop_assert_eq!(w.is_nan(), !look.bias().visibility.sees(i, j));
            prop_assert!(w.is_nan() || (w - whole[[i, j]]).abs() < 1e-6);
        }
    }

    /// Catches: a thing in two cells or in none.
    #[test]
    fn every_thing_is_in_one_cell(of in 1..300_usize, wanted in 0..400_usize) {
        let cells = cells(wanted, of);
        let in_turn: Vec<usize> = (0..cells).flat_map(|cell| span(cell, cells, of).map(move |_| cell)).collect();
        prop_assert_eq!(in_turn, (0..of).map(|i| cell_of(i, cells, of)).collect::<Vec<_>>());
    }
}

fn causal() -> Bias<'static> {
    Bias {
        visibility: Visibility::Causal { first: 0 },
        alibi_slope: None,
    }
}

/// Catches: a panic where a rectangle, a width or a mask does not fit.
#[test]
fn what_does_not_fit_is_an_error() {
    let x = array![[1.0], [2.0], [3.0]];
    let mut map = HeadMap::new(&x, &x, causal()).unwrap();
    let mut error = |rows, keys| {
        map.weights(rows, keys, [1, 1], Pooling::Max)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(2..4, 0..3),
        "queries 2 to 4 (excluded) are not all in a map of 3"
    );
    #[expect(clippy::reversed_empty_ranges, reason = "it is the mistake")]
    let backwards = 2..1;
    assert_eq!(
        error(0..1, backwards),
        "keys 2 to 1 (excluded) are not all in a map of 3"
    );
    assert!(matches!(
        map.terms(0, 3),
        Err(MapError::Range { axis: "keys", .. })
    ));
    assert!(matches!(
        map.terms(usize::MAX, 0),
        Err(MapError::Range {
            axis: "queries",
            ..
        })
    ));
    let wide = array![[1.0, 2.0]];
    let error = HeadMap::new(&x, &wide, causal()).unwrap_err().to_string();
    assert_eq!(error, "keys: expected shape [1, 1], got [1, 2]");
    let mask = array![[true]];
    let bias = Bias {
        visibility: Visibility::Mask(mask.view()),
        alibi_slope: None,
    };
    assert!(matches!(
        HeadMap::new(&x, &x, bias),
        Err(MapError::Shape(_))
    ));
}

/// Catches: a division by no cells at all; a size of nothing, which is as small as a picture can be and not an error.
#[test]
fn nothing_asked_for_is_nothing() {
    let x = array![[1.0_f32], [2.0], [3.0]];
    let mut map = HeadMap::new(&x, &x, causal()).unwrap();
    let mut shape = |rows, keys| {
        let cells = map.weights(rows, keys, [0, 9], Pooling::Mean);
        cells.unwrap().dim()
    };
    assert_eq!(shape(0..3, 0..3), (1, 3));
    assert_eq!(shape(0..0, 0..3), (0, 3));
    assert_eq!(shape(3..3, 1..1), (0, 0));
    assert_eq!(shape(0..2, 3..3), (1, 0));
}

/// Catches: a broken key drawn as one that is hidden; the first row, which sees that key alone, taken for a row that sees nothing.
#[test]
fn what_is_not_a_number_is_an_error() {
    for broken in [f32::NAN, f32::INFINITY] {
        for at in 0..3 {
            let q = array![[1.0_f32], [1.0], [1.0]];
            let mut k = q.clone();
            k[[at, 0]] = broken;
            let mut map = HeadMap::new(&q, &k, causal()).unwrap();
            let look = map.weights(0..3, 0..3, [1, 1], Pooling::Max);
            assert!(matches!(look, Err(MapError::NotFinite { .. })), "{look:?}");
            assert!(map.terms(at, 0).is_err());
        }
    }
}
