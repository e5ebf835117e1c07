//! Rotary position embedding.
//!
//! Each pair of dimensions of a query or key at position $t$ is turned by the angle $t\theta_i$, fast for the first pair and slower
//! for each that follows:
//!
//! $$ R_{\theta,t} = \begin{pmatrix} \cos t\theta & -\sin t\theta \\\\ \sin t\theta & \cos t\theta \end{pmatrix}, \qquad
//!    \theta_i = \text{base}^{-2i/d}, \quad i = 0, \dots, \tfrac d2 - 1 $$
//!
//! Turning by $m$ and then back by $n$ is turning by the difference, so that the product of a query and a key knows their
//! distance and nothing else of their positions: $(R_m q)^\top (R_n k) = q^\top R_{n-m} k$.
//!
//! * Page: *Algorithm: Rotary Positional Embedding (RoPE)*.
//! * Paper: Su et al. 2021, arXiv 2104.09864, equations 14 to 16 (and 34 for the fast form).
//! * Shipped: `RotaryEmbedding`, `rotate_half` and `apply_rotary_pos_emb` in the 7B's `modeling_baichuan.py`: base 10,000.
//!
//! # As printed, as shipped
//!
//! * The page has one angle θ and a 2 × 2 matrix, which fits a head of two dimensions. A head of $d$ has $d/2$ angles, and with a
//!   single one for all of them positions soon repeat: the test `one_angle_for_all_pairs_repeats_itself`.
//! * The page and the paper turn neighbours, dimensions $2i$ and $2i + 1$ ([`rope_formal`]). The shipped code turns halves, dimension
//!   $i$ with $i + d/2$ ([`Rotation::rotate`]). A fixed [`permutation`] of the rows of $W_q$ and $W_k$ makes the one the other, and as
//!   it moves the dimensions of queries and keys alike, no score changes: the test `halves_are_neighbours_permuted`.
//!
//! # To look at
//!
//! [`planes`] takes a score apart into a cosine for each plane, and [`score_by_distance`] moves one pair of tokens apart.

use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut2, NdFloat, Zip, s};

/// The page's algorithm for one head of one token: neighbours turned in pairs. It shares no code with [`Rotation`].
///
/// `x: [d]` is $W_q x_m$ or $W_k x_n$, with $d$ even; `position` is $m$ or $n$. Returns `[d]`.
///
/// ```
/// use baichuan2::rope::rope_formal;
/// use ndarray::array;
/// let turned = rope_formal(array![1.0, 0.0].view(), 1, 1e4); // one pair, one radian
/// assert_eq!(turned, array![f64::cos(1.0), f64::sin(1.0)]);
/// ```
///
/// # Panics
/// Where $d$ is odd.
pub fn rope_formal(x: ArrayView1<f64>, position: usize, base: f64) -> Array1<f64> {
    let d = x.len();
    assert!(
        d.is_multiple_of(2),
        "RoPE turns pairs; a head of {d} has none for its last dimension"
    );
    let mut turned = Array1::zeros(d);
    for i in 0..d / 2 {
        let theta = base.powf(-2.0 * i as f64 / d as f64);
        let r = rotation_matrix(theta, position as f64); // 1. and 2. the rotation matrix
        turned
            .slice_mut(s![2 * i..2 * i + 2])
            .assign(&r.dot(&x.slice(s![2 * i..2 * i + 2]))); // 3. f(x, t)
    }
    // 4. and 5. follow from it: properties below
    turned // 6. and 7. the vector turned
}

/// The page's $R_{\theta,t}$, for a distance $t$ of either sign.
///
/// ```
/// let quarter = baichuan2::rope::rotation_matrix(std::f64::consts::FRAC_PI_2, 1.0);
/// assert!((quarter.dot(&ndarray::array![1.0, 0.0]) - ndarray::array![0.0, 1.0]).iter().all(|e| e.abs() < 1e-15));
/// ```
pub fn rotation_matrix(theta: f64, t: f64) -> Array2<f64> {
    let (sin, cos) = (t * theta).sin_cos();
    ndarray::array![[cos, -sin], [sin, cos]]
}

/// $\theta_i$, by which the plane `i` of a head turns from one token to the next, in radians.
pub fn theta(i: usize, head_dim: usize, base: f64) -> f64 {
    base.powf(-2.0 * i as f64 / head_dim as f64)
}

