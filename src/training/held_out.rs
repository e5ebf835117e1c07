//! The loss on text that was held out: document by document beside what the text itself costs, and position by position beyond the trained length.
//!
//! $$ L = -\frac{1}{n} \sum_{t=1}^{n} \ln p(x_t \mid x_{<t}) $$
//!
//! in nats a token. $L \sum_d n_d / (c \ln 2)$ is the same in bits a character, over $c$ characters, and $e^L$ the perplexity.
//!
//! # What a document is read after
//!
//! Alone, after the `</s>` that ends another document, and its own `</s>` is predicted too. A document of the [`corpus`](super::corpus) tells nothing of
//! the next, so that what stands before it can only confuse; and in windows of packed text, as training reads them, most documents are cut, and what is
//! asked is then no longer what [`Document::bits`](super::corpus::Document::bits) counts: the kind of a document, all its choices, and where it ends.
//! ([`evaluate`](super::evaluate) reads such windows: it is for the curve of a run, where only the difference counts.)
//!
//! # What it can be held against
//!
//! `bits` is the code length of a reader who knows how documents are made, and that they are held out. Nobody reads better on average, except where
//! `bits` is only a bound (it says where). No training text tells which items are held out: a reader who knows all but that pays
//! [`split_bits`](super::corpus::Document::split_bits) more, and that is what a model can come near.

use super::loss::log_probability;
use crate::{
    bpe::Tokenizer,
    dtransformer::{DTransformer, Error},
    tensor::{LinearMap, threads},
};
use ndarray::{Array2, ArrayView2, Axis, s};
use std::f64::consts::LN_2;

/// Tokens whose logits are held at a time: `vocab` numbers each.
const CHUNK: usize = 256;

/// $-\ln p$ of each of `ids[1..]` after all that stands before it, at its position in `ids`; the trained context is no limit. Returns `ids.len() − 1` numbers.
///
/// # Errors
/// Less than two ids, one outside the vocabulary, or logits that are not finite.
pub fn losses<M: LinearMap<f32> + Clone>(
    decoder: &DTransformer<f32, M>,
    ids: &[u32],
) -> Result<Vec<f64>, Error> {
    let inputs = ids.len().saturating_sub(1);
    if inputs == 0 {
        return Err(Error::NoTokens);
    }
    let mut cache = decoder.new_cache_of(inputs);
    let mut losses = Vec::with_capacity(inputs);
    for (given, wanted) in ids[..inputs].chunks(CHUNK).zip(ids[1..].chunks(CHUNK)) {
        check(decoder, wanted, losses.len() + 1)?;
        let logits = decoder.forward(given, &mut cache, None)?;
        let rows = logits.rows().into_iter().zip(wanted);
        losses.extend(rows.map(|(row, &id)| -f64::from(log_probability(row, id as usize))));
    }
    Ok(losses)
}

/// [`losses`] of a text of any length, none read with more than `context` tokens before it: a longer text in windows of `context`, each beginning half a window
/// on, of which only what the one before did not reach is counted.
///
/// # Errors
/// As [`losses`].
pub fn losses_within<M: LinearMap<f32> + Clone>(
    decoder: &DTransformer<f32, M>,
    ids: &[u32],
    context: usize,
) -> Result<Vec<f64>, Error> {
    let (context, step) = (context.max(1), (context / 2).max(1));
    let mut all = losses(decoder, &ids[..ids.len().min(context + 1)])?;
    let mut start = 0;
    while all.len() + 1 < ids.len() {
        start += step;
        let window = &ids[start..ids.len().min(start + context + 1)];
        let known = all.len() - start;
        all.extend(losses(decoder, window)?.into_iter().skip(known));
    }
    Ok(all)
}

fn check<M: LinearMap<f32> + Clone>(
    decoder: &DTransformer<f32, M>,
    ids: &[u32],
    first: usize,
) -> Result<(), Error> {
    let vocab_size = decoder.config().vocab_size;
    match ids.iter().position(|&id| id as usize >= vocab_size) {
        Some(i) => Err(Error::NoSuchToken {
            id: ids[i],
            position: first + i,
            vocab_size,
        }),
        None => Ok(()),
    }
}

/// How one document was read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Tokens predicted: its own, and the `</s>` after them.
    pub tokens: usize,
    /// Characters.
    pub characters: usize,
    /// $-\ln p$ of all its tokens together.
    pub nats: f64,
    /// Whether it was longer than the trained context.
    pub longer: bool,
}

/// Reads each document alone: see the [module](self). `eos` is the tokenizer's `</s>`.
///
/// # Errors
/// As [`losses`].
pub fn read<M: LinearMap<f32> + Clone + Sync>(
    decoder: &DTransformer<f32, M>,
    tokenizer: &Tokenizer,
    eos: u32,
    documents: &[String],
) -> Result<Vec<Reading>, Error> {
    let context = decoder.config().context;
    threads::map(documents.iter(), |text| {
        let ids = packed([text.as_str()], tokenizer, eos);
        let losses = losses_within(decoder, &ids, context)?;
        Ok(Reading {
            tokens: losses.len(),
            characters: text.chars().count(),
            nats: losses.iter().sum(),
            longer: losses.len() > context,
        })
    })
    .into_iter()
    .collect()
}

/// The ids of documents one after the other, `</s>` before the first and after each, as training packs them.
pub fn packed<'t>(
    documents: impl IntoIterator<Item = &'t str>,
    tokenizer: &Tokenizer,
    eos: u32,
) -> Vec<u32> {
    let mut ids = vec![eos];
    for text in documents {
        ids.extend(tokenizer.encode(text));
        ids.push(eos);
    }
    ids
}

