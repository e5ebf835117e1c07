//! What every algorithm stands on: [`softmax`], linear maps over dense or stored weights, and shape errors.
//!
//! # Tokens are rows
//!
//! The page writes a sequence as the columns of a $d \times \ell$ matrix. Here it is stored $\ell \times d$, row-major, so that the
//! page's $W X$ is [`LinearMap::apply`], $X W^\top$, with $W$ stored `[out, in]` as every checkpoint stores it.

pub mod blas;
mod exp;
mod linear;
pub mod machine;
mod one_row;
mod principal_components;
mod quantized;
mod shape;
mod softmax;
mod stored;
pub(crate) mod threads;

pub(crate) use exp::{exp_in_place, weigh};
pub use linear::LinearMap;
pub use principal_components::{PrincipalComponents, PrincipalComponentsError};
pub use quantized::GROUP;
pub use shape::{ShapeError, expect_shape};
pub(crate) use softmax::largest;
pub use softmax::{softmax, softmax_formal, softmax_in_place};
pub use stored::{Dtype, StoredError, StoredTensor};
