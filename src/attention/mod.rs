//! Attention: each token gathers from the tokens it may see, by how well their keys fit its query.
//!
//! | the page | here | shipped |
//! |---|---|---|
//! | *Attention* | [`single_head`]: [`attention_formal`] | [`attend`], one head of projected queries, keys and values |
//! | *Multi-head Attention* | [`multi_head`]: [`multi_head_attention_formal`] | [`GroupedQueryAttention`] with as many key/value heads as heads |
//! | *Grouped-Query Attention* | [`grouped_query`]: [`grouped_query_attention_formal`] | [`GroupedQueryAttention`] with a [`LayerCache`] |
//! | *memory efficient attention* | [`memory_efficient`]: [`attend_in_blocks`] | the same, for every pass that nobody watches |
//!
//! What is hidden and what is added to a score stands in [`Bias`] ([`mask`]). To look at: [`map`] makes any part of a head's map at any size, and
//! [`aggregate`] draws the maps of heads and layers together.

pub mod aggregate;
pub mod cache;
pub mod grouped_query;
pub mod map;
pub mod mask;
pub mod memory_efficient;
pub mod multi_head;
pub mod single_head;

pub use aggregate::{Rollout, max_over_heads, mean_over_heads};
pub use cache::{CacheFormat, CacheOverflow, KeyValueCache, LayerCache, Rows};
pub use grouped_query::{
    GroupedQueryAttention, GroupedQueryParameters, Projection, grouped_query_attention_formal,
};
pub use map::{HeadMap, MapError, Pooling, Terms};
pub use mask::{Bias, Visibility, causal_mask};
pub use memory_efficient::{Running, attend_in_blocks, fade};
pub use multi_head::{MultiHeadParameters, multi_head_attention_formal};
pub use single_head::{AttentionParameters, Head, attend, attention_formal};

#[cfg(test)]
mod tests;