/// The cosines and sines of the positions of one pass, made once and used by every layer and head.
#[derive(Clone, Debug)]
pub struct Rotation<A> {
    /// $\cos t\theta_i$, `[tokens, d/2]`.
    pub cos: Array2<A>,
    /// $\sin t\theta_i$, `[tokens, d/2]`.
    pub sin: Array2<A>,
}

impl<A: NdFloat> Rotation<A> {
    /// The rotation of `tokens` positions from `first` on, for heads of `head_dim` dimensions.
    ///
    /// Angles are taken in f64: in f32, as the shipped code has them, the angle of position 4095 is off by up to 2e-4.
    ///
    /// # Panics
    /// Where `head_dim` is odd.
    pub fn new(head_dim: usize, base: f64, first: usize, tokens: usize) -> Self {
        assert!(
            head_dim.is_multiple_of(2),
            "RoPE turns pairs; {head_dim} dimensions leave one over"
        );
        let angle = |(t, i): (usize, usize)| (first + t) as f64 * theta(i, head_dim, base);
        let float = |x: f64| A::from(x).expect("a cosine fits a float");
        let shape = (tokens, head_dim / 2);
        Rotation {
            cos: Array2::from_shape_fn(shape, |at| float(angle(at).cos())),
            sin: Array2::from_shape_fn(shape, |at| float(angle(at).sin())),
        }
    }

    /// Turns one head of every token in place, halves as shipped. `x: [tokens, d]`.
    ///
    /// ```
    /// use baichuan2::rope::Rotation;
    /// use ndarray::array;
    /// let mut q = array![[1.0_f64, 7.0, 0.0, 0.0]]; // pairs (0, 2) and (1, 3)
    /// Rotation::new(4, 1e4, 1, 1).rotate(q.view_mut());
    /// assert_eq!(q, array![[1f64.cos(), 7.0 * 0.01f64.cos(), 1f64.sin(), 7.0 * 0.01f64.sin()]]);
    /// ```
    ///
    /// # Panics
    /// Where `x` has other tokens or dimensions than the rotation.
    pub fn rotate(&self, x: ArrayViewMut2<A>) {
        let half = self.cos.ncols();
        assert_eq!(
            x.dim(),
            (self.cos.nrows(), 2 * half),
            "x: [tokens, head_dim]"
        );
        let (first, second) = x.split_at(ndarray::Axis(1), half);
        Zip::from(first)
            .and(second)
            .and(&self.cos)
            .and(&self.sin)
            .for_each(|x, y, &cos, &sin| {
                (*x, *y) = (*x * cos - *y * sin, *y * cos + *x * sin);
            });
    }
}

/// What a query and a key are in one plane of rotation, dimensions $i$ and $i + d/2$, before any rotation.
///
/// Wherever the two stand, the plane adds to $q \cdot k$ a cosine of their distance, here the number of tokens that the key stands before the query:
///
/// $$ \lvert q_i \rvert \lvert k_i \rvert \cos(\varphi_i + \text{distance} \cdot \theta_i) $$
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plane {
    /// $\lvert q_i \rvert$, the length of the query in the plane.
    pub query: f64,
    /// $\lvert k_i \rvert$, the length of the key in the plane.
    pub key: f64,
    /// $\varphi_i$, the angle from the key to the query, in radians.
    pub angle: f64,
    /// $\theta_i$, what each token of distance adds to it.
    pub theta: f64,
}

impl Plane {
    /// What the plane adds to $q \cdot k$ where the key stands `distance` tokens before the query.
    pub fn score(&self, distance: f64) -> f64 {
        self.query * self.key * (self.angle + distance * self.theta).cos()
    }
}

/// A query and a key, both before rotation, plane by plane. `q`, `k`: `[d]`. Returns `d/2` planes, the fastest first.
///
/// # Panics
/// Where the two have different dimensions, or an odd number of them.
pub fn planes<A: NdFloat>(q: ArrayView1<A>, k: ArrayView1<A>, base: f64) -> Vec<Plane> {
    let d = q.len();
    assert!(k.len() == d && d.is_multiple_of(2), "q, k: [d], in pairs");
    let plane = |i: usize| {
        let polar = |x: ArrayView1<A>| {
            let [x, y] = [x[i], x[i + d / 2]].map(|x| x.to_f64().expect("a float is an f64"));
            (x.hypot(y), y.atan2(x))
        };
        let ((query, of_query), (key, of_key)) = (polar(q), polar(k));
        Plane {
            query,
            key,
            angle: of_query - of_key,
            theta: theta(i, d, base),
        }
    };
    (0..d / 2).map(plane).collect()
}

