//! Two small models of our own, inside the program: there is something to look at without a download.
//!
//! Both were trained by `models/train` from nothing on the built-in [`corpus`](crate::training::corpus), one in the manner of the 7B (RoPE) and one in the
//! manner of the 13B (ALiBi, with a number of heads that is no power of two). `docs/models.md` says what they have learned.
//!
//! ```
//! use baichuan2::embedded::EmbeddedModel;
//! let tokenizer = EmbeddedModel::Rope.tokenizer();
//! let decoder = EmbeddedModel::Rope.checkpoint().decoder()?;
//! let p = decoder.probabilities(&tokenizer.encode("Once upon a"))?;
//! let last = p.row(p.nrows() - 1);
//! let time = tokenizer.encode(" time")[0];
//! assert!(last[time as usize] > 0.9);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::{
    bpe::Tokenizer,
    checkpoint::{Checkpoint, read_generation_config},
};
use bytes::Bytes;
use std::{fmt, str::FromStr};
use thiserror::Error;

/// One of the models inside the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EmbeddedModel {
    /// `embedded:rope`, as the 7B.
    Rope,
    /// `embedded:alibi`, as the 13B.
    Alibi,
}

/// The files of a model.
struct Files {
    config: &'static [u8],
    generation: &'static [u8],
    tokenizer: &'static [u8],
    weights: &'static [u8],
}

/// Bytes where numbers may be read in place.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

macro_rules! weights {
    ($($folder:literal),+) => {{
        static WEIGHTS: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(
            "../models/",
            $($folder,)+
            "/model.safetensors"
        )));
        &WEIGHTS.0
    }};
}

macro_rules! files {
    ($folder:literal) => {
        Files {
            config: include_bytes!(concat!("../models/", $folder, "/config.json")),
            generation: include_bytes!(concat!("../models/", $folder, "/generation_config.json")),
            tokenizer: include_bytes!(concat!("../models/", $folder, "/tokenizer.model")),
            weights: weights!($folder),
        }
    };
}

/// Checkpoints on the way, in tokens seen, and their weights. All else they share with the model.
type History = &'static [(u64, &'static [u8])];

#[cfg(feature = "history")]
macro_rules! history {
    ($folder:literal) => {
        history!($folder: "0000032768" "0000079872" "0000198656" "0000491520" "0001214464" "0002996224" "0007391232" "0018239488")
    };
    ($folder:literal: $($tokens:literal)*) => {{
            static HISTORY: History = &[$((number($tokens), weights!($folder, "/checkpoints/tokens-", $tokens))),*];
            HISTORY
    }};
}

/// A number as a folder's name has it.
#[cfg(feature = "history")]
const fn number(digits: &str) -> u64 {
    match u64::from_str_radix(digits, 10) {
        Ok(number) => number,
        Err(_) => panic!("digits"),
    }
}

impl EmbeddedModel {
    /// Both.
    pub const ALL: [EmbeddedModel; 2] = [EmbeddedModel::Rope, EmbeddedModel::Alibi];

    /// What its name begins with, so that it is not taken for a folder.
    pub const PREFIX: &str = "embedded:";

