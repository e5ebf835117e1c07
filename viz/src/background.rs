//! Answers made beside the window: the newest question counts, and the answer before it stays on screen until there is another.

use crate::{lane, language::Language};
use eframe::egui::{Context, Id, Ui};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// What the window waits for an answer before it shows the one before: most questions about a small model are answered by then, and nothing flickers.
const PATIENCE: Duration = Duration::from_millis(4);

/// What is known of a question.
pub struct Latest<A> {
    /// Its answer, or that of the question before it.
    pub answer: Option<Arc<A>>,
    /// Whether the answer is to this question.
    pub is_current: bool,
    /// Whether one is still to come.
    pub is_busy: bool,
}

impl<A> Latest<A> {
    /// The answer, where it is to this question.
    pub fn current(&self) -> Option<&A> {
        self.answer.as_deref().filter(|_| self.is_current)
    }
}

struct Slot<K, A> {
    asked: Option<K>,
    answer: Option<(K, Arc<A>)>,
    /// Whether an answer to what was asked last is to come.
    is_busy: bool,
    /// Whether there is work under way, be it outdated: the next begins when it has ended, so that a hand that is faster than the work does not pile it up.
    is_at_work: bool,
}

struct Shared<K, A> {
    newest: AtomicU64,
    slot: Mutex<Slot<K, A>>,
    answered: Condvar,
}

/// Asks for what `work` makes, unless `key` is what was asked for at this `id` before.
///
/// `work` gathers what is needed; what it returns runs beside the window ([`lane::aside`]), and should ask now and then whether it is outdated, and then give up.
/// The window is woken when it is done.
pub fn latest<K, A, W>(ui: &Ui, id: Id, key: K, work: impl FnOnce() -> W) -> Latest<A>
where
    K: Clone + PartialEq + Send + Sync + 'static,
    A: Send + Sync + 'static,
    W: FnOnce(&dyn Fn() -> bool) -> Option<A> + Send + 'static,
{
    let shared = shared::<K, A>(ui, id);
    let mut slot = lock(&shared.slot);
    let is_new = slot.asked.as_ref() != Some(&key);
    if is_new && slot.is_at_work {
        // It is asked to give up, and wakes the window when it has.
        shared.newest.fetch_add(1, Ordering::Relaxed);
        slot.asked = None;
        slot.is_busy = true;
    } else if is_new {
        slot.asked = Some(key.clone());
        (slot.is_busy, slot.is_at_work) = (true, true);
        let serial = shared.newest.fetch_add(1, Ordering::Relaxed) + 1;
        let (theirs, context, work, key) = (shared.clone(), ui.ctx().clone(), work(), key.clone());
        drop(slot);
        lane::aside(move || answer(&theirs, &context, serial, key, work));
        slot = lock(&shared.slot);
        if slot.is_busy {
            let waited = shared
                .answered
                .wait_timeout_while(slot, PATIENCE, |slot| slot.is_busy);
            slot = waited.unwrap_or_else(|broken| broken.into_inner()).0;
        }
    }
    if slot.is_busy {
        ui.data_mut(|data| data.insert_temp(Id::unique(WAITS), true));
    }
    Latest {
        is_current: slot.answer.as_ref().is_some_and(|(of, _)| *of == key),
        answer: slot.answer.as_ref().map(|(_, answer)| answer.clone()),
        is_busy: slot.is_busy,
    }
}

const WAITS: &str = "an answer is still to come";

/// Whether what was drawn since this was asked last waits for an answer: a picture of it is not to be kept.
pub fn waits(context: &Context) -> bool {
    context.data_mut(|data| data.remove_temp(Id::unique(WAITS)).unwrap_or(false))
}

/// A spinner with a button to give up, for what [`latest`] computes at `id`.
pub fn waiting<K, A>(ui: &mut Ui, id: Id, language: Language)
where
    K: Send + Sync + 'static,
    A: Send + Sync + 'static,
{
    ui.spinner();
    if ui.small_button(language.tr("Cancel")).clicked() {
        let shared = shared::<K, A>(ui, id);
        shared.newest.fetch_add(1, Ordering::Relaxed);
        lock(&shared.slot).is_busy = false;
    }
}

fn shared<K, A>(ui: &Ui, id: Id) -> Arc<Shared<K, A>>
where
    K: Send + Sync + 'static,
    A: Send + Sync + 'static,
{
    let new = || {
        Arc::new(Shared {
            newest: AtomicU64::new(0),
            slot: Mutex::new(Slot {
                asked: None,
                answer: None,
                is_busy: false,
                is_at_work: false,
            }),
            answered: Condvar::new(),
        })
    };
    ui.data_mut(|data| data.get_temp_mut_or_insert_with(id, new).clone())
}

fn answer<K, A>(
    shared: &Shared<K, A>,
    context: &Context,
    serial: u64,
    key: K,
    work: impl FnOnce(&dyn Fn() -> bool) -> Option<A>,
) {
    let outdated = || shared.newest.load(Ordering::Relaxed) != serial;
    // Work that panics is work that gave up: the next question is answered all the same.
    let made = catch_unwind(AssertUnwindSafe(|| work(&outdated)));
    let made = made.ok().flatten();
    let mut slot = lock(&shared.slot);
    slot.is_at_work = false;
    // What was made of an outdated question is still newer than what is shown.
    slot.answer = match made {
        Some(made) => Some((key, Arc::new(made))),
        None => slot.answer.take(),
    };
    if !outdated() {
        slot.is_busy = false;
    }
    drop(slot);
    shared.answered.notify_all();
    context.request_repaint();
}

/// What a thread that panicked left behind is whole: it is written in one piece.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
