//! What the model made of a text: one pass, everything of it that the views ask for.

use crate::{model::Model, session::Wanted};
use baichuan2::{
    attention::{HeadMap, MapError, Pooling, Terms},
    bpe::Kind,
    dtransformer::{self, Config},
    picture::{visible, visible_bytes},
    probe::{Head, LayerSite, Probe, Site, Without},
    rope::score_by_plane,
};
use ndarray::{Array1, Array2, ArrayD, ArrayView2, ArrayViewD, Axis, Ix2, Ix3};
use std::{
    collections::{HashMap, hash_map::Entry},
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use web_time::Instant;

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// One token of the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// Its piece, with what cannot be seen made visible: `▁the`, `\n`, `<0xE5>`.
    pub label: String,
    /// The bytes it stands for.
    pub bytes: Vec<u8>,
}

/// A text and what a model made of it.
pub struct Analysis {
    /// The model.
    pub model: Arc<Model>,
    /// What was asked for.
    pub wanted: Wanted,
    /// The tokens that were looked at.
    pub tokens: Vec<Token>,
    /// Tokens of the text that were left out, after those.
    pub left_out: usize,
    /// How long the pass took.
    pub took: Duration,
    /// Another for each analysis: what was drawn of one is not shown of another.
    pub serial: u64,
    seen: HashMap<Site, ArrayD<f32>>,
    /// Those after the last token; of the others they are made where they are looked at.
    logits: Option<Array1<f32>>,
    /// The likeliest after each position that was looked at.
    likeliest: Mutex<HashMap<usize, Likely>>,
    /// Those that were looked at, with what they keep of each row.
    maps: Mutex<HashMap<Head, OneMap>>,
}

type Likely = Arc<[(u32, f32)]>;
/// Held while it is computed with, beside the window: so each has a lock of its own.
type OneMap = Arc<Mutex<HeadMap<'static, f32>>>;

/// Keeps what the views need, and ends the pass when something newer is wanted.
struct Seen<'a> {
    kept: HashMap<Site, ArrayD<f32>>,
    outdated: &'a dyn Fn() -> bool,
}

impl Probe for Seen<'_> {
    fn wants(&self, site: Site) -> bool {
        match site {
            Site::Embed | Site::FinalNorm => true,
            // A large vocabulary has more numbers a token than all layers: they are made of the last norm where they are looked at.
            Site::Logits => false,
            // Maps are made from queries and keys where they are looked at.
            Site::Layer(_, site) => matches!(
                site,
                LayerSite::WPack
                    | LayerSite::QRot
                    | LayerSite::KRot
                    | LayerSite::AttnConcat
                    | LayerSite::SelfAttn
                    | LayerSite::Mlp
                    | LayerSite::Out
            ),
        }
    }

    fn see(&mut self, site: Site, value: ArrayViewD<f32>) {
        self.kept.insert(site, value.to_owned());
    }

    fn stop(&self) -> bool {
        (self.outdated)()
    }
}

impl Analysis {
    /// Reads the text with the model. `outdated` is asked before every layer whether to stop.
    ///
    /// # Errors
    /// What the decoder does not take, and [`dtransformer::Error::Stopped`]. An empty text is none: its analysis has no tokens.
    pub fn of(
        model: Arc<Model>,
        wanted: Wanted,
        outdated: &dyn Fn() -> bool,
    ) -> Result<Self, dtransformer::Error> {
        let start = Instant::now();
        let mut ids = model.tokenizer.encode(&wanted.text);
        let most = match wanted.most_tokens {
            most if most > Wanted::MOST_TOKENS => most,
            most => most.min(affordable(model.decoder.config())),
        };
        let left_out = ids.len().saturating_sub(most);
        ids.truncate(most);
        let tokens = ids.iter().map(|&id| token(&model, id)).collect();
        let mut seen = Seen {
            kept: HashMap::new(),
            outdated,
        };
        let mut logits = None;
        if !ids.is_empty() {
            let mut cache = model.decoder.new_cache_of(ids.len());
            let config = model.decoder.config();
            let (layers, heads) = (config.num_hidden_layers, config.num_attention_heads);
            // A head that another model had is no head of this one.
            let off = wanted.switched_off.iter().copied();
            let off = off.filter(|head| head.layer < layers && head.head < heads);
            let off = Without::new(off, layers, heads).expect("heads that are there");
            let mut without = off.then(&mut seen);
            let last = model
                .decoder
                .forward_last(&ids, &mut cache, Some(&mut without))?;
            logits = Some(last);
        }
        Ok(Analysis {
            tokens,
            left_out,
            took: start.elapsed(),
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            seen: seen.kept,
            logits,
            likeliest: Mutex::default(),
            maps: Mutex::default(),
            model,
            wanted,
        })
    }

    /// Layers of the model.
    pub fn layers(&self) -> usize {
        self.model.decoder.config().num_hidden_layers
    }

    /// Query heads of each layer.
    pub fn heads(&self) -> usize {
        self.model.decoder.config().num_attention_heads
    }

