//! `baichuan2 chat`: a conversation, in the terminal or from a pipe.

use super::{
    model::{CacheArgs, Model, ModelArgs, SamplingArgs, describe},
    stream::{answer, start_listening},
};
use anstyle::{AnsiColor, Style};
use anyhow::{Context, bail};
use baichuan2::{
    bpe::{Specials, Tokenizer},
    generation::{
        Finish, Options, Session,
        chat::{ChatFormat, Message, Role},
    },
};
use rustyline::{DefaultEditor, error::ReadlineError};
use std::io::{self, BufRead, IsTerminal, Write};

/// Talk with a chat model.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  baichuan2 chat
  baichuan2 chat --model Baichuan2-7B-Chat --system \"Answer in one sentence.\" --temperature 0.7
  printf '你好\\n1+1=?\\n' | baichuan2 chat --model DIR

In the terminal: /reset begins anew, /system TEXT sets the scene, /help lists all, Ctrl-C ends an answer, Ctrl-D the conversation. From a pipe \
each line is one message, and each answer goes to standard output. Where the conversation outgrows the context, its oldest rounds are left out.")]
pub struct Chat {
    #[command(flatten)]
    model: ModelArgs,
    /// What the model is told before the first message.
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// How long an answer may be; by default as generation_config.json says, or half of the context.
    #[arg(long, value_name = "N")]
    max_new_tokens: Option<usize>,
    /// Tokens that the conversation and the answer may have together; by default those the model was trained on.
    #[arg(long, value_name = "N")]
    context: Option<usize>,
    /// Print no figures.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
}

impl Chat {
    /// Converses until the input ends.
    ///
    /// # Errors
    /// A model that cannot be opened or has no known chat format, or sampling parameters out of range.
    pub fn run(self) -> anyhow::Result<()> {
        let model = self.model.open()?;
        let mut conversation = Conversation::new(&self, &model)?;
        if io::stdin().is_terminal() {
            conversation.talk()
        } else {
            for (number, line) in io::stdin().lock().lines().enumerate() {
                let line =
                    line.with_context(|| format!("line {} of standard input", number + 1))?;
                if !line.trim().is_empty() {
                    conversation.say(line)?;
                }
            }
            Ok(())
        }
    }
}

struct Conversation<'m> {
    tokenizer: &'m Tokenizer,
    session: Session<'m>,
    format: ChatFormat,
    options: Options,
    context: usize,
    messages: Vec<Message>,
    quiet: bool,
}

impl<'m> Conversation<'m> {
    fn new(chat: &Chat, model: &'m Model) -> anyhow::Result<Self> {
        let generation = &model.checkpoint.generation;
        let format = model.chat_format()?;
        let context = chat.context.unwrap_or(model.checkpoint.config.context);
        // What the folder allows may be all of a small context.
        let recommended = generation
            .max_new_tokens
            .unwrap_or(usize::MAX)
            .min(context / 2);
        let mut stop = model.eos();
        // A model that goes on with the user's part has ended its own.
        stop.push(format.user);
        Ok(Conversation {
            tokenizer: model.tokenizer()?,
            session: Session::new_in(chat.cache.format(), &model.decoder, context),
            format,
            options: Options {
                sampling: chat.sampling.sampling(generation)?,
                seed: chat.sampling.seed(),
                max_new_tokens: chat.max_new_tokens.unwrap_or(recommended),
                stop,
            },
            context,
            messages: chat.system.iter().map(|text| system(text)).collect(),
            quiet: chat.quiet,
        })
    }

    /// Adds the user's message and streams the answer.
    fn say(&mut self, text: String) -> anyhow::Result<()> {
        self.messages.push(Message {
            role: Role::User,
            content: text,
        });
        let result = self.answer();
        if result.is_err() {
            self.messages.pop();
        }
        result
    }

    fn answer(&mut self) -> anyhow::Result<()> {
        let encode = |text: &str| self.tokenizer.encode(text);
        let ids = self.format.ids(
            &self.messages,
            encode,
            self.context,
            self.options.max_new_tokens,
        )?;
        start_listening();
        let decoder = Some(self.tokenizer.stream_decoder(Specials::Skip));
        let answer = answer(&mut self.session, &ids, &self.options, "", decoder)?;
        let content = self.tokenizer.decode(&answer.ids)?;
        self.messages.push(Message {
            role: Role::Assistant,
            content,
        });
        // Another seed for the next answer, which follows from the first all the same.
        self.options.seed = self.options.seed.wrapping_add(1);
        if !self.quiet {
            note(&answer.figures());
        }
        if answer.finish == Finish::Cancelled && !io::stdin().is_terminal() {
            bail!("interrupted");
        }
        Ok(())
    }

    /// The terminal's loop. A mistake is told, and the conversation goes on.
    fn talk(&mut self) -> anyhow::Result<()> {
        let mut editor = DefaultEditor::new()?;
        note(&format!(
            "{} tokens of context, {}; /help lists what you can do",
            self.context,
            describe(&self.options.sampling, self.options.seed)
        ));
        loop {
            let line = match editor.readline("you> ") {
                Ok(line) => line,
                Err(ReadlineError::Interrupted) => {
                    note("Ctrl-D ends the conversation");
                    continue;
                }
                Err(ReadlineError::Eof) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let line = line.trim();
            let _ = editor.add_history_entry(line);
            match line
                .split_once(' ')
                .map_or((line, ""), |(a, b)| (a, b.trim()))
            {
                ("", _) => {}
                ("/quit" | "/exit", _) => return Ok(()),
                ("/help", _) => note(
                    "/reset       begin anew (the system message stays)\n\
                     /system TEXT set the scene and begin anew; without TEXT, remove it\n\
                     /quit        end; so does Ctrl-D. Ctrl-C ends an answer",
                ),
                ("/reset", _) => self.messages.retain(|m| m.role == Role::System),
                ("/system", text) => {
                    self.messages = Some(text)
                        .filter(|text| !text.is_empty())
                        .map(system)
                        .into_iter()
                        .collect();
                }
                (command, _) if command.starts_with('/') => {
                    note("no such command; /help lists all")
                }
                _ => {
                    if let Err(error) = self.say(line.to_owned()) {
                        anstream::eprintln!("error: {error}");
                    }
                }
            }
        }
    }
}

fn system(text: &str) -> Message {
    Message {
        role: Role::System,
        content: text.to_owned(),
    }
}

/// A remark that is not part of the conversation.
fn note(text: &str) {
    let dim = Style::new().fg_color(Some(AnsiColor::BrightBlack.into()));
    let _ = writeln!(anstream::stderr(), "{dim}{text}{dim:#}");
}