/// The readings of several documents together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Documents.
    pub documents: usize,
    /// Tokens predicted.
    pub tokens: usize,
    /// Characters.
    pub characters: usize,
    /// $-\ln p$ of all tokens together.
    pub nats: f64,
    /// Documents longer than the trained context.
    pub longer: usize,
    /// $\sum x^2$, $\sum x n$ and $\sum n^2$ over documents of $n$ tokens and $x$ nats.
    squares: [f64; 3],
}

impl Tally {
    /// Adds a document.
    pub fn add(&mut self, reading: &Reading) {
        let (x, n) = (reading.nats, reading.tokens as f64);
        self.documents += 1;
        self.tokens += reading.tokens;
        self.characters += reading.characters;
        self.nats += x;
        self.longer += usize::from(reading.longer);
        for (sum, term) in self.squares.iter_mut().zip([x * x, x * n, n * n]) {
            *sum += term;
        }
    }

    /// $L$, nats a token. NaN for nothing.
    pub fn loss(&self) -> f64 {
        self.nats / self.tokens as f64
    }

    /// The standard error of $L$, documents being independent and tokens of one not: that of a ratio of two sums,
    /// $\sqrt{\frac{D}{D-1} \sum_d (x_d - L n_d)^2} / \sum_d n_d$. NaN for one document.
    pub fn standard_error(&self) -> f64 {
        let (d, loss, [xx, xn, nn]) = (self.documents as f64, self.loss(), self.squares);
        let spread = (xx - 2.0 * loss * xn + loss * loss * nn).max(0.0);
        (d / (d - 1.0) * spread).sqrt() / self.tokens as f64
    }

    /// Bits a character. NaN for nothing.
    pub fn bits_a_character(&self) -> f64 {
        self.nats / LN_2 / self.characters as f64
    }

    /// $e^L$: among how many equally likely tokens the choice would be as hard.
    pub fn perplexity(&self) -> f64 {
        self.loss().exp()
    }

    /// What `bits` for the same documents are in nats a token.
    pub fn nats_a_token(&self, bits: f64) -> f64 {
        bits * LN_2 / self.tokens as f64
    }
}

/// The loss by position, every bin of positions over the same tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct ByPosition {
    /// Positions of a bin.
    pub width: usize,
    /// The mean loss of each block of `width` tokens where it stands in each bin, `[blocks, bins]`, in nats a token.
    pub losses: Array2<f64>,
}

/// Ids that [`by_position`] needs for `blocks` blocks.
pub fn ids_needed(width: usize, bins: usize, blocks: usize) -> usize {
    (blocks + bins).saturating_sub(1) * width + 1
}

/// The loss of `blocks` blocks of `width` tokens of a text, each at positions $0..w$, at $w..2w$, and so on to the last of `bins` bins.
///
/// A token at position $p$ is predicted from the $p + 1$ before it. Windows of `bins · width` tokens begin at every `width`-th token, and the block $j$ of the
/// text stands in bin $b$ of window $j - b$. So every bin has the very same tokens to predict, and a difference between bins is one of position, not of text.
/// Each token is read once for each bin.
///
/// # Errors
/// As [`losses`]; [`Error::NoTokens`] for fewer ids than [`ids_needed`], or no blocks, bins or width.
pub fn by_position<M: LinearMap<f32> + Clone + Sync>(
    decoder: &DTransformer<f32, M>,
    ids: &[u32],
    width: usize,
    bins: usize,
    blocks: usize,
) -> Result<ByPosition, Error> {
    if width == 0 || bins == 0 || blocks == 0 || ids.len() < ids_needed(width, bins, blocks) {
        return Err(Error::NoTokens);
    }
    // The first block that is counted is the first that can stand in every bin.
    let first = bins - 1;
    let windows = threads::map(0..blocks + first, |window| {
        let last = (first + blocks - 1 - window).min(first);
        let start = window * width;
        losses(decoder, &ids[start..=start + (last + 1) * width])
    });
    let mut means = Array2::zeros((blocks, bins));
    for (window, losses) in windows.into_iter().enumerate() {
        for (bin, losses) in losses?.chunks(width).enumerate() {
            if let Some(block) = (window + bin).checked_sub(first) {
                means[[block, bin]] = losses.iter().sum::<f64>() / width as f64;
            }
        }
    }
    Ok(ByPosition {
        width,
        losses: means,
    })
}

impl ByPosition {
    /// Mean and standard error of each bin, blocks being taken as independent.
    pub fn bins(&self) -> Vec<(f64, f64)> {
        self.losses
            .axis_iter(Axis(1))
            .map(|blocks| mean_and_error(blocks.iter().copied()))
            .collect()
    }

    /// By how much the loss in bin `b` is above that in bin `a`, and the standard error of that difference: much below those of the two, since the same
    /// blocks are in both.
    ///
    /// # Panics
    /// Where there is no such bin.
    pub fn rise(&self, a: usize, b: usize) -> (f64, f64) {
        let losses: ArrayView2<f64> = self.losses.view();
        let (a, b) = (losses.slice(s![.., a]), losses.slice(s![.., b]));
        mean_and_error(b.iter().zip(a).map(|(b, a)| b - a))
    }
}

fn mean_and_error(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    let spread: f64 = values.map(|value| (value - mean).powi(2)).sum();
    (mean, (spread / (n - 1.0) / n).sqrt())
}

#[cfg(test)]
mod tests;
