//! Principal components: the directions in which rows differ the most, for pictures of what has too many dimensions to be drawn.
//!
//! $$ C = \tfrac1n (X - \mu)^\top (X - \mu), \qquad C c_i = \sigma_i^2 c_i, \qquad \sigma_1^2 \ge \sigma_2^2 \ge \dots $$
//!
//! found by subspace iteration: a few random directions are multiplied by $C$ and made orthonormal again, until they stay where they
//! are. $C$ itself is never made; a turn costs two products with $X$.
//!
//! * Method: Halko, Martinsson and Tropp 2011, arXiv 0909.4061, algorithm 4.4, iterated until the residual is small.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s, stack};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

/// Directions iterated beside those that are asked for: the more, the faster.
const SPARE: usize = 8;
/// The residual $\lVert C c_i - \sigma_i^2 c_i \rVert$ at which iteration ends, of the largest variance.
const SETTLED: f64 = 1e-10;
/// Turns after which it ends in any case.
const TURNS: usize = 1000;

/// A direction of length 1 of which less is left depends on those before.
const DEPENDENT: f64 = 1e-8;

/// The principal components of some rows.
///
/// ```
/// use baichuan2::tensor::PrincipalComponents;
/// use ndarray::array;
/// // Points along the line (1, 2), around (5, 5).
/// let rows = array![[4.0, 3.0], [5.0, 5.0], [6.0, 7.0]];
/// let found = PrincipalComponents::of(rows.view(), 1)?;
/// assert!((&found.components - &(array![[1.0, 2.0]] / 5f64.sqrt())).iter().all(|e| e.abs() < 1e-12));
/// assert!((found.variances[0] - 10.0 / 3.0).abs() < 1e-12);
/// assert!((&found.project(rows.view()) - &(array![[-1.0], [0.0], [1.0]] * 5f64.sqrt())).iter().all(|e| e.abs() < 1e-12));
/// # Ok::<(), baichuan2::tensor::PrincipalComponentsError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PrincipalComponents {
    /// $\mu$, the mean row, `[d]`.
    pub mean: Array1<f64>,
    /// $c_i$, orthonormal rows, `[k, d]`; the largest number of each is positive.
    pub components: Array2<f64>,
    /// $\sigma_i^2$, the variance along each component, largest first, `[k]`.
    pub variances: Array1<f64>,
    /// The variance in all directions together, so that `variances / total` is what a picture shows of it.
    pub total: f64,
    /// The largest $\lVert C c_i - \sigma_i^2 c_i \rVert$, of the largest variance: at most 1e-10, unless a component that was asked for
    /// ties so nearly with those that were not that a thousand turns did not part them.
    pub residual: f64,
}

/// Rows that have no such components.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum PrincipalComponentsError {
    /// No rows.
    #[error("principal components of no rows; give one row at the least")]
    NoRows,
    /// More components than dimensions, or none.
    #[error("{k} principal components of rows of {d} numbers; ask for 1 to {d}")]
    Count {
        /// How many were asked for.
        k: usize,
        /// How many there can be.
        d: usize,
    },
    /// NaN or infinity.
    #[error("row {row} has a number that is not finite")]
    NotFinite {
        /// Which row, from 0.
        row: usize,
    },
}

