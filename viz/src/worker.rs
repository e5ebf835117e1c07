//! Reads texts with models beside the window, so that it never waits.
//!
//! What is wanted last is what counts: a pass that is under way for something older ends before its next layer, and what waits behind it is never begun.

use crate::{
    analysis::Analysis,
    lane::Lane,
    model::{CHANGED, Model, Source},
    session::Wanted,
};
use baichuan2::dtransformer;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
};

/// What came of a request.
pub enum Outcome {
    /// The text was read.
    Analysed(Arc<Analysis>),
    /// It could not be; why, in words.
    Failed(String),
}

/// Reads texts.
pub struct Worker {
    lane: Lane<Open>,
    done: mpsc::Sender<(u64, Outcome)>,
    outcomes: mpsc::Receiver<(u64, Outcome)>,
    ready: Arc<dyn Fn() + Send + Sync>,
    newest: Arc<AtomicU64>,
    asked: Option<Wanted>,
    answered: u64,
    /// Layers that were begun of the pass that is under way, and how many it has; none while a model is opened.
    layers: Arc<[AtomicUsize; 2]>,
}

impl Worker {
    /// Reads nothing yet; `ready` is called whenever there is something to [`poll`](Self::poll).
    pub fn new(ready: impl Fn() + Send + Sync + 'static) -> Self {
        let (done, outcomes) = mpsc::channel();
        Worker {
            lane: Lane::new("reader"),
            done,
            outcomes,
            ready: Arc::new(ready),
            newest: Arc::default(),
            asked: None,
            answered: 0,
            layers: Arc::default(),
        }
    }

    /// Asks for something, unless it is what was asked for last.
    pub fn want(&mut self, wanted: &Wanted) {
        if self.asked.as_ref() == Some(wanted) {
            return;
        }
        self.asked = Some(wanted.clone());
        let serial = self.newest.fetch_add(1, Ordering::Relaxed) + 1;
        let (wanted, newest) = (wanted.clone(), self.newest.clone());
        let (done, ready, layers) = (self.done.clone(), self.ready.clone(), self.layers.clone());
        self.lane.run(move |open| {
            let outdated = || newest.load(Ordering::Relaxed) != serial;
            // What was overtaken while another was read is never begun.
            if outdated() {
                return;
            }
            if let Some(outcome) = read(open, wanted, &outdated, &layers) {
                // Nobody listens any more where the window was closed.
                let _ = done.send((serial, outcome));
            }
            ready();
        });
    }

    /// Forgets what was asked for last, so that it is read anew: a file may have changed.
    pub fn again(&mut self) {
        self.asked = None;
    }

    /// What came of the newest request, once.
    pub fn poll(&mut self) -> Option<Outcome> {
        let newest = self.newest.load(Ordering::Relaxed);
        let mut found = None;
        while let Ok((serial, outcome)) = self.outcomes.try_recv() {
            if serial == newest {
                self.answered = serial;
                found = Some(outcome);
            }
        }
        found
    }

    /// Which layer is being read, of how many, while a text is.
    pub fn layer(&self) -> Option<(usize, usize)> {
        let [begun, all] = [0, 1].map(|i| self.layers[i].load(Ordering::Relaxed));
        (self.is_busy() && begun > 0).then(|| (begun.min(all), all))
    }

    /// Whether an answer is still to come.
    pub fn is_busy(&self) -> bool {
        self.answered != self.newest.load(Ordering::Relaxed)
    }

    /// Ends what is under way without an answer.
    pub fn cancel(&mut self) {
        self.answered = self.newest.fetch_add(1, Ordering::Relaxed) + 1;
    }
}

/// Models that are kept open, the one used last in front.
#[derive(Default)]
struct Open(VecDeque<Arc<Model>>);

impl Open {
    /// Enough to walk along the checkpoints of two small models without opening any twice.
    const MOST: usize = 24;

    fn get(&mut self, source: &Source, checkpoint: Option<u64>) -> Result<Arc<Model>, String> {
        let is_it = |model: &Arc<Model>| model.source == *source && model.checkpoint == checkpoint;
        let found = self.0.iter().position(is_it).and_then(|i| self.0.remove(i));
        let model = match found {
            Some(model) if !model.was_replaced() => model,
            _ => Arc::new(Model::open(source, checkpoint).map_err(|error| error.to_string())?),
        };
        self.0.push_front(model.clone());
        self.0.truncate(Self::MOST);
        Ok(model)
    }
}

/// Nothing where it was overtaken.
fn read(
    open: &mut Open,
    wanted: Wanted,
    outdated: &dyn Fn() -> bool,
    [begun, all]: &[AtomicUsize; 2],
) -> Option<Outcome> {
    begun.store(0, Ordering::Relaxed);
    let model = match open.get(&wanted.model, wanted.checkpoint) {
        Ok(model) => model,
        Err(why) => return Some(Outcome::Failed(why)),
    };
    all.store(model.decoder.config().num_hidden_layers, Ordering::Relaxed);
    // It is asked before every layer.
    let stop = || {
        begun.fetch_add(1, Ordering::Relaxed);
        outdated() || model.was_replaced()
    };
    let analysis = Analysis::of(model.clone(), wanted, &stop);
    if outdated() {
        return None;
    }
    if model.was_replaced() {
        return Some(Outcome::Failed(CHANGED.into()));
    }
    match analysis {
        Ok(analysis) => Some(Outcome::Analysed(Arc::new(analysis))),
        Err(dtransformer::Error::Stopped) => None,
        Err(error) => Some(Outcome::Failed(error.to_string())),
    }
}
