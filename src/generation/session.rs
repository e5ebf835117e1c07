//! Going on with a text, token by token.

use super::{Sampler, Sampling, SamplingError};
use crate::{
    attention::{CacheFormat, KeyValueCache},
    dtransformer::{self, Decoder},
    probe::Probe,
};
use ndarray::Array1;
use std::ops::ControlFlow;
use thiserror::Error;

/// Tokens of a prompt read at a time: enough for the products to be worth it, few enough that progress shows and cancelling is quick.
const CHUNK: usize = 512;

/// How a text is continued.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How each token is chosen.
    pub sampling: Sampling,
    /// The same seed gives the same text.
    pub seed: u64,
    /// At most so many tokens.
    pub max_new_tokens: usize,
    /// Any of these ends the text, and is not part of it.
    pub stop: Vec<u32>,
}

/// What happens on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// So many tokens of the prompt are read, of so many.
    Prompt {
        /// Read so far.
        read: usize,
        /// To read in all.
        of: usize,
    },
    /// A new token.
    Token(u32),
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// One of the stop tokens was chosen.
    Stop(u32),
    /// There are as many new tokens as were asked for.
    Length,
    /// The context is full.
    Context,
    /// The observer broke off.
    Cancelled,
}

/// A text that cannot be continued.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum Error {
    /// A sampling parameter outside its range.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// An input that the decoder does not take.
    #[error(transparent)]
    Decoder(#[from] dtransformer::Error),
}

/// A decoder in the middle of a text: what it has read stays in the cache.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny7b");
/// use baichuan2::{checkpoint::Checkpoint, generation::{Event, Finish, Options, Sampling, Session}};
/// use std::ops::ControlFlow;
/// let decoder = Checkpoint::open(folder)?.decoder()?;
/// let options = Options { sampling: Sampling::greedy(), seed: 0, max_new_tokens: 3, stop: vec![2] };
/// let mut text = Vec::new();
/// let finish = Session::new(&decoder, 64).generate(&[126, 301, 282], &options, &mut |event| {
///     if let Event::Token(id) = event {
///         text.push(id);
///     }
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!((text.len(), finish), (3, Finish::Length));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Session<'m> {
    decoder: &'m Decoder,
    cache: KeyValueCache<f32>,
    /// What the cache holds.
    ids: Vec<u32>,
}

/// What a session has read, without its decoder: to be kept where a borrow cannot be.
pub struct Left {
    cache: KeyValueCache<f32>,
    ids: Vec<u32>,
}

impl<'m> Session<'m> {
    /// An empty text, that may grow to `context` tokens.
    pub fn new(decoder: &'m Decoder, context: usize) -> Self {
        Session::new_in(CacheFormat::Full, decoder, context)
    }

    /// The same, its keys and values kept in `format`: in f16 they take half the memory.
    pub fn new_in(format: CacheFormat, decoder: &'m Decoder, context: usize) -> Self {
        Session {
            decoder,
            cache: decoder.new_cache_in(format, context),
            ids: Vec::new(),
        }
    }

    /// Goes on where another session of the same decoder was [left](Self::leave).
    pub fn take_up(decoder: &'m Decoder, left: Left) -> Self {
        let Left { cache, ids } = left;
        Session {
            decoder,
            cache,
            ids,
        }
    }

    /// Lets go of the decoder, and keeps what it has read.
    pub fn leave(self) -> Left {
        Left {
            cache: self.cache,
            ids: self.ids,
        }
    }

    /// What was read so far.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Reads `text` and continues it. What it shares with the text read before is not read again: the turns of a chat cost only what is new.
    ///
    /// `observe` sees each step, and may break off between them.
    ///
    /// # Errors
    /// A sampling parameter outside its range, or an input that the decoder does not take. The session then holds what it shares with `text`
    /// and what of it was read without error, and can be continued from there.
    pub fn generate(
        &mut self,
        text: &[u32],
        options: &Options,
        observe: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Finish, Error> {
        let mut sampler = Sampler::new(options.sampling, options.seed)?;
        let Some(mut logits) = self.read(text, None, observe)? else {
            return Ok(Finish::Cancelled);
        };
        let mut text = text.to_vec();
        for left in (0..options.max_new_tokens).rev() {
            let id = sampler.choose(logits.view_mut(), &text);
            if options.stop.contains(&id) {
                return Ok(Finish::Stop(id));
            }
            text.push(id);
            if observe(Event::Token(id)).is_break() {
                return Ok(Finish::Cancelled);
            }
            if left == 0 {
                break;
            }
            if self.ids.len() == self.cache.limit {
                return Ok(Finish::Context);
            }
            logits = self.decoder.forward_last(&[id], &mut self.cache, None)?;
            self.ids.push(id);
        }
        Ok(Finish::Length)
    }

    /// Reads what is new of `text` and returns the logits after it, or nothing where `observe` broke off.
    ///
    /// What a `probe` changes stays in the cache: give each of the calls the same, or begin anew.
    ///
    /// # Errors
    /// An input that the decoder does not take, or a probe that stops the pass. The session then holds what it shares with `text` and what of it was read.
    pub fn read(
        &mut self,
        text: &[u32],
        mut probe: Option<&mut dyn Probe>,
        observe: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Option<Array1<f32>>, Error> {
        let limit = self.cache.limit;
        if text.len() > limit {
            // Before a long text is read in vain.
            return Err(dtransformer::Error::ContextFull {
                held: 0,
                new: text.len(),
                limit,
            }
            .into());
        }
        let shared = self
            .ids
            .iter()
            .zip(text)
            .take_while(|(a, b)| a == b)
            .count();
        // The last token is read again where there is nothing new, for its logits.
        let shared = shared.min(text.len().saturating_sub(1));
        self.cache.truncate(shared);
        self.ids.truncate(shared);
        let new = &text[shared..];
        let mut logits = None;
        // An empty text goes to the decoder too, which says what is wrong with it.
        let chunks = if new.is_empty() {
            vec![new]
        } else {
            new.chunks(CHUNK).collect()
        };
        for chunk in chunks {
            // A reborrow for the length of the pass.
            let probe = probe.as_mut().map(|probe| &mut **probe as &mut dyn Probe);
            logits = Some(self.decoder.forward_last(chunk, &mut self.cache, probe)?);
            self.ids.extend(chunk);
            let read = self.ids.len() - shared;
            if observe(Event::Prompt {
                read,
                of: new.len(),
            })
            .is_break()
            {
                return Ok(None);
            }
        }
        Ok(logits)
    }
}