    /// What was seen at a place of the pass; nothing of an empty text.
    pub fn get(&self, site: Site) -> Option<&ArrayD<f32>> {
        self.seen.get(&site)
    }

    /// What was seen at a place whose values are rows, one a token.
    pub fn rows(&self, site: Site) -> Option<ArrayView2<'_, f32>> {
        self.get(site)?.view().into_dimensionality::<Ix2>().ok()
    }

    /// The queries of a head as they met the keys, `[tokens, head_dim]`.
    pub fn queries(&self, layer: usize, head: usize) -> Option<ArrayView2<'_, f32>> {
        self.of_head(Site::Layer(layer, LayerSite::QRot), head)
    }

    /// The keys that a query head meets, `[tokens, head_dim]`: those of its group.
    pub fn keys(&self, layer: usize, head: usize) -> Option<ArrayView2<'_, f32>> {
        self.of_head(Site::Layer(layer, LayerSite::KRot), head / self.group())
    }

    /// The queries of a head before any rotation, `[tokens, head_dim]`.
    pub fn unrotated_queries(&self, layer: usize, head: usize) -> Option<ArrayView2<'_, f32>> {
        self.packed(layer, head)
    }

    /// The keys that a query head meets, before any rotation, `[tokens, head_dim]`.
    pub fn unrotated_keys(&self, layer: usize, head: usize) -> Option<ArrayView2<'_, f32>> {
        self.packed(layer, self.heads() + head / self.group())
    }

    /// The values that a query head gathers, `[tokens, head_dim]`.
    pub fn values(&self, layer: usize, head: usize) -> Option<ArrayView2<'_, f32>> {
        let key_heads = self.heads() / self.group();
        self.packed(layer, self.heads() + key_heads + head / self.group())
    }

    /// Part `i` of what stands side by side: queries, keys, values, each head by head.
    fn packed(&self, layer: usize, i: usize) -> Option<ArrayView2<'_, f32>> {
        let all = self.rows(Site::Layer(layer, LayerSite::WPack))?;
        let width = self.model.decoder.config().head_dim;
        let columns = i * width..(i + 1) * width;
        (columns.end <= all.ncols()).then(|| all.slice_move(ndarray::s![.., columns]))
    }

    /// A rectangle of a head's map in at most so many cells, NaN where hidden: see [`HeadMap::weights`].
    ///
    /// # Errors
    /// Rows or columns that are not there, weights that are not finite.
    pub fn weights(
        &self,
        head: Head,
        queries: Range<usize>,
        keys: Range<usize>,
        size: [usize; 2],
        pooling: Pooling,
    ) -> Result<Array2<f32>, MapError> {
        self.map(head, |map| map.weights(queries, keys, size, pooling))
    }

    /// One weight, taken apart: see [`HeadMap::terms`]. It is made of its row alone, and waits for no map that is under way.
    ///
    /// # Errors
    /// As [`weights`](Self::weights).
    pub fn terms(&self, head: Head, query: usize, key: usize) -> Result<Terms<f32>, MapError> {
        let queries = self.queries(head.layer, head.head);
        let row = queries.filter(|queries| query < queries.nrows());
        let (Some(row), Some(keys)) = (row, self.keys(head.layer, head.head)) else {
            return self.map(head, |map| map.terms(query, key));
        };
        let bias = self.model.decoder.config().bias(head.head, query);
        let row = row.slice_move(ndarray::s![query..query + 1, ..]);
        HeadMap::new(row, keys, bias)?.terms(0, key)
    }

    /// What each plane of RoPE adds to q·k; nothing of a model with ALiBi.
    pub fn planes(&self, head: Head, query: usize, key: usize) -> Option<Vec<f64>> {
        let dtransformer::Position::Rope { base } = self.model.decoder.config().position else {
            return None;
        };
        let q = self.unrotated_queries(head.layer, head.head)?;
        let k = self.unrotated_keys(head.layer, head.head)?;
        if query >= q.nrows() || key >= k.nrows() {
            return None;
        }
        let distance = query as f64 - key as f64;
        Some(score_by_plane(q.row(query), k.row(key), distance, base).to_vec())
    }

    /// A head's whole map, small: as [`weights`](Self::weights), but nothing of it is kept, for those that are many.
    ///
    /// # Errors
    /// As [`weights`](Self::weights).
    pub fn thumbnail(&self, head: Head, size: [usize; 2]) -> Result<Array2<f32>, MapError> {
        let n = self.tokens.len();
        let seen = self
            .queries(head.layer, head.head)
            .zip(self.keys(head.layer, head.head));
        let Some((queries, keys)) = seen else {
            return self.weights(head, 0..n, 0..n, size, Pooling::Max);
        };
        HeadMap::new(
            queries,
            keys,
            self.model.decoder.config().bias(head.head, 0),
        )?
        .weights(0..n, 0..n, size, Pooling::Max)
    }

    fn map<T>(
        &self,
        head: Head,
        look: impl FnOnce(&mut HeadMap<'static, f32>) -> Result<T, MapError>,
    ) -> Result<T, MapError> {
        let mut maps = lock(&self.maps);
        let map = match maps.entry(head) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let none = || Array2::zeros((0, 0));
                let owned =
                    |rows: Option<ArrayView2<f32>>| rows.map_or_else(none, |rows| rows.to_owned());
                let queries = owned(self.queries(head.layer, head.head));
                let keys = owned(self.keys(head.layer, head.head));
                // Of a head that is not there, an empty map says so.
                let of = head.head.min(self.heads() - 1);
                let bias = self.model.decoder.config().bias(of, 0);
                let map = HeadMap::new(queries, keys, bias)?;
                new.insert(Arc::new(Mutex::new(map)))
            }
        };
        let map = map.clone();
        drop(maps);
        look(&mut lock(&map))
    }

    /// Query heads to one key head.
    pub fn group(&self) -> usize {
        let config = self.model.decoder.config();
        config.num_attention_heads / config.num_key_value_heads
    }

    fn of_head(&self, site: Site, head: usize) -> Option<ArrayView2<'_, f32>> {
        let all = self.get(site)?.view().into_dimensionality::<Ix3>().ok()?;
        (head < all.len_of(Axis(0))).then(|| all.index_axis_move(Axis(0), head))
    }

    /// The logits after token `position`, `[vocab]`; nothing of a position that is not there, nor of weights that are no longer those that were read.
    pub fn logits(&self, position: usize) -> Option<Array1<f32>> {
        if position + 1 == self.tokens.len() {
            return self.logits.clone();
        }
        let stream = self.rows(Site::FinalNorm)?;
        let row = (position < stream.nrows()).then(|| stream.row(position))?;
        let unembedding = self.model.weights()?.unembedding();
        let logits = unembedding.logits(row.insert_axis(Axis(0)));
        Some(logits.index_axis_move(Axis(0), 0))
    }

    /// The probabilities after token `position`, likeliest first, at most `n` of them.
    pub fn next(&self, position: usize, n: usize) -> Vec<(u32, f32)> {
        /// As many as are shown anywhere.
        const KEPT: usize = 32;
        let made = |n| {
            let logits = self.logits(position);
            logits.map_or_else(Vec::new, |logits| {
                likeliest(logits.insert_axis(Axis(0)).view(), 0, n)
            })
        };
        if n > KEPT {
            return made(n);
        }
        let mut known = lock(&self.likeliest);
        let kept = known.entry(position).or_insert_with(|| made(KEPT).into());
        kept[..n.min(kept.len())].to_vec()
    }

    /// What the pieces of a text look like, as labels.
    pub fn labels(&self) -> Vec<String> {
        self.tokens
            .iter()
            .map(|token| token.label.clone())
            .collect()
    }

    /// The label of any id of the vocabulary.
    pub fn label_of(&self, id: u32) -> String {
        token(&self.model, id).label
    }
}