/// What each plane adds to the score of a query and a key that stands `distance` tokens before it. `q`, `k`: `[d]`, before rotation. Returns `[d/2]`.
///
/// The sum is the product of the two after rotation, not yet divided by $\sqrt d$.
///
/// ```
/// use baichuan2::rope::score_by_plane;
/// use ndarray::array;
/// let (q, k) = (array![1.0, 2.0, 0.0, 0.0], array![3.0, 5.0, 0.0, 0.0]); // no angle between them in either plane
/// assert_eq!(score_by_plane(q.view(), k.view(), 0.0, 1e4), array![3.0, 10.0]);
/// assert_eq!(score_by_plane(q.view(), k.view(), 1.0, 1e4), array![3.0 * 1f64.cos(), 10.0 * 0.01f64.cos()]);
/// ```
///
/// # Panics
/// As [`planes`].
pub fn score_by_plane<A: NdFloat>(
    q: ArrayView1<A>,
    k: ArrayView1<A>,
    distance: f64,
    base: f64,
) -> Array1<f64> {
    let planes = planes(q, k, base);
    planes.iter().map(|plane| plane.score(distance)).collect()
}

/// The score of a query and a key, as if the key stood at each of `distances` before the query: what rotation makes of one pair of tokens.
/// `q`, `k`: `[d]`, before rotation. Returns a score for each distance, not yet divided by $\sqrt d$.
///
/// ```
/// use baichuan2::rope::score_by_distance;
/// let q = ndarray::Array1::<f64>::ones(64);
/// let scores = score_by_distance(q.view(), q.view(), 1e4, [0.0, 1.0, 100.0]);
/// assert!((scores[0] - 64.0).abs() < 1e-9); // the same vector, best where it stands
/// assert!(scores[0] > scores[1] && scores[1] > scores[2]);
/// ```
///
/// # Panics
/// As [`planes`].
pub fn score_by_distance<A: NdFloat>(
    q: ArrayView1<A>,
    k: ArrayView1<A>,
    base: f64,
    distances: impl IntoIterator<Item = f64>,
) -> Array1<f64> {
    let planes = planes(q, k, base);
    let score = |distance| planes.iter().map(|plane| plane.score(distance)).sum();
    distances.into_iter().map(score).collect()
}

