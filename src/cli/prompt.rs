//! Where a prompt becomes token ids.

use super::{model::Model, read_standard_input};
use anyhow::{Result, anyhow, bail};
use baichuan2::{
    bpe::{SPACE, Specials},
    picture::visible,
};
use std::io::{self, IsTerminal};

/// A prompt, as text or as ids.
#[derive(clap::Args)]
pub struct Prompt {
    /// The text; read from standard input where it is `-` or left out.
    #[arg(value_name = "PROMPT", conflicts_with = "ids")]
    prompt: Option<String>,
    /// Token ids in place of a text, separated by commas or spaces: 1,403,407.
    #[arg(long, value_name = "IDS", allow_hyphen_values = true)]
    ids: Option<String>,
}

/// The tokens of a prompt.
pub struct Tokens {
    /// With `<s>` before a text where the model wants it.
    pub ids: Vec<u32>,
    /// Each token as it can be shown.
    pub labels: Vec<String>,
}

impl Prompt {
    /// Whether the prompt is ids and no text.
    pub fn is_ids(&self) -> bool {
        self.ids.is_some()
    }

    /// The prompt's ids, with `<s>` before a text where the model wants it.
    pub fn ids(&self, model: &Model) -> Result<Vec<u32>> {
        if let Some(ids) = &self.ids {
            return parse_ids(ids);
        }
        let tokenizer = model
            .tokenizer()
            .map_err(|error| anyhow!("{error}; give token ids with --ids"))?;
        let text = self.text()?;
        if text.is_empty() {
            bail!("the prompt is empty; give a text, or token ids with --ids");
        }
        let mut ids = Vec::from_iter(model.bos());
        ids.extend(tokenizer.encode(&text));
        Ok(ids)
    }

    /// The prompt's ids and what they show.
    pub fn tokens(&self, model: &Model) -> Result<Tokens> {
        let ids = self.ids(model)?;
        let label = |&id: &u32| label(model, id).unwrap_or_else(|| id.to_string());
        let labels = ids.iter().map(label).collect();
        Ok(Tokens { ids, labels })
    }

    fn text(&self) -> Result<String> {
        match self.prompt.as_deref() {
            Some(text) if text != "-" => Ok(text.to_owned()),
            None if io::stdin().is_terminal() => {
                bail!("no prompt; give a text, or `-` to type it on standard input")
            }
            _ => {
                let mut text = read_standard_input()?;
                // The line's end is the shell's, not the writer's.
                let line = text.strip_suffix('\n').unwrap_or(&text);
                text.truncate(line.strip_suffix('\r').unwrap_or(line).len());
                Ok(text)
            }
        }
    }
}

/// A token as it can be shown: its piece, or the text of one whose letters stand for bytes.
fn label(model: &Model, id: u32) -> Option<String> {
    let tokenizer = model.tokenizer().ok()?;
    let piece = tokenizer.piece(id).ok()?.text;
    let text = tokenizer.decode_with(&[id], Specials::Show).ok()?;
    let whole = !text.is_empty() && !text.contains(char::REPLACEMENT_CHARACTER);
    Some(visible(if whole && !piece.contains(SPACE) {
        &text
    } else {
        piece
    }))
}

fn parse_ids(ids: &str) -> Result<Vec<u32>> {
    let parse = |id: &str| {
        id.parse().map_err(|_| {
            anyhow!("--ids: `{id}` is no token id; give whole numbers from 0, separated by commas or spaces: 1,403,407")
        })
    };
    // Spaces beside a comma separate nothing more.
    ids.split(',')
        .flat_map(|part| match part.trim() {
            "" => vec![""],
            part => part.split_whitespace().collect(),
        })
        .map(parse)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: an empty id read as 0, a negative one wrapped around, an error that does not name the culprit.
    #[test]
    fn ids_are_whole_numbers() {
        assert_eq!(parse_ids("1, 2,3").unwrap(), [1, 2, 3]);
        assert_eq!(parse_ids("1 2\n3").unwrap(), [1, 2, 3]);
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
