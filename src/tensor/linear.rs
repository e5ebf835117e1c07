//! Linear maps $Y = X W^\top$, over dense matrices and over stored weights.

use super::{StoredTensor, one_row::Vector, threads};
use ndarray::{
    Array1, Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, CowArray, Ix2, NdFloat,
    linalg::general_mat_mul,
};

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

/// Rows of $W$ that a thread takes at a time for one token.
const ROWS: usize = 64;

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
            let x = Vector::new(x.as_slice().expect("standard layout"), self.dtype());
            threads::for_each_chunk(y.row_mut(0), Axis(0), ROWS, |first, mut y| {
                for (i, y) in y.iter_mut().enumerate() {
                    *y = self.row_dot(first + i, &x);
                }
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
    fn tile(&self, first: usize, rows: usize) -> CowArray<'_, f32, Ix2> {
        let width = self.row_len();
        let elements = first * width..(first + rows) * width;
        let fits = "as many elements as rows × columns";
        match self.as_f32() {
            Some(all) => {
                let tile = ArrayView2::from_shape((rows, width), &all[elements]);
                tile.expect(fits).into()
            }
            None => {
                let mut widened = vec![0.0; elements.len()];
                self.widen_rows(first, &mut widened);
                let tile = Array2::from_shape_vec((rows, width), widened);
                tile.expect(fits).into()
            }
        }
    }

    /// Some columns of $X W^\top$ for many tokens, bound by arithmetic.
    fn many_rows(&self, first: usize, x: ArrayView2<f32>, mut y: ArrayViewMut2<f32>) {
        let tile = self.tile(first, y.ncols());
        general_mat_mul(1.0, &x, &tile.t(), 0.0, &mut y);
    }
}
