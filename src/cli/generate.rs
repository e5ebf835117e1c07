//! `baichuan2 generate`: continue a text.

use super::{
    model::{CacheArgs, ModelArgs, SamplingArgs, describe},
    prompt::Prompt,
    stream::{after_prompt, answer, start_listening},
};
use anstyle::{AnsiColor, Style};
use baichuan2::generation::{Options, Session};

/// Continue a text with a model.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  baichuan2 generate \"Once upon a time\"
  baichuan2 generate --model embedded:alibi --temperature 0.8 --seed 7 \"从前\"
  echo \"Hamlet->Shakespeare\" | baichuan2 generate --model Baichuan2-7B-Base
  baichuan2 generate --model DIR --ids 126,301,282 --max-new-tokens 16

The text goes to standard output, figures to standard error. Without sampling options and without advice in the folder's generation_config.json \
the likeliest token is taken every time. Ctrl-C ends the text early.")]
pub struct Generate {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    prompt: Prompt,
    /// How many tokens to add at most; by default the text is continued to 200 tokens, prompt included, and by 100 at the least.
    #[arg(long, value_name = "N")]
    max_new_tokens: Option<usize>,
    /// Tokens that prompt and text may have together; by default those the model was trained on.
    #[arg(long, value_name = "N")]
    context: Option<usize>,
    /// Print the new text alone, without the prompt before it; of --ids only the new ones are printed anyway.
    #[arg(long)]
    no_prompt: bool,
    /// Print no figures.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
}

/// Tokens of a text whose length nobody gave.
const DEFAULT_LENGTH: usize = 200;

impl Generate {
    /// Streams the text.
    ///
    /// # Errors
    /// A model that cannot be opened, or a prompt that it does not take.
    pub fn run(self) -> anyhow::Result<()> {
        let model = self.model.open()?;
        let prompt = self.prompt.ids(&model)?;
        let written = prompt.len()
            - usize::from(prompt.first().copied() == model.bos() && !self.prompt.is_ids());
        let default = DEFAULT_LENGTH
            .saturating_sub(written)
            .max(DEFAULT_LENGTH / 2);
        let options = Options {
            sampling: self.sampling.sampling(&model.checkpoint.generation)?,
            seed: self.sampling.seed(),
            max_new_tokens: self.max_new_tokens.unwrap_or(default),
            stop: model.eos(),
        };
        let (decoder, before) = if model.tokenizer().is_ok() && !self.prompt.is_ids() {
            let (decoder, text) = after_prompt(&model, &prompt)?;
            (
                Some(decoder),
                if self.no_prompt { String::new() } else { text },
            )
        } else {
            (None, String::new())
        };
        start_listening();
        let context = self.context.unwrap_or(model.checkpoint.config.context);
        let mut session = Session::new_in(self.cache.format(), &model.decoder, context);
        let answer = answer(&mut session, &prompt, &options, &before, decoder)?;
        if !self.quiet {
            let dim = Style::new().fg_color(Some(AnsiColor::BrightBlack.into()));
            let how = describe(&options.sampling, options.seed);
            anstream::eprintln!("{dim}{}; {how}{dim:#}", answer.figures());
        }
        Ok(())
    }
}