impl PrincipalComponents {
    /// The first `k` principal components of `rows: [n, d]`. The same rows give the same components, bit for bit, on one machine.
    ///
    /// # Errors
    /// No rows, a number that is not finite, or `k` not in 1 to `d`.
    pub fn of(rows: ArrayView2<f64>, k: usize) -> Result<Self, PrincipalComponentsError> {
        let [n, d] = [rows.nrows(), rows.ncols()];
        let finite = |row: ndarray::ArrayView1<f64>| row.iter().all(|x| x.is_finite());
        if let Some(row) = rows.rows().into_iter().position(|row| !finite(row)) {
            return Err(PrincipalComponentsError::NotFinite { row });
        }
        if k == 0 || k > d {
            return Err(PrincipalComponentsError::Count { k, d });
        }
        // Numbers near the ends of the range must not overflow in a sum or a square.
        let largest = rows.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
        let scale = if largest > 0.0 { largest } else { 1.0 };
        let mut x = rows.mapv(|x| x / scale);
        let mean = x
            .mean_axis(Axis(0))
            .ok_or(PrincipalComponentsError::NoRows)?;
        x -= &mean;

        let times_c = |q: &Array2<f64>| x.t().dot(&x.dot(q)) / n as f64;
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut q = orthonormal(&Array2::zeros((d, 0)), d.min(k + SPARE), &mut random);
        let (mut values, mut residual) = (Array1::zeros(0), f64::INFINITY);
        for _ in 0..TURNS {
            let product = times_c(&q);
            // Within the directions at hand the problem is small, and solved exactly.
            let (found, turn) = eigen_symmetric(q.t().dot(&product));
            q = q.dot(&turn);
            let product = product.dot(&turn);
            let off = &product - &(&q * &found);
            let worst = off
                .slice(s![.., ..k])
                .map_axis(Axis(0), |e| e.dot(&e).sqrt());
            let worst = worst.fold(0.0_f64, |max, &r| max.max(r));
            residual = if found[0] > 0.0 {
                worst / found[0]
            } else {
                0.0
            };
            values = found;
            if residual <= SETTLED {
                break;
            }
            q = orthonormal(&product, q.ncols(), &mut random);
        }
        let total = x.iter().map(|x| x * x).sum::<f64>() / n as f64;
        let mut components = q.slice(s![.., ..k]).t().to_owned();
        for mut component in components.rows_mut() {
            let largest = component.fold(
                0.0_f64,
                |best, &x| if x.abs() > best.abs() { x } else { best },
            );
            component *= largest.signum();
        }
        let variance = |v: f64| v.max(0.0) * scale * scale;
        Ok(PrincipalComponents {
            mean: mean * scale,
            components,
            variances: values.slice(s![..k]).mapv(variance),
            total: variance(total),
            residual,
        })
    }

    /// Where `rows: [n, d]` lie along the components. Returns `[n, k]`.
    ///
    /// # Panics
    /// Where the rows have another length than `d`.
    pub fn project(&self, rows: ArrayView2<f64>) -> Array2<f64> {
        (&rows - &self.mean).dot(&self.components.t())
    }
}

/// An orthonormal basis `[d, width]` that begins with what the columns of `directions` span; random where they span less.
fn orthonormal(directions: &Array2<f64>, width: usize, random: &mut ChaCha8Rng) -> Array2<f64> {
    let d = directions.nrows();
    // Modified Gram-Schmidt: from each direction goes what those before have of it, one after another.
    let basis = |columns: &Array2<f64>, random: &mut ChaCha8Rng| {
        let mut basis: Vec<Array1<f64>> = Vec::with_capacity(width);
        let append = |direction: ArrayView1<f64>, basis: &mut Vec<Array1<f64>>| {
            let length = direction.dot(&direction).sqrt();
            if length == 0.0 {
                return;
            }
            let mut rest = &direction / length;
            for known in basis.iter() {
                let along = known.dot(&rest);
                rest.scaled_add(-along, known);
            }
            let length = rest.dot(&rest).sqrt();
            if length >= DEPENDENT {
                basis.push(rest / length);
            }
        };
        for column in columns.columns() {
            append(column, &mut basis);
        }
        while basis.len() < width {
            let direction = Array1::from_shape_simple_fn(d, || random.random_range(-1.0..1.0_f64));
            append(direction.view(), &mut basis);
        }
        let views: Vec<_> = basis.iter().map(|column| column.view()).collect();
        stack(Axis(1), &views).expect("columns of one length")
    };
    // What the first pass leaves of columns that were nearly dependent, a second takes out.
    let once = basis(directions, random);
    basis(&once, random)
}

