//! Text on the terminal as it is generated: whole characters only, and figures at the end.

use super::model::Model;
use anstyle::Style;
use baichuan2::{
    bpe::{Specials, StreamDecoder},
    generation::{Event, Finish, Options, Session},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::Write,
    ops::ControlFlow,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// An answer and how long it took.
pub struct Answer {
    /// New tokens, without the one that ended them.
    pub ids: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
    read: usize,
    reading: Duration,
    writing: Duration,
}

impl Answer {
    /// Tokens per second of reading and of writing.
    pub fn figures(&self) -> String {
        let rate = |tokens: usize, time: Duration| tokens as f64 / time.as_secs_f64().max(1e-9);
        // The first new token comes with the prompt's last logits.
        let steps = self.ids.len().saturating_sub(1);
        let mut figures = format!(
            "prompt: {} tokens in {:.2} s ({:.1} tokens/s)",
            self.read,
            self.reading.as_secs_f64(),
            rate(self.read, self.reading)
        );
        if steps > 0 {
            figures += &format!(
                "; text: {} tokens in {:.2} s ({:.1} tokens/s)",
                self.ids.len(),
                self.writing.as_secs_f64(),
                rate(steps, self.writing)
            );
        }
        figures
            + "; "
            + match self.finish {
                Finish::Stop(_) => "ended by itself",
                Finish::Length => "stopped at the length asked for (--max-new-tokens)",
                Finish::Context => "stopped: the context is full (--context allows a longer one)",
                Finish::Cancelled => "stopped",
            }
    }
}

/// Continues `prompt` on standard output, after the text `before`, which goes out when the prompt is read.
///
/// Text goes out as soon as its characters are whole; where the folder has no tokenizer, ids go out.
pub fn answer(
    session: &mut Session<'_>,
    prompt: &[u32],
    options: &Options,
    before: &str,
    decoder: Option<StreamDecoder<'_>>,
) -> anyhow::Result<Answer> {
    let mut out = anstream::stdout().lock();
    let mut decoder = decoder;
    let mut ids = Vec::new();
    let mut failed: Option<anyhow::Error> = None;
    let bar = reading_bar();
    let start = Instant::now();
    let mut reading = Duration::ZERO;
    let mut read_tokens = 0;
    let finish = session.generate(prompt, options, &mut |event| {
        match event {
            Event::Prompt { read, of } => {
                bar.set_length(of as u64);
                bar.set_position(read as u64);
                read_tokens = of;
                if read == of {
                    bar.finish_and_clear();
                    reading = start.elapsed();
                    let bold = Style::new().bold();
                    if !before.is_empty()
                        && let Err(error) =
                            write!(out, "{bold}{before}{bold:#}").and_then(|()| out.flush())
                    {
                        failed = Some(error.into());
                        return ControlFlow::Break(());
                    }
                } else if start.elapsed() > Duration::from_millis(500) {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                }
            }
            Event::Token(id) => {
                let written = match &mut decoder {
                    Some(decoder) => {
                        decoder
                            .push(id)
                            .map_err(anyhow::Error::from)
                            .and_then(|text| {
                                out.write_all(text.as_bytes())?;
                                Ok(out.flush()?)
                            })
                    }
                    None => write!(out, "{}{id}", if ids.is_empty() { "" } else { "," })
                        .and_then(|()| out.flush())
                        .map_err(Into::into),
                };
                ids.push(id);
                if let Err(error) = written {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        if interrupted() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    bar.finish_and_clear();
    if let Some(error) = failed {
        return Err(error);
    }
    let finish = finish?;
    if let Some(decoder) = decoder {
        out.write_all(decoder.finish().as_bytes())?;
    }
    writeln!(out)?;
    out.flush()?;
    Ok(Answer {
        ids,
        finish,
        read: read_tokens,
        reading,
        writing: start.elapsed().saturating_sub(reading),
    })
}

/// A stream decoder that has seen `prompt`, and the prompt's text.
pub fn after_prompt<'m>(
    model: &'m Model,
    prompt: &[u32],
) -> anyhow::Result<(StreamDecoder<'m>, String)> {
    let mut decoder = model.tokenizer()?.stream_decoder(Specials::Skip);
    let mut text = String::new();
    for &id in prompt {
        text += &decoder.push(id)?;
    }
    Ok((decoder, text))
}

/// Shown on the terminal only where reading takes a while.
fn reading_bar() -> ProgressBar {
    let style = ProgressStyle::with_template(
        "reading the prompt {wide_bar} {pos}/{len} tokens, {eta} left",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden()).with_style(style)
}

/// Set by the first Ctrl-C, taken back by [`start_listening`].
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C ends the answer, not the program.
pub fn start_listening() {
    static HANDLER: OnceLock<()> = OnceLock::new();
    INTERRUPTED.store(false, Ordering::Relaxed);
    HANDLER.get_or_init(|| {
        // Where no handler can be had, Ctrl-C ends the program as it always did.
        let _ = ctrlc::set_handler(|| {
            if INTERRUPTED.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        });
    });
}

/// Whether Ctrl-C was pressed.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
