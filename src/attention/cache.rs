//! The key/value cache: what earlier tokens left behind for later ones.
//!
//! A key and a value never change once made, because a token sees only what stands before it. Keeping them makes the cost of one more token
//! that of one token, not of the whole text again. Page: *Grouped-Query Attention*, step 5.
//!
//! A long text's cache is as large as a model: 2 · layers · kv_heads · head_dim numbers a token, 1 MiB of f32 in the 7B. Kept in f16 it takes
//! half ([`CacheFormat`]), and attention widens a block of it at a time ([`Rows`]).

use half::{
    f16,
    slice::{HalfBitsSliceExt, HalfFloatSliceExt},
};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayViewMut3, CowArray, Ix2, NdFloat, s};
use num_traits::Zero;
use std::ops::Range;
use thiserror::Error;

/// How a cache keeps its numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CacheFormat {
    /// In the float of the pass, which is f32 where a checkpoint runs.
    #[default]
    Full,
    /// Rounded to f16: by at most 2⁻¹¹ of a number, in half the memory of f32. What is beyond its largest number is an error.
    F16,
}

/// A number that a cache in f16 cannot keep.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error(
    "a key or value of token {token} is {value:e}, and a cache in f16 keeps no number beyond 65,504"
)]
pub struct CacheOverflow {
    /// The token's position, counted from the start of the text.
    pub token: usize,
    /// The number.
    pub value: f32,
}

/// The keys and values of one layer.
///
/// ```
/// use baichuan2::attention::LayerCache;
/// use ndarray::array;
/// let mut cache = LayerCache::new(1, 2);
/// cache.append(array![[[1.0, 2.0]]].view(), array![[[3.0, 4.0]]].view())?;
/// cache.append(array![[[5.0, 6.0]]].view(), array![[[7.0, 8.0]]].view())?;
/// assert_eq!(cache.keys(0), array![[1.0, 2.0], [5.0, 6.0]]);
/// # Ok::<(), baichuan2::attention::CacheOverflow>(())
/// ```
#[derive(Clone, Debug)]
pub struct LayerCache<A> {
    keys: Kept<A>,
    values: Kept<A>,
    len: usize,
}

/// `[kv_heads, capacity, head_dim]`; room behind the cache's `len` is spare, and takes no memory before it is written.
#[derive(Clone, Debug)]
enum Kept<A> {
    Full(Array3<A>),
    /// The bits of each f16: zeros of whole numbers come from the system, unwritten.
    F16(Array3<u16>),
}

impl<A: NdFloat> LayerCache<A> {
    /// An empty cache, in full.
    pub fn new(kv_heads: usize, head_dim: usize) -> Self {
        LayerCache::new_in(CacheFormat::Full, kv_heads, head_dim, 0)
    }

    /// An empty cache with room for so many tokens, which grows where there are more.
    pub fn new_in(format: CacheFormat, kv_heads: usize, head_dim: usize, tokens: usize) -> Self {
        let shape = (kv_heads, tokens, head_dim);
        let empty = || match format {
            CacheFormat::Full => Kept::Full(Array3::zeros(shape)),
            CacheFormat::F16 => Kept::F16(Array3::zeros(shape)),
        };
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

    /// Bytes of the keys and values that it holds.
    pub fn byte_len(&self) -> usize {
        let of = |kept: &Kept<A>| {
            let ((heads, _, width), bytes) = match kept {
                Kept::Full(all) => (all.dim(), size_of::<A>()),
                Kept::F16(all) => (all.dim(), size_of::<f16>()),
            };
            heads * self.len * width * bytes
        };
        of(&self.keys) + of(&self.values)
    }

    /// Adds the keys and values of more tokens, both `[kv_heads, tokens, head_dim]`.
    ///
    /// # Errors
    /// A finite number beyond what the cache's format holds. The cache is then as before. Infinity and NaN are kept as they are.
    ///
    /// # Panics
    /// Where heads or widths differ from the cache's.
    pub fn append(
        &mut self,
        keys: ArrayView3<A>,
        values: ArrayView3<A>,
    ) -> Result<(), CacheOverflow> {
        self.keys.append(self.len, keys)?;
        self.values.append(self.len, values)?;
        self.len += keys.dim().1;
        Ok(())
    }

    /// The keys of one head, `[tokens, head_dim]`, turned already where positions are rotated: borrowed, or a copy that is widened.
    pub fn keys(&self, kv_head: usize) -> CowArray<'_, A, Ix2> {
        self.key_rows(kv_head).widened()
    }

    /// The values of one head, `[tokens, head_dim]`: borrowed, or a copy that is widened.
    pub fn values(&self, kv_head: usize) -> CowArray<'_, A, Ix2> {
        self.value_rows(kv_head).widened()
    }

    /// The keys of one head as they are kept.
    pub fn key_rows(&self, kv_head: usize) -> Rows<'_, A> {
        self.keys.rows(kv_head, self.len)
    }

    /// The values of one head as they are kept.
    pub fn value_rows(&self, kv_head: usize) -> Rows<'_, A> {
        self.values.rows(kv_head, self.len)
    }

    /// Forgets all but the first `tokens`.
    pub fn truncate(&mut self, tokens: usize) {
        self.len = self.len.min(tokens);
    }
}

