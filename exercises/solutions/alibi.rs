//! ALiBi: a slope for each head, solved.

use ndarray::Array2;

/// The slope of each of `heads` heads, at least one.
pub fn slopes(heads: usize) -> Vec<f64> {
    let series = |n: usize| (1..=n).map(move |h| (-8.0 * h as f64 / n as f64).exp2());
    let power = 1 << heads.ilog2();
    let rest = series(2 * power).step_by(2).take(heads - power);
    series(power).chain(rest).collect()
}

/// The bias m · (j − i) of `queries` new tokens after `first` cached ones, over `keys` keys counted from the
/// beginning of the text. What a query may not see is no concern here: a mask hides it. Returns `[queries, keys]`.
pub fn bias(slope: f64, first: usize, queries: usize, keys: usize) -> Array2<f64> {
    Array2::from_shape_fn((queries, keys), |(i, j)| {
        slope * (j as f64 - (first + i) as f64)
    })
}
