//! Continues a text token by token beside the window, and keeps what came of it so far.
//!
//! As with [`worker`](crate::worker), what is wanted last is what counts: what is under way for something older ends before the next layer. What was
//! read stays in a cache for as long as model and heads stay the same, so that a token costs one token, also after going back.

use crate::{
    analysis::Analysis,
    lane::Lane,
    model::{CHANGED, Model},
};
use baichuan2::{
    dtransformer,
    generation::{Error, Event as Progress, Left, Sampler, Sampling, Session, Stage},
    probe::{Head, Probe, Site, Without},
};
use ndarray::{Array1, ArrayView1, ArrayViewD};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};
use web_time::Instant;

/// How a text is continued: saved with the session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The likeliest token every time, and nothing drawn.
    pub greedy: bool,
    /// Above 1 holds back what was said already.
    pub repetition_penalty: f32,
    /// Logits are divided by it.
    pub temperature: f32,
    /// So many of the likeliest tokens are kept; 0 keeps all.
    pub top_k: usize,
    /// The likeliest tokens that together reach this probability are kept; 1 keeps all.
    pub top_p: f32,
    /// The same seed gives the same text.
    pub seed: u64,
    /// New tokens, at the most.
    pub most: usize,
    /// Tokens a second while it plays, at the most.
    pub pace: f32,
}

impl Default for Settings {
    fn default() -> Self {
        let sampling = Sampling::default();
        Settings {
            greedy: sampling.greedy,
            repetition_penalty: sampling.repetition_penalty,
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            seed: 0,
            most: 48,
            pace: 8.0,
        }
    }
}

impl Settings {
    /// As the library has them.
    pub fn sampling(&self) -> Sampling {
        Sampling {
            greedy: self.greedy,
            repetition_penalty: self.repetition_penalty,
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
        }
    }
}

/// A token and its probability at each stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    /// The token.
    pub id: u32,
    /// 0 from the stage on that took it out.
    pub probabilities: Vec<f32>,
}

impl Alternative {
    /// Whether a filter has taken it out by stage `i`: a probability can also be too small for a float.
    pub fn is_out(&self, i: usize) -> bool {
        let takes_out = |stage| matches!(stage, Stage::TopK | Stage::TopP);
        let before = Stage::ALL.iter().take_while(|stage| !takes_out(**stage));
        i >= before.clone().count()
            && self.probabilities[i] == 0.0
            && self.probabilities[before.count() - 1] > 0.0
    }
}

/// The likeliest tokens at one place of the text, and what the filters did to them.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// By their probability before any filter, likeliest first.
    pub alternatives: Vec<Alternative>,
    /// Tokens that are left after each stage.
    pub left: Vec<usize>,
    /// The stages that counted: nothing is drawn where the likeliest is taken, and only the penalty counts.
    pub stages: Vec<Stage>,
    /// How it was sampled.
    pub sampling: Sampling,
}

impl Choice {
    /// Tokens that are shown.
    pub const SHOWN: usize = 12;

    /// The stages of the token after `text`, whose `logits` these are; `chosen` is among those shown.
    pub fn of(
        logits: ArrayView1<f32>,
        text: &[u32],
        sampling: Sampling,
        chosen: Option<u32>,
    ) -> Self {
        let (stages, after): (Vec<Stage>, Vec<Array1<f32>>) =
            sampling.stages(logits, text).into_iter().unzip();
        let plain = &after[0];
        let mut order: Vec<u32> = (0..plain.len() as u32).collect();
        order.sort_by(|&a, &b| plain[b as usize].total_cmp(&plain[a as usize]));
        order.truncate(Self::SHOWN);
        order.extend(chosen.filter(|id| !order.contains(id)));
        let alternative = |id: u32| Alternative {
            id,
            probabilities: after.iter().map(|stage| stage[id as usize]).collect(),
        };
        // Before the filters that take out, what is 0 is only too small for a float.
        let left = |(stage, after): (&Stage, &Array1<f32>)| match stage {
            Stage::TopK | Stage::TopP => after.iter().filter(|p| **p > 0.0).count(),
            _ => after.len(),
        };
        Choice {
            alternatives: order.into_iter().map(alternative).collect(),
            left: stages.iter().zip(&after).map(left).collect(),
            stages,
            sampling,
        }
    }
}

