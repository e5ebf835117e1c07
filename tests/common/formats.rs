//! Decoders whose matrices are rounded to one number format, whatever the format of their checkpoint and the width of their rows.

use baichuan2::{
    checkpoint::{Checkpoint, Error},
    dtransformer::{DTransformer, Parameter, ParameterSource},
    tensor::{Dtype, GROUP, LinearMap, StoredTensor},
};
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, s};

/// Every format in which a matrix can be stored.
pub const ALL: [Dtype; 5] = [
    Dtype::F32,
    Dtype::F16,
    Dtype::BF16,
    Dtype::Int8,
    Dtype::Int4,
];

/// The decoder of `checkpoint`, its matrices rounded to `dtype`.
pub fn rounded(checkpoint: &Checkpoint, dtype: Dtype) -> DTransformer<f32, Padded> {
    let mut source = Rounded { checkpoint, dtype };
    DTransformer::new(checkpoint.config.clone(), &mut source).unwrap()
}

/// A stored matrix whose rows are filled up with zeros to whole groups, where its format has groups: that changes no product.
#[derive(Clone, Debug)]
pub struct Padded {
    stored: StoredTensor,
    width: usize,
}

impl Padded {
    fn new(matrix: ArrayView2<f32>, dtype: Dtype) -> Self {
        let (rows, width) = matrix.dim();
        let padding = match dtype.has_scales() {
            true => width.next_multiple_of(GROUP),
            false => width,
        };
        let mut padded = Array2::zeros((rows, padding));
        padded.slice_mut(s![.., ..width]).assign(&matrix);
        Padded {
            stored: StoredTensor::rounded(padded.into_dyn(), dtype),
            width,
        }
    }
}

impl LinearMap<f32> for Padded {
    fn out_in(&self) -> [usize; 2] {
        [self.stored.out_in()[0], self.width]
    }

    fn apply(&self, x: ArrayView2<f32>) -> Array2<f32> {
        let mut padded = Array2::zeros((x.nrows(), self.stored.out_in()[1]));
        padded.slice_mut(s![.., ..self.width]).assign(&x);
        self.stored.apply(padded.view())
    }

    fn copy_row(&self, i: usize, mut out: ArrayViewMut1<f32>) {
        let mut row = Array1::zeros(self.stored.out_in()[1]);
        self.stored.copy_row(i, row.view_mut());
        out.assign(&row.slice(s![..self.width]));
    }

    fn row_norms(&self) -> Array1<f32> {
        self.stored.row_norms()
    }
}

/// Gives the parameters of a checkpoint, matrices rounded.
struct Rounded<'a> {
    checkpoint: &'a Checkpoint,
    dtype: Dtype,
}

impl ParameterSource<f32> for Rounded<'_> {
    type Matrix = Padded;
    type Error = Error;

    fn matrix(&mut self, parameter: &Parameter) -> Result<Padded, Error> {
        let stored = (&mut &*self.checkpoint).matrix(parameter)?;
        let matrix = stored.to_matrix(&parameter.name).unwrap();
        Ok(Padded::new(matrix.view(), self.dtype))
    }

    fn vector(&mut self, parameter: &Parameter) -> Result<Array1<f32>, Error> {
        (&mut &*self.checkpoint).vector(parameter)
    }
}

/// The decoder of `checkpoint` in f32, its matrices the numbers that are left of them in `dtype`.
#[allow(dead_code, reason = "not every test needs it")]
pub fn widened(checkpoint: &Checkpoint, dtype: Dtype) -> DTransformer<f32, Array2<f32>> {
    struct Widened<'a>(Rounded<'a>);
    impl ParameterSource<f32> for Widened<'_> {
        type Matrix = Array2<f32>;
        type Error = Error;

        fn matrix(&mut self, parameter: &Parameter) -> Result<Array2<f32>, Error> {
            let rounded = self.0.matrix(parameter)?;
            let mut matrix = Array2::zeros(rounded.out_in());
            for (i, row) in matrix.rows_mut().into_iter().enumerate() {
                rounded.copy_row(i, row);
            }
            Ok(matrix)
        }

        fn vector(&mut self, parameter: &Parameter) -> Result<Array1<f32>, Error> {
            self.0.vector(parameter)
        }
    }
    let mut source = Widened(Rounded { checkpoint, dtype });
    DTransformer::new(checkpoint.config.clone(), &mut source).unwrap()
}
