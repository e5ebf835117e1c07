//! The key/value cache: what earlier tokens left behind for later ones.
//!
//! A key and a value never change once made, because a token sees only what stands before it. Keeping them makes the cost of one more token
//! that of one token, not of the whole text again. Page: *Grouped-Query Attention*, step 5.

use ndarray::{Array3, ArrayView2, ArrayView3, NdFloat, s};

/// The keys and values of one layer.
///
/// ```
/// use baichuan2::attention::LayerCache;
/// use ndarray::array;
/// let mut cache = LayerCache::new(1, 2);
/// cache.append(array![[[1.0, 2.0]]].view(), array![[[3.0, 4.0]]].view());
/// cache.append(array![[[5.0, 6.0]]].view(), array![[[7.0, 8.0]]].view());
/// assert_eq!(cache.keys(0), array![[1.0, 2.0], [5.0, 6.0]]);
/// ```
#[derive(Clone, Debug)]
pub struct LayerCache<A> {
    /// `[kv_heads, capacity, head_dim]`; room behind `len` is spare.
    keys: Array3<A>,
    values: Array3<A>,
    len: usize,
}

impl<A: NdFloat> LayerCache<A> {
    /// An empty cache.
    pub fn new(kv_heads: usize, head_dim: usize) -> Self {
        let empty = || Array3::zeros((kv_heads, 0, head_dim));
        LayerCache {
            keys: empty(),
            values: empty(),
            len: 0,
        }
    }

    /// Tokens it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds the keys and values of more tokens, both `[kv_heads, tokens, head_dim]`.
    ///
    /// # Panics
    /// Where heads or widths differ from the cache's.
    pub fn append(&mut self, keys: ArrayView3<A>, values: ArrayView3<A>) {
        let end = self.len + keys.dim().1;
        self.reserve(end);
        self.keys.slice_mut(s![.., self.len..end, ..]).assign(&keys);
        self.values
            .slice_mut(s![.., self.len..end, ..])
            .assign(&values);
        self.len = end;
    }

    /// The keys of one head, `[tokens, head_dim]`, turned already where positions are rotated.
    pub fn keys(&self, kv_head: usize) -> ArrayView2<'_, A> {
        self.keys.slice(s![kv_head, ..self.len, ..])
    }

    /// The values of one head, `[tokens, head_dim]`.
    pub fn values(&self, kv_head: usize) -> ArrayView2<'_, A> {
        self.values.slice(s![kv_head, ..self.len, ..])
    }

    /// Forgets all but the first `tokens`.
    pub fn truncate(&mut self, tokens: usize) {
        self.len = self.len.min(tokens);
    }

    /// Makes room, by half as much again at the least, so that growing token by token costs a constant per token.
    fn reserve(&mut self, tokens: usize) {
        let (heads, capacity, width) = self.keys.dim();
        if tokens <= capacity {
            return;
        }
        let capacity = tokens.max(capacity + capacity / 2).next_multiple_of(16);
        for stored in [&mut self.keys, &mut self.values] {
            let mut larger = Array3::zeros((heads, capacity, width));
            larger
                .slice_mut(s![.., ..self.len, ..])
                .assign(&stored.slice(s![.., ..self.len, ..]));
            *stored = larger;
        }
    }
}

/// The keys and values of all layers, and how many tokens they may become.
#[derive(Clone, Debug)]
pub struct KeyValueCache<A> {
    /// One cache a layer.
    pub layers: Vec<LayerCache<A>>,
    /// Tokens that may be held: the context of the model, unless one knows better.
    pub limit: usize,
}

impl<A: NdFloat> KeyValueCache<A> {
    /// An empty cache for `layers` layers.
    pub fn new(layers: usize, kv_heads: usize, head_dim: usize, limit: usize) -> Self {
        KeyValueCache {
            layers: vec![LayerCache::new(kv_heads, head_dim); layers],
            limit,
        }
    }

    /// Tokens it holds.
    pub fn len(&self) -> usize {
        self.layers.first().map_or(0, LayerCache::len)
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all but the first `tokens`, in every layer: to go on from an earlier point of the text.
    pub fn truncate(&mut self, tokens: usize) {
        self.layers
            .iter_mut()
            .for_each(|layer| layer.truncate(tokens));
    }
}