/// A token that was added to the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The token.
    pub id: u32,
    /// What it was chosen from.
    pub choice: Arc<Choice>,
    /// Whether it was chosen by hand.
    pub by_hand: bool,
}

/// Why nothing more comes.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// The model ended the text with this token.
    Stop(u32),
    /// There are as many new tokens as were asked for.
    Length,
    /// The context of so many tokens is full.
    Context(usize),
    /// What went wrong, in words.
    Failed(String),
}

/// What is asked for.
struct Request {
    model: Arc<Model>,
    switched_off: BTreeSet<Head>,
    /// The prompt and what was added to it.
    text: Vec<u32>,
    /// Tokens of the prompt.
    prompt: usize,
    settings: Settings,
    /// New tokens; of none the distribution alone is wanted.
    tokens: usize,
}

enum Event {
    Reading {
        read: usize,
        of: usize,
    },
    Token(Step),
    /// The logits after the text.
    Next(Array1<f32>),
    Ended(End),
}

/// A text that is continued.
pub struct Generator {
    lane: Lane<Option<Read>>,
    done: mpsc::Sender<(u64, Event)>,
    events: mpsc::Receiver<(u64, Event)>,
    ready: Arc<dyn Fn() + Send + Sync>,
    newest: Arc<AtomicU64>,
    /// Which analysis the prompt is of.
    serial: Option<u64>,
    prompt: Vec<u32>,
    steps: Vec<Step>,
    next: Option<Arc<Array1<f32>>>,
    /// Tokens of the request that are still to come; none while nothing is under way.
    to_come: Option<usize>,
    reading: Option<(usize, usize)>,
    end: Option<End>,
}

impl Generator {
    /// Continues nothing yet; `ready` is called whenever there is something to [`poll`](Self::poll).
    pub fn new(ready: impl Fn() + Send + Sync + 'static) -> Self {
        let (done, events) = mpsc::channel();
        Generator {
            lane: Lane::new("generator"),
            done,
            events,
            ready: Arc::new(ready),
            newest: Arc::default(),
            serial: None,
            prompt: Vec::new(),
            steps: Vec::new(),
            next: None,
            to_come: None,
            reading: None,
            end: None,
        }
    }

    /// Begins anew where the prompt is that of another analysis.
    pub fn follow(&mut self, analysis: &Analysis) {
        if self.serial == Some(analysis.serial) {
            return;
        }
        self.stop();
        self.serial = Some(analysis.serial);
        self.prompt = analysis.tokens.iter().map(|token| token.id).collect();
        self.steps.clear();
        self.end = None;
        // The pass that was analysed has them already.
        let last = analysis.tokens.len().checked_sub(1);
        self.next = last.and_then(|last| analysis.logits(last)).map(Arc::new);
    }

    /// The tokens that were added.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The prompt and what was added to it.
    pub fn text(&self) -> Vec<u32> {
        let added = self.steps.iter().map(|step| step.id);
        self.prompt.iter().copied().chain(added).collect()
    }

    /// The logits after the text, once they are known.
    pub fn next(&self) -> Option<&Arc<Array1<f32>>> {
        self.next.as_ref()
    }

    /// Why nothing more comes, where something ended it.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Whether something is under way.
    pub fn is_busy(&self) -> bool {
        self.to_come.is_some()
    }

    /// Whether more than one token is.
    pub fn is_playing(&self) -> bool {
        self.to_come.is_some_and(|tokens| tokens > 1)
    }

    /// How much of the prompt is read, of how much, while a long one is.
    pub fn reading(&self) -> Option<(usize, usize)> {
        self.reading.filter(|(read, of)| read < of)
    }

    /// Adds `tokens` more, each chosen as `settings` say; with none looks what could come next.
    pub fn go_on(&mut self, analysis: &Analysis, settings: &Settings, tokens: usize) {
        let serial = self.newest.fetch_add(1, Ordering::Relaxed) + 1;
        self.end = None;
        self.to_come = Some(tokens);
        let request = Request {
            model: analysis.model.clone(),
            switched_off: analysis.wanted.switched_off.clone(),
            text: self.text(),
            prompt: self.prompt.len(),
            settings: settings.clone(),
            tokens,
        };
        let mut answer = Answer {
            request,
            serial,
            newest: self.newest.clone(),
            done: self.done.clone(),
            ready: self.ready.clone(),
            plays: tokens > 1,
            due: Instant::now(),
        };
        self.lane.run_in_steps(move |read| answer.step(read));
    }

