//! A real checkpoint against the answers that its publishers print.
//!
//! The real weights are too large to test with everywhere; whoever has them can see here that their machine gives what was published.

use super::Check;
use crate::{
    bpe::{Specials, Tokenizer, TokenizerError},
    dtransformer::{Config, Decoder},
    generation::{self, Event, Finish, Options, Sampling, Session},
};
use serde::Deserialize;
use std::ops::ControlFlow;
use thiserror::Error;

/// Published answers of one model.
#[derive(Clone, Debug, Deserialize)]
pub struct Published {
    /// `7b-chat`, `13b-chat` or `13b-base`.
    pub model: String,
    /// Who published them, and with which settings.
    pub source: String,
    /// Tokens of prompt and answer together, where that is limited.
    pub max_length: Option<usize>,
    /// Tokens of the answer, where that is limited.
    pub max_new_tokens: Option<usize>,
    /// The repetition penalty that was used; decoding was greedy.
    pub repetition_penalty: f32,
    /// Whether only the beginning of the answer was published.
    #[serde(default)]
    pub prefix: bool,
    /// Prompts and answers.
    pub items: Vec<Item>,
}

/// A prompt and its published answer.
#[derive(Clone, Debug, Deserialize)]
pub struct Item {
    /// With the names of control pieces, as `<reserved_106>`.
    pub prompt: String,
    /// With `</s>` where the answer ends by itself.
    pub completion: String,
}

/// An answer that could not be had.
#[derive(Debug, Error)]
pub enum PublishedError {
    /// The tokenizer and the model do not belong together.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The decoder did not take the prompt.
    #[error(transparent)]
    Generation(#[from] generation::Error),
}

impl Published {
    /// The answers published for a model of this configuration, `chat` being whether it was tuned to chat.
    pub fn of(config: &Config, chat: bool) -> Option<Published> {
        let sizes = [
            ("7b", Config::baichuan2_7b()),
            ("13b", Config::baichuan2_13b()),
        ];
        let (size, _) = sizes.iter().find(|(_, of_size)| of_size == config)?;
        let name = format!("{size}-{}", if chat { "chat" } else { "base" });
        Published::all()
            .into_iter()
            .find(|published| published.model == name)
    }

    /// All that is known to be published.
    pub fn all() -> Vec<Published> {
        #[derive(Deserialize)]
        struct File {
            models: Vec<Published>,
        }
        let file: Result<File, _> = serde_json::from_str(include_str!("published.json"));
        file.map(|file| file.models)
            .expect("a file of this project, read by a test")
    }

    /// Asks `decoder` each prompt, and compares the answers. `answered` is shown each as it comes.
    ///
    /// # Errors
    /// A prompt that the model does not take.
    pub fn check(
        &self,
        decoder: &Decoder,
        tokenizer: &Tokenizer,
        eos: &[u32],
        mut answered: impl FnMut(&Item, &str),
    ) -> Result<Vec<Check>, PublishedError> {
        let mut checks = Vec::new();
        for item in &self.items {
            let prompt = tokenizer.encode_with_specials(&item.prompt);
            let answer = self.answer(decoder, &prompt, eos)?;
            let text = tokenizer.decode_with(&answer, Specials::Show)?;
            answered(item, &text);
            let expected = item.completion.as_str();
            let right = if self.prefix {
                text.starts_with(expected)
            } else {
                text == expected
            };
            checks.push(Check {
                what: format!("answer to {:?}", item.prompt),
                against: format!("published: {}", self.source),
                numbers: answer.len(),
                difference: if right { 0.0 } else { 1.0 },
                tolerance: 0.0,
            });
        }
        Ok(checks)
    }

    /// The greedy answer, with the token that ended it.
    fn answer(
        &self,
        decoder: &Decoder,
        prompt: &[u32],
        eos: &[u32],
    ) -> Result<Vec<u32>, PublishedError> {
        let left = self.max_length.map(|max| max.saturating_sub(prompt.len()));
        let options = Options {
            sampling: Sampling {
                repetition_penalty: self.repetition_penalty,
                ..Sampling::greedy()
            },
            seed: 0,
            max_new_tokens: left.or(self.max_new_tokens).unwrap_or(64),
            stop: eos.to_vec(),
        };
        let mut answer = Vec::new();
        let context = decoder.config().context;
        let finish = Session::new(decoder, context).generate(prompt, &options, &mut |event| {
            if let Event::Token(id) = event {
                answer.push(id);
            }
            ControlFlow::Continue(())
        })?;
        if let Finish::Stop(eos) = finish {
            answer.push(eos);
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: answers that no model is found for; a data file that does not parse.
    #[test]
    fn each_published_model_is_found_by_its_configuration() {
        assert_eq!(Published::all().len(), 3);
        let found =
            |config: Config, chat| Published::of(&config, chat).map(|p| (p.model, p.items.len()));
        assert_eq!(
            found(Config::baichuan2_7b(), true),
            Some(("7b-chat".into(), 3))
        );
        assert_eq!(
            found(Config::baichuan2_13b(), true),
            Some(("13b-chat".into(), 3))
        );
        assert_eq!(
            found(Config::baichuan2_13b(), false),
            Some(("13b-base".into(), 1))
        );
        assert_eq!(found(Config::baichuan2_7b(), false), None);
        assert_eq!(
            found(
                Config {
                    num_hidden_layers: 2,
                    ..Config::baichuan2_7b()
                },
                true
            ),
            None
        );
    }
}