/// Where each dimension of the half form lies in the neighbour form: `halves[i] = neighbours[permutation(d)[i]]`.
///
/// Applied to the rows of each head of $W_q$ and $W_k$, it turns weights for neighbours into weights for halves.
///
/// ```
/// assert_eq!(baichuan2::rope::permutation(6), [0, 2, 4, 1, 3, 5]);
/// ```
pub fn permutation(head_dim: usize) -> Vec<usize> {
    (0..head_dim)
        .step_by(2)
        .chain((1..head_dim).step_by(2))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{largest_difference, matrix};
    use ndarray::Axis;
    use proptest::prelude::*;

    /// Two heads of one even width.
    fn query_and_key() -> impl Strategy<Value = (Array1<f64>, Array1<f64>)> {
        (1..9_usize).prop_flat_map(|half| {
            matrix(2, 2 * half).prop_map(|m| (m.row(0).to_owned(), m.row(1).to_owned()))
        })
    }

    fn rotate_halves(x: &Array1<f64>, position: usize, base: f64) -> Array1<f64> {
        let mut x = x.clone().insert_axis(Axis(0));
        Rotation::new(x.ncols(), base, position, 1).rotate(x.view_mut());
        x.remove_axis(Axis(0))
    }

    proptest! {
        /// Catches: a wrong sign of the sine; pairs that share a dimension; cosine and sine of different angles.
        #[test]
        fn it_keeps_norms((x, _) in query_and_key(), t in 0..5000_usize, base in 10.0..1e6) {
            let norm = x.dot(&x);
            for turned in [rope_formal(x.view(), t, base), rotate_halves(&x, t, base)] {
                prop_assert!((turned.dot(&turned) - norm).abs() < 1e-10 * (1.0 + norm));
            }
        }

        /// Step 4, R(m)ᵀ R(n) = R(n − m). Catches: a transposed rotation matrix.
        #[test]
        fn rotations_compose(theta in 1e-4..1.0, m in 0..500_usize, n in 0..500_usize) {
            let (m, n) = (m as f64, n as f64);
            let relative = rotation_matrix(theta, m).t().dot(&rotation_matrix(theta, n));
            prop_assert!(largest_difference(&relative, &rotation_matrix(theta, n - m)) < 1e-10);
        }

        /// Step 5. Catches: queries and keys turned by different angles or in different directions.
        #[test]
        fn scores_depend_on_the_distance_only(
            (q, k) in query_and_key(), m in 0..300_usize, n in 0..300_usize, shift in 1..300_usize,
        ) {
            let score = |m, n| rotate_halves(&q, m, 1e4).dot(&rotate_halves(&k, n, 1e4));
            prop_assert!((score(m, n) - score(m + shift, n + shift)).abs() < 1e-9);
            let page = rope_formal(q.view(), m, 1e4).dot(&rope_formal(k.view(), n, 1e4));
            let page_shifted =
                rope_formal(q.view(), m + shift, 1e4).dot(&rope_formal(k.view(), n + shift, 1e4));
            prop_assert!((page - page_shifted).abs() < 1e-9);
        }

        /// Catches: an angle from the query to the key, or a distance from the key on; planes of neighbours; a plane that turns by another's θ.
        #[test]
        fn the_planes_add_up_to_the_rotated_product(
            (q, k) in query_and_key(), m in 0..3000_usize, n in 0..3000_usize, base in 10.0..1e6,
        ) {
            let distance = m as f64 - n as f64;
            let rotated = rotate_halves(&q, m, base).dot(&rotate_halves(&k, n, base));
            let by_plane = score_by_plane(q.view(), k.view(), distance, base);
            prop_assert_eq!(by_plane.len(), q.len() / 2);
            prop_assert!((by_plane.sum() - rotated).abs() < 1e-9);
            for (i, &score) in by_plane.iter().enumerate() {
                let plane = [i, i + q.len() / 2];
                let (q, k) = (rotate_halves(&q, m, base).select(Axis(0), &plane), rotate_halves(&k, n, base).select(Axis(0), &plane));
                prop_assert!((score - q.dot(&k)).abs() < 1e-9);
            }
            let by_distance = score_by_distance(q.view(), k.view(), base, [0.0, distance]);
            prop_assert!(largest_difference(&by_distance, &ndarray::array![q.dot(&k), rotated]) < 1e-9);
        }

        /// Catches: halves taken for neighbours (most engines' first mistake with these checkpoints).
        #[test]
        fn halves_are_neighbours_permuted((x, _) in query_and_key(), t in 0..3000_usize) {
            let order = permutation(x.len());
            let page = rope_formal(x.view(), t, 1e4).select(Axis(0), &order);
            let shipped = rotate_halves(&x.select(Axis(0), &order), t, 1e4);
            prop_assert!(largest_difference(&page, &shipped) < 1e-12);
            if x.len() > 2 && t > 0 && t < 300 {
                let unpermuted = rotate_halves(&x, t, 1e4);
                prop_assume!(x.iter().all(|x| x.abs() > 0.1));
                prop_assert!(largest_difference(&rope_formal(x.view(), t, 1e4), &unpermuted) > 1e-6);
            }
        }

        /// Catches: a table that starts at position 0 whatever the cache holds.
        #[test]
        fn a_later_start_continues_the_table(first in 0..50_usize, tokens in 1..20_usize) {
            let whole = Rotation::<f64>::new(8, 1e4, 0, first + tokens);
            let later = Rotation::<f64>::new(8, 1e4, first, tokens);
            prop_assert_eq!(whole.cos.slice(s![first.., ..]), later.cos.view());
            prop_assert_eq!(whole.sin.slice(s![first.., ..]), later.sin.view());
        }
    }

    /// The page's single θ on a whole head. Catches: an exponent that does not grow with the pair.
    #[test]
    fn one_angle_for_all_pairs_repeats_itself() {
        // With θ = 1 alone, position 710 (113 full turns) can hardly be told from position 0.
        let q = Array1::from(vec![1.0; 8]);
        let single = |t: f64| {
            let r = rotation_matrix(1.0, t);
            let turned: f64 = (0..4)
                .map(|i| {
                    r.dot(&q.slice(s![2 * i..2 * i + 2]))
                        .dot(&q.slice(s![2 * i..2 * i + 2]))
                })
                .sum();
            turned
        };
        assert!((single(710.0) - single(0.0)).abs() < 1e-7);
        let several = |t| rope_formal(q.view(), t, 1e4).dot(&q);
        assert!((several(710) - several(0)).abs() > 1.0);
    }
}
