//! Linear maps $Y = X W^\top$, over dense matrices and over stored weights.

use super::{StoredTensor, threads};
use half::bf16;
use multiversion::multiversion;
use ndarray::{
    Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, NdFloat,
    linalg::general_mat_mul,
};
use std::borrow::Cow;

/// A matrix $W$ `[out, in]`, as every checkpoint stores it, that maps rows of $X$ `[tokens, in]` to rows of $X W^\top$ `[tokens, out]`.
///
/// A dense [`Array2`] in any float is one, and so is a [`StoredTensor`] of rank 2, whose numbers are widened to f32 a tile at a time.
///
/// ```
/// use baichuan2::tensor::LinearMap;
/// use ndarray::array;
/// let w = array![[1.0, 0.0, 2.0]]; // one output of three inputs
/// assert_eq!(w.apply(array![[1.0, 5.0, 1.0], [0.0, 5.0, 0.0]].view()), array![[3.0], [0.0]]);
/// ```
pub trait LinearMap<A> {
    /// `[out, in]`.
    fn out_in(&self) -> [usize; 2];

    /// $X W^\top$ for `x: [tokens, in]`. Returns `[tokens, out]`.
    ///
    /// # Panics
    /// Where `x` has another width than `in`.
    fn apply(&self, x: ArrayView2<A>) -> Array2<A>;

    /// Copies row `i` of $W$ into `out: [in]`: the embedding of token `i`, where $W$ is an embedding.
    ///
    /// # Panics
    /// Where `i` is not below `out`, or the lengths differ.
    fn copy_row(&self, i: usize, out: ArrayViewMut1<A>);

    /// The Euclidean norm of each row of $W$, `[out]`.
    fn row_norms(&self) -> Array1<A>;
}

impl<A: NdFloat> LinearMap<A> for Array2<A> {
    fn out_in(&self) -> [usize; 2] {
        [self.nrows(), self.ncols()]
    }

    fn apply(&self, x: ArrayView2<A>) -> Array2<A> {
        x.dot(&self.t())
    }

    fn copy_row(&self, i: usize, mut out: ArrayViewMut1<A>) {
        out.assign(&self.row(i));
    }

    fn row_norms(&self) -> Array1<A> {
        self.rows()
            .into_iter()
            .map(|row| row.dot(&row).sqrt())
            .collect()
    }
}

/// Rows of $W$ in a tile: small enough that the widened tile of a wide matrix stays in a cache, large enough for BLAS.
const TILE: usize = 128;

impl LinearMap<f32> for StoredTensor {
    fn out_in(&self) -> [usize; 2] {
        match *self.shape() {
            [rows, columns] => [rows, columns],
            _ => panic!("a linear map has rank 2, not shape {:?}", self.shape()),
        }
    }

    fn apply(&self, x: ArrayView2<f32>) -> Array2<f32> {
        let [out, width] = self.out_in();
        assert_eq!(x.ncols(), width, "x: [tokens, in] for a map of [out, in]");
        let mut y = Array2::zeros((x.nrows(), out));
        if x.nrows() == 1 {
            let x = x.row(0);
            let x = x.as_standard_layout();
            threads::for_each_chunk(y.row_mut(0), Axis(0), TILE, |first, y| {
                self.one_row(first, x.view(), y)
            });
        } else {
            threads::for_each_chunk(y.view_mut(), Axis(1), TILE, |first, y| {
                self.many_rows(first, x, y);
            });
        }
        y
    }

    fn copy_row(&self, i: usize, mut out: ArrayViewMut1<f32>) {
        match out.as_slice_mut() {
            Some(out) => self.widen_rows(i, out),
            None => out.assign(&self.tile(i, 1).row(0)),
        }
    }

    fn row_norms(&self) -> Array1<f32> {
        let [out, _] = self.out_in();
        let mut norms = Array1::zeros(out);
        threads::for_each_chunk(norms.view_mut(), Axis(0), TILE, |first, mut norms| {
            let tile = self.tile(first, norms.len());
            for (norm, row) in norms.iter_mut().zip(tile.rows()) {
                *norm = row.dot(&row).sqrt();
            }
        });
        norms
    }
}

impl StoredTensor {
    /// Rows `first..first + rows` in f32: as they lie in memory where they are f32, widened otherwise.
    fn tile(&self, first: usize, rows: usize) -> ndarray::CowArray<'_, f32, ndarray::Ix2> {
        let width = self.row_len();
        let elements = first * width..(first + rows) * width;
        let values = match self.as_f32() {
            Some(all) => Cow::Borrowed(&all[elements]),
            None => {
                let mut widened = vec![0.0; elements.len()];
                self.widen_rows(first, &mut widened);
                Cow::Owned(widened)
            }
        };
        let fits = "as many elements as rows × columns";
        match values {
            Cow::Borrowed(v) => ArrayView2::from_shape((rows, width), v).expect(fits).into(),
            Cow::Owned(v) => Array2::from_shape_vec((rows, width), v).expect(fits).into(),
        }
    }

    /// Part of $W x$ for one token, bound by reading $W$ once.
    fn one_row(&self, first: usize, x: ArrayView1<f32>, mut y: ArrayViewMut1<f32>) {
        match (self.as_bf16(), x.as_slice()) {
            (Some(w), Some(x)) if !x.is_empty() => {
                let rows = w[first * x.len()..].chunks_exact(x.len());
                y.iter_mut()
                    .zip(rows)
                    .for_each(|(y, row)| *y = dot_bf16(row, x));
            }
            // A one-dimensional product: BLAS would pack all of W for a matrix of one row.
            _ => {
                let product = self.tile(first, y.len()).dot(&x);
                y.assign(&product);
            }
        }
    }

    /// Some columns of $X W^\top$ for many tokens, bound by arithmetic.
    fn many_rows(&self, first: usize, x: ArrayView2<f32>, mut y: ArrayViewMut2<f32>) {
        let tile = self.tile(first, y.ncols());
        general_mat_mul(1.0, &x, &tile.t(), 0.0, &mut y);
    }
}

/// $w \cdot x$ for stored bf16 weights. Widening is a shift, and 64 sums keep the vector units of any processor full.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn dot_bf16(w: &[bf16], x: &[f32]) -> f32 {
    let (w_blocks, w_rest) = w.as_chunks::<64>();
    let (x_blocks, x_rest) = x.as_chunks::<64>();
    let mut sums = [0.0_f32; 64];
    for (w, x) in w_blocks.iter().zip(x_blocks) {
        for i in 0..64 {
            sums[i] += f32::from_bits(u32::from(w[i].to_bits()) << 16) * x[i];
        }
    }
    let rest: f32 = w_rest.iter().zip(x_rest).map(|(w, x)| w.to_f32() * x).sum();
    sums.iter().sum::<f32>() + rest
}