/// All eigenvalues, largest first, and eigenvectors (columns) of a small symmetric matrix, by Jacobi's rotations.
fn eigen_symmetric(mut a: Array2<f64>) -> (Array1<f64>, Array2<f64>) {
    let n = a.nrows();
    let mut vectors = Array2::eye(n);
    for _ in 0..60 {
        let off: f64 = a
            .indexed_iter()
            .filter(|((i, j), _)| i != j)
            .map(|(_, x)| x * x)
            .sum();
        if off <= 1e-32 * a.diag().dot(&a.diag()) {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[[p, q]] == 0.0 {
                    continue;
                }
                // The angle that makes a[p, q] zero.
                let theta = 0.5 * (2.0 * a[[p, q]]).atan2(a[[q, q]] - a[[p, p]]);
                let (sin, cos) = theta.sin_cos();
                let turn = |x: &mut f64, y: &mut f64| {
                    (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y)
                };
                let (mut left, mut right) = a.multi_slice_mut((s![.., p], s![.., q]));
                left.iter_mut()
                    .zip(&mut right)
                    .for_each(|(x, y)| turn(x, y));
                let (mut upper, mut lower) = a.multi_slice_mut((s![p, ..], s![q, ..]));
                upper
                    .iter_mut()
                    .zip(&mut lower)
                    .for_each(|(x, y)| turn(x, y));
                let (mut left, mut right) = vectors.multi_slice_mut((s![.., p], s![.., q]));
                left.iter_mut()
                    .zip(&mut right)
                    .for_each(|(x, y)| turn(x, y));
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[[j, j]].total_cmp(&a[[i, i]]));
    (
        a.diag().select(Axis(0), &order),
        vectors.select(Axis(1), &order),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{largest_difference, matrix, sequence};
    use ndarray::array;
    use proptest::prelude::*;

    /// Rows that lie exactly in three dimensions of `d`, spread 9, 3 and 1 along orthonormal directions.
    fn low_rank() -> impl Strategy<Value = (Array2<f64>, Array2<f64>)> {
        (4..40_usize, 3..30_usize).prop_flat_map(|(n, d)| {
            (matrix(n, 3), 0..u64::MAX).prop_map(move |(z, seed)| {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                let basis = orthonormal(&Array2::zeros((d, 0)), 3, &mut random);
                let rows = (z * array![9.0, 3.0, 1.0]).dot(&basis.t()) + 5.0;
                (rows, basis)
            })
        })
    }

    proptest! {
        /// `ndarray-linalg`'s own Gram-Schmidt as an oracle. Catches: a direction that is not taken out; a basis that does not begin with the
        /// directions that are given.
        #[cfg(feature = "linalg")]
        #[test]
        fn a_basis_is_that_of_ndarray_linalg(x in sequence(1..6, 6..12)) {
            use ndarray_linalg::krylov::{Strategy as Dependent, mgs};
            let (expected, _) = mgs(x.rows().into_iter().map(|row| row.to_owned()), x.ncols(), 1e-6, Dependent::Terminate);
            let mut random = ChaCha8Rng::seed_from_u64(0);
            let found = orthonormal(&x.t().to_owned(), x.ncols(), &mut random);
            let found = found.slice(s![.., ..expected.ncols()]).to_owned();
            prop_assert!(largest_difference(&found, &expected) < 1e-6);
        }

        /// Catches: components of X instead of X − μ; a subspace that is lost where rows span less than it; components that are not
        /// orthonormal.
        #[test]
        fn rows_of_low_rank_are_given_back((rows, basis) in low_rank()) {
            let found = PrincipalComponents::of(rows.view(), 3).unwrap();
            prop_assert!(found.residual <= SETTLED, "{}", found.residual);
            let c = &found.components;
            prop_assert!(largest_difference(&c.dot(&c.t()), &Array2::eye(3)) < 1e-12);
            let back = found.project(rows.view()).dot(c) + &found.mean;
            prop_assert!(largest_difference(&back, &rows) < 1e-6);
            // They lie in the span of the basis where the rows do.
            prop_assert!(found.variances[2] < 1e-3 || largest_difference(&c.dot(&basis).dot(&basis.t()), c) < 1e-6);
        }

        /// Catches: variances divided by another number, or not of the projections; an order that is not the largest first.
        #[test]
        fn variances_are_those_of_the_projections(x in sequence(1..30, 1..12)) {
            let d = x.ncols();
            let found = PrincipalComponents::of(x.view(), d).unwrap();
            let along = found.project(x.view());
            let of_projections = along.mapv(|x| x * x).mean_axis(Axis(0)).unwrap();
            prop_assert!(largest_difference(&of_projections, &found.variances) < 1e-9);
            prop_assert!(along.mean_axis(Axis(0)).unwrap().iter().all(|m| m.abs() < 1e-9));
            prop_assert!(found.variances.windows(2).into_iter().all(|v| v[0] >= v[1]));
            prop_assert!((found.variances.sum() - found.total).abs() < 1e-9);
        }

        /// Catches: a direction that is not the largest; too few turns.
        #[cfg(feature = "lapack-system")]
        #[test]
        fn equal_to_the_singular_value_decomposition(x in sequence(2..40, 1..20), k in 1..20_usize) {
            use ndarray_linalg::SVD;
            let k = k.min(x.ncols());
            let found = PrincipalComponents::of(x.view(), k).unwrap();
            let centred = &x - &x.mean_axis(Axis(0)).unwrap();
            let (_, sigma, v_t) = centred.svd(false, true).unwrap();
            let v_t = v_t.unwrap();
            let variance = |i: usize| sigma.get(i).map_or(0.0, |s| s * s / x.nrows() as f64);
            for i in 0..k {
                prop_assert!((found.variances[i] - variance(i)).abs() < 1e-8);
                // A component is unique up to its sign, unless a neighbour has the same variance.
                let apart = (0..x.ncols()).filter(|&j| j != i).all(|j| (variance(i) - variance(j)).abs() > 1e-2);
                if apart {
                    let cosine = found.components.row(i).dot(&v_t.row(i));
                    prop_assert!((cosine.abs() - 1.0).abs() < 1e-8, "component {}: {}", i, cosine);
                }
            }
        }
    }

    /// Catches: 0/0 for rows that are all the same; squares that overflow; NaN that goes through.
    #[test]
    fn edges() {
        let of = |rows: Array2<f64>, k| PrincipalComponents::of(rows.view(), k);
        let same = of(array![[2.0, 3.0], [2.0, 3.0]], 2).unwrap();
        assert_eq!((same.residual, same.total), (0.0, 0.0));
        assert_eq!(same.variances, array![0.0, 0.0]);
        assert!(
            largest_difference(&same.components.dot(&same.components.t()), &Array2::eye(2)) < 1e-12
        );
        let zeros = of(Array2::zeros((3, 2)), 1).unwrap();
        assert_eq!(zeros.variances, array![0.0]);
        let huge = of(array![[1e150, 0.0], [-1e150, 0.0]], 1).unwrap();
        assert!((huge.variances[0] / 1e300 - 1.0).abs() < 1e-12);
        let again = of(array![[1e150, 0.0], [-1e150, 0.0]], 1).unwrap();
        assert_eq!(huge, again, "the start is always the same");
        let not_finite = PrincipalComponentsError::NotFinite { row: 1 };
        assert_eq!(of(array![[1.0], [f64::NAN]], 1), Err(not_finite));
        assert_eq!(
            of(array![[1.0]], 2),
            Err(PrincipalComponentsError::Count { k: 2, d: 1 })
        );
        assert_eq!(
            of(array![[1.0]], 0),
            Err(PrincipalComponentsError::Count { k: 0, d: 1 })
        );
        assert_eq!(
            of(Array2::zeros((0, 4)), 1),
            Err(PrincipalComponentsError::NoRows)
        );
    }
}
