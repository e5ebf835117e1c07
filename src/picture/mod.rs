//! Pictures of attention weights: which token looked at which, and how much.
//!
//! A map of weights is `[queries, keys]`, every row a distribution. On the way to a picture it becomes *shades*, an array of the same
//! shape: from 0 to 1 where something is seen, NaN where the mask hides the key. Hidden is not the same as unseen, and is drawn as
//! background:
//!
//! ```
//! use baichuan2::picture::{Colors, Scale, hide_future, normalize, pool_max};
//! use ndarray::array;
//! let weights = array![[1.0, 0.0], [0.2, 0.8]];
//! let shades = normalize(hide_future(weights.view()).view(), Scale::Row);
//! assert_eq!(shades.row(1), array![0.25, 1.0]);
//! assert!(shades[[0, 1]].is_nan());
//! assert_eq!(Colors::Viridis.rgb(shades[[0, 1]]), None);
//! assert_eq!(pool_max(shades.view(), 1, 2), array![[1.0, 1.0]]);
//! ```
//!
//! These are plain functions and need no files. The writers of [`png()`], [`svg()`] and [`terminal()`] pictures of a [`Figure`] come with
//! the feature `cli`.

mod colors;
mod facts;
mod figure;
mod scale;

pub use colors::Colors;
pub use facts::Facts;
pub use figure::{Figure, Panel, visible, visible_bytes};
pub use scale::{Scale, hide_first, hide_future, normalize, pool_max};

#[cfg(feature = "cli")]
mod png;
#[cfg(feature = "cli")]
mod svg;
#[cfg(feature = "cli")]
mod terminal;

#[cfg(feature = "cli")]
pub use self::{
    png::png,
    svg::svg,
    terminal::{Ink, terminal},
};

#[cfg(all(test, feature = "cli"))]
mod testing;