    /// Its folder in `models/` of the repository.
    pub fn folder(self) -> &'static str {
        match self {
            EmbeddedModel::Rope => "rope",
            EmbeddedModel::Alibi => "alibi",
        }
    }

    fn files(self) -> Files {
        match self {
            EmbeddedModel::Rope => files!("rope"),
            EmbeddedModel::Alibi => files!("alibi"),
        }
    }

    /// Its configuration and weights, which are not copied.
    pub fn checkpoint(self) -> Checkpoint {
        let files = self.files();
        let mut checkpoint =
            Checkpoint::from_bytes(files.config, Bytes::from_static(files.weights))
                .expect("a test opens it");
        checkpoint.generation = read_generation_config(files.generation).expect("a test opens it");
        checkpoint
    }

    /// Its checkpoints on the way, in tokens seen, fewest first; without the feature `history` there are none.
    pub fn history(self) -> Vec<u64> {
        self.checkpoints()
            .iter()
            .map(|(tokens, _)| *tokens)
            .collect()
    }

    /// One of its checkpoints on the way, whose configuration and tokenizer are the model's.
    pub fn checkpoint_at(self, tokens: u64) -> Option<Checkpoint> {
        let found = self.checkpoints().iter().find(|(n, _)| *n == tokens);
        let (_, weights) = found?;
        let weights = Bytes::from_static(weights);
        let mut checkpoint =
            Checkpoint::from_bytes(self.files().config, weights).expect("a test opens it");
        checkpoint.generation =
            read_generation_config(self.files().generation).expect("a test opens it");
        Some(checkpoint)
    }

    #[cfg(feature = "history")]
    fn checkpoints(self) -> History {
        match self {
            EmbeddedModel::Rope => history!("rope"),
            EmbeddedModel::Alibi => history!("alibi"),
        }
    }

    #[cfg(not(feature = "history"))]
    fn checkpoints(self) -> History {
        &[]
    }

    /// Its tokenizer.
    pub fn tokenizer(self) -> Tokenizer {
        Tokenizer::from_bytes(self.files().tokenizer).expect("a test opens it")
    }

    /// The files that lie beside the weights of a folder, by name.
    pub fn beside_weights(self) -> [(&'static str, &'static [u8]); 3] {
        let files = self.files();
        [
            ("config.json", files.config),
            ("generation_config.json", files.generation),
            ("tokenizer.model", files.tokenizer),
        ]
    }
}

impl fmt::Display for EmbeddedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            EmbeddedModel::Rope => "embedded:rope",
            EmbeddedModel::Alibi => "embedded:alibi",
        })
    }
}

/// A name that none of them has.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("there is no model {0:?} in this program; there are embedded:rope and embedded:alibi")]
pub struct NoSuchModel(String);

impl FromStr for EmbeddedModel {
    type Err = NoSuchModel;

    fn from_str(name: &str) -> Result<Self, NoSuchModel> {
        let found = EmbeddedModel::ALL
            .into_iter()
            .find(|m| m.to_string() == name);
        found.ok_or_else(|| NoSuchModel(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtransformer::Position;

    /// Catches: a file that was left out of the repository, or exchanged; weights that lie where their numbers cannot be read.
    #[test]
    fn both_open_and_are_what_their_names_say() {
        for model in EmbeddedModel::ALL {
            assert_eq!(model.to_string().parse(), Ok(model));
            let (checkpoint, tokenizer) = (model.checkpoint(), model.tokenizer());
            let config = &checkpoint.config;
            assert_eq!(tokenizer.vocab_size(), config.vocab_size);
            assert!(config.norm_head && !config.tie_word_embeddings);
            match model {
                EmbeddedModel::Rope => assert!(matches!(config.position, Position::Rope { .. })),
                EmbeddedModel::Alibi => {
                    assert_eq!(config.position, Position::Alibi);
                    assert!(!config.num_attention_heads.is_power_of_two());
                }
            }
            assert_eq!(checkpoint.generation.user_token_id, Some(195));
            checkpoint.decoder().unwrap();
        }
        assert!("embedded:mamba".parse::<EmbeddedModel>().is_err());
    }

    /// Catches: a checkpoint that was left out or exchanged for another's; one that does not fit the model's configuration.
    #[cfg(feature = "history")]
    #[test]
    fn all_checkpoints_on_the_way_open() {
        for model in EmbeddedModel::ALL {
            let history = model.history();
            assert!((8..=12).contains(&history.len()) && history.is_sorted());
            for &tokens in &history {
                model.checkpoint_at(tokens).unwrap().decoder().unwrap();
            }
            let checkpoints = model.checkpoints().iter().map(|(_, weights)| *weights);
            let mut seen: Vec<&[u8]> = checkpoints.chain([model.files().weights]).collect();
            let all = seen.len();
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), all);
            assert!(model.checkpoint_at(1).is_none());
        }
    }
}