impl<A: NdFloat> Kept<A> {
    /// Puts `new: [kv_heads, tokens, head_dim]` behind the first `len` tokens.
    fn append(&mut self, len: usize, new: ArrayView3<A>) -> Result<(), CacheOverflow> {
        match self {
            Kept::Full(all) => room_for(all, len, new.dim().1).assign(&new),
            Kept::F16(all) => {
                let mut room = room_for(all, len, new.dim().1);
                for ((head, token, i), &x) in new.indexed_iter() {
                    let value = x.to_f32().expect("a float fits a float");
                    let rounded = f16::from_f32(value);
                    if rounded.is_infinite() && x.is_finite() {
                        let token = len + token;
                        return Err(CacheOverflow { token, value });
                    }
                    room[[head, token, i]] = rounded.to_bits();
                }
            }
        }
        Ok(())
    }

    fn rows(&self, kv_head: usize, len: usize) -> Rows<'_, A> {
        match self {
            Kept::Full(all) => Rows(Format::Full(all.slice(s![kv_head, ..len, ..]))),
            Kept::F16(all) => Rows(Format::F16(all.slice(s![kv_head, ..len, ..]))),
        }
    }
}

/// The place of `tokens` behind the first `len`. Where `kept` is too small it grows by half as much again at the least, so that growing token by
/// token costs a constant per token.
fn room_for<T: Clone + Zero>(
    kept: &mut Array3<T>,
    len: usize,
    tokens: usize,
) -> ArrayViewMut3<'_, T> {
    let (heads, capacity, width) = kept.dim();
    let end = len + tokens;
    if end > capacity {
        let capacity = end.max(capacity + capacity / 2).next_multiple_of(16);
        let mut larger = Array3::zeros((heads, capacity, width));
        let held = s![.., ..len, ..];
        larger.slice_mut(held).assign(&kept.slice(held));
        *kept = larger;
    }
    kept.slice_mut(s![.., len..end, ..])
}

/// The keys or values of one head, `[tokens, width]`, as they are kept: what attention reads a block at a time.
///
/// Any view is such rows: `x.view().into()`.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, A>(Format<'a, A>);

#[derive(Clone, Copy, Debug)]
enum Format<'a, A> {
    Full(ArrayView2<'a, A>),
    /// Bits, without gaps.
    F16(ArrayView2<'a, u16>),
}

impl<'a, A> From<ArrayView2<'a, A>> for Rows<'a, A> {
    fn from(rows: ArrayView2<'a, A>) -> Self {
        Rows(Format::Full(rows))
    }
}

impl<'a, A: NdFloat> Rows<'a, A> {
    /// `[tokens, width]`.
    pub fn dim(&self) -> (usize, usize) {
        match self.0 {
            Format::Full(rows) => rows.dim(),
            Format::F16(rows) => rows.dim(),
        }
    }

    /// Some of them: as they lie, or widened into `buffer`, which grows to the largest block that was asked for.
    pub(super) fn block<'b>(&self, rows: Range<usize>, buffer: &'b mut Vec<A>) -> ArrayView2<'b, A>
    where
        'a: 'b,
    {
        match self.0 {
            Format::Full(all) => all.slice_move(s![rows, ..]),
            Format::F16(all) => {
                let all = all.slice_move(s![rows, ..]);
                buffer.resize(buffer.len().max(all.len()), A::zero());
                let widened = &mut buffer[..all.len()];
                widen(all.as_slice().expect("rows without gaps"), widened);
                ArrayView2::from_shape(all.dim(), widened).expect("as many numbers")
            }
        }
    }

    /// All of them, in full.
    fn widened(self) -> CowArray<'a, A, Ix2> {
        match self.0 {
            Format::Full(rows) => rows.into(),
            Format::F16(rows) => {
                let mut widened = Array2::zeros(rows.dim());
                let out = widened.as_slice_mut().expect("a new array has no gaps");
                widen(rows.as_slice().expect("rows without gaps"), out);
                widened.into()
            }
        }
    }
}

/// By the instruction that processors have for it, which gives f32.
fn widen<A: NdFloat>(halves: &[u16], out: &mut [A]) {
    let halves: &[f16] = halves.reinterpret_cast();
    let mut floats = [0.0; 64];
    for (halves, out) in halves.chunks(64).zip(out.chunks_mut(64)) {
        let floats = &mut floats[..halves.len()];
        halves.convert_to_f32_slice(floats);
        for (out, &x) in out.iter_mut().zip(&*floats) {
            *out = A::from(x).expect("a float fits a float");
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

/// Tokens for which there is room from the beginning. Caches that grow leave holes where they were, which together are as large as a cache.
const ROOM: usize = 4096;

impl<A: NdFloat> KeyValueCache<A> {
    /// An empty cache for `layers` layers.
    pub fn new(
        format: CacheFormat,
        layers: usize,
        kv_heads: usize,
        head_dim: usize,
        limit: usize,
    ) -> Self {
        let empty = |_| LayerCache::new_in(format, kv_heads, head_dim, limit.min(ROOM));
        KeyValueCache {
            layers: (0..layers).map(empty).collect(), // a clone would write what is spare
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

    /// Bytes of the keys and values that it holds.
    pub fn byte_len(&self) -> usize {
        self.layers.iter().map(LayerCache::byte_len).sum()
    }

    /// Forgets all but the first `tokens`, in every layer: to go on from an earlier point of the text.
    pub fn truncate(&mut self, tokens: usize) {
        self.layers
            .iter_mut()
            .for_each(|layer| layer.truncate(tokens));
    }
}