/// The `n` likeliest ids of row `position` of `logits`, with their probabilities.
pub fn likeliest(logits: ArrayView2<f32>, position: usize, n: usize) -> Vec<(u32, f32)> {
    if position >= logits.nrows() {
        return Vec::new();
    }
    let row = logits.row(position).insert_axis(Axis(0));
    let probabilities: Array2<f32> = baichuan2::tensor::softmax(row);
    let mut ranked: Vec<(u32, f32)> = (0..).zip(probabilities.iter().copied()).collect();
    let by_probability = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    // Of a large vocabulary a few are wanted: only those are put in order.
    if n < ranked.len() {
        ranked.select_nth_unstable_by(n, by_probability);
        ranked.truncate(n);
    }
    ranked.sort_unstable_by(by_probability);
    ranked
}

/// Tokens of which what the views need is kept without being asked for more: of a small model any that are wanted, of 7B about 400.
fn affordable(config: &Config) -> usize {
    const BYTES: usize = 2 << 30;
    let heads = config.num_attention_heads + config.num_key_value_heads;
    let packed = heads + config.num_key_value_heads;
    // What `Seen` keeps of a layer: W_pack, rotated queries and keys, the heads' outputs, and what is of the stream's width.
    let in_layer =
        (packed + heads + config.num_attention_heads) * config.head_dim + 3 * config.hidden_size;
    let numbers = in_layer * config.num_hidden_layers + 2 * config.hidden_size;
    (BYTES / (numbers * size_of::<f32>()).max(1)).max(16)
}

/// What a thread that panicked left behind is whole: it is written in one piece.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stands for an id of the vocabulary.
pub fn token(model: &Model, id: u32) -> Token {
    let bytes = model.tokenizer.piece_bytes(id).unwrap_or_default();
    let label = match model.tokenizer.piece(id) {
        Err(_) => format!("#{id}"),
        // A vocabulary of bytes writes its pieces in letters that stand for bytes.
        Ok(piece) if piece.kind == Kind::Normal => visible_bytes(&bytes),
        Ok(piece) => visible(piece.text),
    };
    Token { id, label, bytes }
}