    /// Plays on with other settings, where it plays.
    pub fn change(&mut self, analysis: &Analysis, settings: &Settings) {
        if let Some(tokens) = self.to_come.filter(|&tokens| tokens > 1) {
            self.go_on(analysis, settings, tokens);
        }
    }

    /// Ends what is under way; what was added stays.
    pub fn stop(&mut self) {
        self.newest.fetch_add(1, Ordering::Relaxed);
        self.to_come = None;
        self.reading = None;
    }

    /// Takes `id` as new token `at`, forgets those after it, and looks what could come next.
    pub fn take(&mut self, analysis: &Analysis, settings: &Settings, at: usize, id: u32) {
        let choice = match self.steps.get(at) {
            Some(step) => step.choice.clone(),
            None => match &self.next {
                Some(logits) => Arc::new(Choice::of(
                    logits.view(),
                    &self.text(),
                    settings.sampling(),
                    Some(id),
                )),
                None => return,
            },
        };
        self.stop();
        self.steps.truncate(at);
        self.steps.push(Step {
            id,
            choice,
            by_hand: true,
        });
        self.next = None;
        self.go_on(analysis, settings, 0);
    }

    /// Forgets all new tokens from `at` on, and looks what could come there.
    pub fn back_to(&mut self, analysis: &Analysis, settings: &Settings, at: usize) {
        self.stop();
        self.steps.truncate(at);
        self.next = None;
        self.go_on(analysis, settings, 0);
    }

    /// Takes in what has been made.
    pub fn poll(&mut self) {
        let newest = self.newest.load(Ordering::Relaxed);
        while let Ok((serial, event)) = self.events.try_recv() {
            if serial != newest {
                continue;
            }
            match event {
                Event::Reading { read, of } => self.reading = Some((read, of)),
                Event::Token(step) => {
                    self.steps.push(step);
                    self.next = None;
                    self.to_come = self.to_come.map(|tokens| tokens.saturating_sub(1));
                }
                Event::Next(logits) => {
                    self.next = Some(Arc::new(logits));
                    self.reading = None;
                    // What was asked for is there, unless an end is told next.
                    self.to_come = None;
                }
                Event::Ended(end) => {
                    self.end = Some(end);
                    self.to_come = None;
                    self.reading = None;
                }
            }
        }
    }
}

/// What was read, for as long as it is the same model with the same heads.
struct Read {
    model: Arc<Model>,
    switched_off: BTreeSet<Head>,
    left: Left,
}

/// What is done of a request, token by token.
struct Answer {
    request: Request,
    serial: u64,
    newest: Arc<AtomicU64>,
    done: mpsc::Sender<(u64, Event)>,
    ready: Arc<dyn Fn() + Send + Sync>,
    /// Whether more than one token was asked for.
    plays: bool,
    /// When the next token may come.
    due: Instant,
}

/// Ends a pass that is outdated.
struct Until<'a>(&'a dyn Fn() -> bool);

impl Probe for Until<'_> {
    fn wants(&self, _: Site) -> bool {
        false
    }

    fn see(&mut self, _: Site, _: ArrayViewD<f32>) {}

    fn stop(&self) -> bool {
        (self.0)()
    }
}

impl Answer {
    fn outdated(&self) -> bool {
        self.newest.load(Ordering::Relaxed) != self.serial
    }

    fn send(&self, event: Event) {
        // Nobody listens any more where the window was closed.
        let _ = self.done.send((self.serial, event));
        (self.ready)();
    }

