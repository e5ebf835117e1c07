//! Where a prompt becomes token ids: the one place of the command that needs a tokenizer.

use crate::{checkpoint::Checkpoint, picture::visible};
use anyhow::{Context, Result, bail};
use std::path::Path;

/// A prompt, as text or as ids.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct Prompt {
    /// The text, encoded by the model's own tokenizer
    prompt: Option<String>,
    /// Token ids instead of a text, separated by commas: 1,403,407
    #[arg(long, allow_hyphen_values = true)]
    ids: Option<String>,
}

/// The tokens of a prompt.
pub struct Tokens {
    pub ids: Vec<u32>,
    /// Each token as it can be shown.
    pub labels: Vec<String>,
}

impl Prompt {
    /// The tokens, none of them outside the vocabulary.
    pub fn tokens(&self, checkpoint: &Checkpoint) -> Result<Tokens> {
        let tokenizer = checkpoint.tokenizer.as_deref().map(Tokenizer::open);
        let ids = match (&self.ids, &self.prompt) {
            (Some(ids), _) => parse_ids(ids)?,
            (None, Some(text)) => match &tokenizer {
                Some(tokenizer) => tokenizer.encode(text)?,
                None => bail!(
                    "the model has no tokenizer.model and no tokenizer.json, so that text cannot be encoded; give the token ids: --ids 1,2,3"
                ),
            },
            (None, None) => bail!("no prompt; give a text or --ids"),
        };
        let label = |&id: &u32| match tokenizer.as_ref().and_then(|t| t.piece(id)) {
            Some(piece) => visible(&piece),
            None => id.to_string(),
        };
        let labels = ids.iter().map(label).collect();
        Ok(Tokens { ids, labels })
    }
}

/// The seam to the tokenizer: what this command needs of it.
struct Tokenizer<'a> {
    file: &'a Path,
}

impl<'a> Tokenizer<'a> {
    fn open(file: &'a Path) -> Self {
        Tokenizer { file }
    }

    /// The ids of a text.
    fn encode(&self, _text: &str) -> Result<Vec<u32>> {
        bail!(
            "{}: this build cannot encode text; give the token ids: --ids 1,2,3",
            self.file.display()
        )
    }

    /// The piece of an id, as text with `▁` for spaces.
    fn piece(&self, _id: u32) -> Option<String> {
        None
    }
}

fn parse_ids(ids: &str) -> Result<Vec<u32>> {
    ids.split(',')
        .map(|id| {
            let id = id.trim();
            id.parse().with_context(|| {
                format!("--ids: `{id}` is no token id; give whole numbers from 0, separated by commas: 1,403,407")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: an empty id read as 0, a negative one wrapped around, an error that does not name the culprit.
    #[test]
    fn ids_are_whole_numbers() {
        assert_eq!(parse_ids("1, 2,3").unwrap(), [1, 2, 3]);
        for (ids, culprit) in [
            ("", "``"),
            ("1,,2", "``"),
            ("1,-2", "`-2`"),
            ("1,x", "`x`"),
            ("4294967296", "`4294967296`"),
        ] {
            assert!(
                parse_ids(ids).unwrap_err().to_string().contains(culprit),
                "{ids}"
            );
        }
    }
}
