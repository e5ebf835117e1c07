//! Linear maps $Y = X W^\top$, over dense matrices and over stored weights.

use super::{GROUP, StoredTensor, one_row::Vector, threads};
use ndarray::{
    Array1, Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, NdFloat,
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
pub trait LinearMap<A>: Sync {
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

/// Tokens up to which reading the weights takes longer than multiplying them.
const FEW: usize = 4;

/// Rows and columns of $W$ in a tile, at the most: its numbers, widened, stay in a cache of a megabyte or two, and BLAS finds enough of them to work at its full rate.
const TILE: [usize; 2] = [512, 640];

/// Rows of a tile at the least, below which a product is not worth a task.
const LEAST_ROWS: usize = 64;

/// Tiles of a matrix, about, where those can be of a good size: enough for many threads to share.
const TILES: usize = 16;

/// Lengths below which a BLAS takes a product for small.
const SMALL: usize = 256;

/// Rows that are transposed at a time.
const LANES: usize = 16;

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
        if x.nrows() <= FEW {
            let x = x.as_standard_layout();
            let x: Vec<Vector> = x
                .rows()
                .into_iter()
                .map(|x| Vector::new(x.to_slice().expect("standard layout"), self.dtype()))
                .collect();
            let rows = threads::share(out, self.byte_len() / out.max(1));
            threads::for_each_chunk(y.view_mut(), Axis(1), rows, |first, mut y| {
                // What the first token read from memory the others find in a cache.
                for (y, x) in y.rows_mut().into_iter().zip(&x) {
                    self.row_dots(first, x, y.into_slice().expect("a row without gaps"));
                }
            });
        } else {
            threads::for_each_chunk(y.view_mut(), Axis(1), tile_rows(out), |first, y| {
                self.many_rows(first, x, y);
            });
        }
        y
    }

    fn copy_row(&self, i: usize, mut out: ArrayViewMut1<f32>) {
        match out.as_slice_mut() {
            Some(out) => self.widen_rows(i, out),
            None => {
                let mut row = Array1::zeros(out.len());
                self.copy_row(i, row.view_mut());
                out.assign(&row);
            }
        }
    }

    fn row_norms(&self) -> Array1<f32> {
        let [out, _] = self.out_in();
        let mut norms = Array1::zeros(out);
        let rows = threads::share(out, self.byte_len() / out.max(1));
        threads::for_each_chunk(norms.view_mut(), Axis(0), rows, |first, mut norms| {
            let mut row = Array1::zeros(self.row_len());
            for (i, norm) in norms.iter_mut().enumerate() {
                self.copy_row(first + i, row.view_mut());
                *norm = row.dot(&row).sqrt();
            }
        });
        norms
    }
}

/// Rows of a tile of a matrix that has `out`. Not of the number of threads: a BLAS takes another kernel, which sums in another order, for another size.
fn tile_rows(out: usize) -> usize {
    even(out, (out / TILES).clamp(LEAST_ROWS, TILE[0])).next_multiple_of(16)
}

/// The length of parts of `whole` that are no longer than `most`, and all the same but the last.
fn even(whole: usize, most: usize) -> usize {
    whole.div_ceil(whole.div_ceil(most).max(1)).max(1)
}

impl StoredTensor {
    /// Some columns of $X W^\top$ for many tokens, bound by arithmetic: $\sum_k X_{\cdot k} W_{\cdot k}^\top$ over tiles that are widened once each.
    fn many_rows(&self, first: usize, x: ArrayView2<f32>, mut y: ArrayViewMut2<f32>) {
        let (rows, width) = (y.ncols(), self.row_len());
        // Of the width alone, as `tile_rows` is of the height.
        let columns = even(width, TILE[1]).next_multiple_of(GROUP);
        // A BLAS packs what it multiplies, transposed or not, unless it is small: then rows by columns are quicker.
        let transposed = x.nrows().min(rows).min(columns) < SMALL;
        let fits = "as many elements as rows × columns";
        if let (Some(all), false) = (self.as_f32(), transposed) {
            let rows = ArrayView2::from_shape((rows, width), &all[first * width..][..rows * width]);
            general_mat_mul(1.0, &x, &rows.expect(fits).t(), 0.0, &mut y);
            return;
        }
        let mut widened = vec![0.0; rows * columns.min(width)];
        let mut few = vec![0.0; if transposed { LANES * columns } else { 0 }];
        for (block, x) in x.axis_chunks_iter(Axis(1), columns).enumerate() {
            let (column, columns) = (block * columns, x.ncols());
            let tile = &mut widened[..rows * columns];
            let widen = |i: usize, out: &mut [f32]| self.widen((first + i) * width + column, out);
            if transposed {
                for i in (0..rows).step_by(LANES) {
                    let lanes = LANES.min(rows - i);
                    for (k, row) in few.chunks_exact_mut(columns).take(lanes).enumerate() {
                        widen(i + k, row);
                    }
                    for (j, out) in tile.chunks_exact_mut(rows).enumerate() {
                        for (k, out) in out[i..i + lanes].iter_mut().enumerate() {
                            *out = few[k * columns + j];
                        }
                    }
                }
                let tile = ArrayView2::from_shape((columns, rows), tile).expect(fits);
                general_mat_mul(1.0, &x, &tile, 1.0, &mut y);
            } else {
                for (i, row) in tile.chunks_exact_mut(columns).enumerate() {
                    widen(i, row);
                }
                let tile = ArrayView2::from_shape((rows, columns), tile).expect(fits);
                general_mat_mul(1.0, &x, &tile.t(), 1.0, &mut y);
            }
        }
    }
}
