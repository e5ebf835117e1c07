//! What can be said of an intermediate in one line.

use ndarray::ArrayViewD;

/// The size and the spread of an array's numbers, summed in f64.
///
/// ```
/// use baichuan2::probe::Summary;
/// let s = Summary::of(ndarray::array![3.0, -4.0, f32::NAN].into_dyn().view());
/// assert_eq!((s.min, s.max, s.mean, s.norm), (-4.0, 3.0, -0.5, 5.0));
/// assert_eq!((s.nan, s.infinite), (1, 0));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The shape of the array.
    pub shape: Vec<usize>,
    /// The least finite number; NaN if there is none.
    pub min: f32,
    /// The largest finite number; NaN if there is none.
    pub max: f32,
    /// The mean of the finite numbers; NaN if there is none.
    pub mean: f64,
    /// $\sqrt{\sum x^2}$ over the finite numbers.
    pub norm: f64,
    /// How many are NaN.
    pub nan: usize,
    /// How many are infinite.
    pub infinite: usize,
}

impl Summary {
    /// The summary of `values`, of any shape.
    pub fn of(values: ArrayViewD<f32>) -> Self {
        let mut s = Summary {
            shape: values.shape().to_vec(),
            min: f32::NAN,
            max: f32::NAN,
            mean: 0.0,
            norm: 0.0,
            nan: 0,
            infinite: 0,
        };
        for &x in &values {
            if x.is_finite() {
                s.min = s.min.min(x); // f32::min passes NaN over
                s.max = s.max.max(x);
                s.mean += f64::from(x);
                s.norm += f64::from(x).powi(2);
            } else if x.is_nan() {
                s.nan += 1;
            } else {
                s.infinite += 1;
            }
        }
        s.mean /= (values.len() - s.nan - s.infinite) as f64;
        s.norm = s.norm.sqrt();
        s
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        self.nan + self.infinite == 0
    }
}