    /// The next token, once it is due; nothing where there is none to come, or it was overtaken.
    fn step(&mut self, read: &mut Option<Read>) -> Option<Duration> {
        /// How soon it is noticed that something newer is wanted.
        const LONGEST_PAUSE: Duration = Duration::from_millis(10);
        if self.outdated() {
            return None;
        }
        let now = Instant::now();
        if self.request.tokens > 0 && now < self.due {
            return Some((self.due - now).min(LONGEST_PAUSE));
        }
        match self.token(read) {
            Ok(step) => {
                self.due = now + pause(self.request.settings.pace);
                self.request.text.push(step.id);
                self.request.tokens -= 1;
                self.send(Event::Token(step));
                Some(Duration::ZERO)
            }
            Err(last) => {
                for event in last {
                    self.send(event);
                }
                None
            }
        }
    }

    /// The next token, or what is told last.
    fn token(&self, read: &mut Option<Read>) -> Result<Step, Vec<Event>> {
        let Request {
            model,
            text,
            settings,
            tokens,
            ..
        } = &self.request;
        let context = model.decoder.config().context;
        if text.len() > context {
            return Err(vec![Event::Ended(End::Context(context))]);
        }
        let logits = self.read(read)?;
        if *tokens == 0 {
            let ended = self.plays.then_some(Event::Ended(End::Length));
            return Err([Event::Next(logits)].into_iter().chain(ended).collect());
        }
        let drawn = text.len() - self.request.prompt;
        let ended = |logits, end| Err(vec![Event::Next(logits), Event::Ended(end)]);
        let id = match choose(settings, &logits, text, drawn) {
            Ok(id) => id,
            Err(why) => return ended(logits, End::Failed(why)),
        };
        if model.tokenizer.eos() == Some(id) {
            return ended(logits, End::Stop(id));
        }
        Ok(Step {
            id,
            choice: Arc::new(Choice::of(
                logits.view(),
                text,
                settings.sampling(),
                Some(id),
            )),
            by_hand: false,
        })
    }

    /// The logits after the text, of which only what is new is read; or what is told instead.
    fn read(&self, read: &mut Option<Read>) -> Result<Array1<f32>, Vec<Event>> {
        let Request {
            model,
            switched_off,
            text,
            ..
        } = &self.request;
        let config = model.decoder.config();
        let (layers, heads) = (config.num_hidden_layers, config.num_attention_heads);
        let known = read
            .take()
            .filter(|read| Arc::ptr_eq(&read.model, model) && read.switched_off == *switched_off);
        let mut session = match known {
            Some(read) => Session::take_up(&model.decoder, read.left),
            None => Session::new(&model.decoder, config.context),
        };
        let off = switched_off.iter().copied();
        let off = off.filter(|head| head.layer < layers && head.head < heads);
        let changed = || vec![Event::Ended(End::Failed(CHANGED.into()))];
        if model.was_replaced() {
            return Err(changed());
        }
        let stop = || self.outdated() || model.was_replaced();
        let mut until = Until(&stop);
        let without = Without::new(off, layers, heads).expect("heads that are there");
        let mut probe = without.then(&mut until);
        let logits = session.read(text, Some(&mut probe), &mut |progress| {
            if let Progress::Prompt { read, of } = progress
                && of > 1
            {
                self.send(Event::Reading { read, of });
            }
            match self.outdated() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        *read = Some(Read {
            model: model.clone(),
            switched_off: switched_off.clone(),
            left: session.leave(),
        });
        match logits {
            Ok(Some(logits)) => Ok(logits),
            Err(Error::Decoder(dtransformer::Error::Stopped)) if !self.outdated() => Err(changed()),
            Ok(None) | Err(Error::Decoder(dtransformer::Error::Stopped)) => Err(Vec::new()),
            Err(error) => Err(vec![Event::Ended(End::Failed(error.to_string()))]),
        }
    }
}

fn pause(pace: f32) -> Duration {
    Duration::try_from_secs_f32(1.0 / pace.max(0.1)).unwrap_or_default()
}

/// The token after `text`. The draw depends on the seed and on how many were drawn before: steps and play give the same text as the command does.
fn choose(
    settings: &Settings,
    logits: &Array1<f32>,
    text: &[u32],
    drawn: usize,
) -> Result<u32, String> {
    let mut sampler =
        Sampler::new(settings.sampling(), settings.seed).map_err(|error| error.to_string())?;
    for _ in 0..drawn {
        sampler.choose(Array1::zeros(1).view_mut(), &[]);
    }
    Ok(sampler.choose(logits.clone().view_mut(), text))
}
