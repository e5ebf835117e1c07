//! # Find the induction head
//!
//! A small model that has read enough text learns to copy: after `moon fish tree | moon fish` it says `tree`. One kind of head makes it
//! so. It looks for the earlier places of the token that it stands on, and at what followed there.
//!
//! ```text
//! position   0    1    2    3   4    5
//! token      moon fish tree |   moon fish
//!                      ↑              └ fish stood at 1 before, and what followed is at 2
//! ```
//!
//! You are given attention maps, made by somebody's model: row i of a map says how the query at i shares its attention, one in all, among
//! the keys 0 … i. And the tokens. Say which head it is, or that there is none.
//!
//! * The *targets* of a query i are the places that followed an earlier occurrence of its token: every j with 1 ≤ j < i whose token
//!   before it, at j − 1, is the token at i. (Not i itself: a head that looks where it stands has found nothing.)
//! * The *score* of a head is the weight that a query has on all of its targets together, as a mean over the queries that have a target.
//! * A head that knows nothing gets some of that too. Its score *by chance* is that of a head which shares its attention equally among
//!   all it sees.
//! * The induction head is the one with the highest score, if that is at least twice the score by chance. If not, there is none.

use ndarray::{ArrayView2, ArrayView4};

/// A head, by its layer and its place there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// The layer, from 0.
    pub layer: usize,
    /// The head, from 0.
    pub head: usize,
}

/// The score of one head, whose weights are `map: [tokens, tokens]`, `[query, key]`. `None` where no query has a target.
pub fn score(map: ArrayView2<f64>, tokens: &[u32]) -> Option<f64> {
    todo!("score")
}

/// The score of a head that shares its attention equally among all it sees.
pub fn by_chance(tokens: &[u32]) -> Option<f64> {
    todo!("by_chance")
}

/// The induction head of a model, whose maps are `[layers, heads, tokens, tokens]`, if it has one.
pub fn find(maps: ArrayView4<f64>, tokens: &[u32]) -> Option<Head> {
    todo!("find")
}
