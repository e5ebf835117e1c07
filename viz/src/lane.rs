//! Work beside the window, which never waits for it: on threads, or, in a browser, where a page has none, between the frames of its window.

use std::time::Duration;

/// A step of some work: when the next one is due, or nothing where it was the last.
type Work<S> = Box<dyn FnMut(&mut S) -> Option<Duration> + Send>;

/// Works that are done one after another, with an `S` that they hand on.
pub struct Lane<S>(platform::Lane<S>);

impl<S: Default + Send + 'static> Lane<S> {
    /// A lane without work.
    pub fn new(name: &str) -> Self {
        Lane(platform::Lane::new(name))
    }

    /// Does `work` once, after what it was given before.
    pub fn run(&self, work: impl FnOnce(&mut S) + Send + 'static) {
        let mut work = Some(work);
        self.run_in_steps(move |state| {
            if let Some(work) = work.take() {
                work(state);
            }
            None
        });
    }

    /// Does `work` step by step, after what it was given before. A step says how long to pause before the next, or that it was the last.
    ///
    /// What has been overtaken should end with its next step, and no pause be so long that this is noticed.
    pub fn run_in_steps(&self, work: impl FnMut(&mut S) -> Option<Duration> + Send + 'static) {
        self.0.add(Box::new(work));
    }
}

/// Does `work` beside the window and beside everything else; in a browser at once.
pub fn aside(work: impl FnOnce() + Send + 'static) {
    platform::aside(work);
}

#[cfg(not(target_family = "wasm"))]
mod platform {
    use super::Work;
    use std::{sync::mpsc, thread};

    /// A thread, which ends with its lane.
    pub struct Lane<S>(mpsc::Sender<Work<S>>);

    impl<S: Default + 'static> Lane<S> {
        pub fn new(name: &str) -> Self {
            let (add, works) = mpsc::channel::<Work<S>>();
            let thread = thread::Builder::new().name(name.into());
            let run = move || {
                let mut state = S::default();
                for mut work in works {
                    while let Some(pause) = work(&mut state) {
                        thread::sleep(pause);
                    }
                }
            };
            thread.spawn(run).expect("the system starts a thread");
            Lane(add)
        }

        pub fn add(&self, work: Work<S>) {
            // The thread ends only with the lane.
            let _ = self.0.send(work);
        }
    }

    pub fn aside(work: impl FnOnce() + Send + 'static) {
        thread::spawn(work);
    }
}

#[cfg(target_family = "wasm")]
mod platform {
    use super::Work;
    use gloo_timers::callback::Timeout;
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex, PoisonError},
        time::Duration,
    };

    struct Queue<S> {
        state: S,
        works: VecDeque<Work<S>>,
    }

    /// A queue, of which one step is done between two frames.
    pub struct Lane<S>(Arc<Mutex<Queue<S>>>);

    impl<S: Default + Send + 'static> Lane<S> {
        pub fn new(_: &str) -> Self {
            Lane(Arc::new(Mutex::new(Queue {
                state: S::default(),
                works: VecDeque::new(),
            })))
        }

        pub fn add(&self, work: Work<S>) {
            let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            queue.works.push_back(work);
            if queue.works.len() == 1 {
                next(self.0.clone(), Duration::ZERO);
            }
        }
    }

    fn next<S: Send + 'static>(shared: Arc<Mutex<Queue<S>>>, pause: Duration) {
        let step = move || {
            let mut queue = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let Queue { state, works } = &mut *queue;
            let mut pause = works.front_mut().and_then(|work| work(state));
            if pause.is_none() {
                works.pop_front();
                pause = (!works.is_empty()).then_some(Duration::ZERO);
            }
            drop(queue);
            if let Some(pause) = pause {
                next(shared, pause);
            }
        };
        Timeout::new(pause.as_millis() as u32, step).forget();
    }

    pub fn aside(work: impl FnOnce() + Send + 'static) {
        work();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Catches: works out of their order, steps of one between those of another, a state that is not handed on, a pause that is not kept.
    #[test]
    fn works_are_done_one_after_another() {
        let lane = Lane::<u32>::new("test");
        let (done, said) = mpsc::channel();
        for work in 0..3 {
            let done = done.clone();
            let mut steps = 0;
            lane.run_in_steps(move |state| {
                steps += 1;
                *state += 1;
                done.send((work, steps, *state)).unwrap();
                (steps < 3).then_some(Duration::from_millis(20))
            });
        }
        let begun = std::time::Instant::now();
        lane.run(move |state| done.send((3, 1, *state)).unwrap());
        let expected = (0..9).map(|i| (i / 3, i % 3 + 1, i + 1)).chain([(3, 1, 9)]);
        assert!(said.iter().eq(expected));
        assert!(begun.elapsed() >= Duration::from_millis(100));
    }
}
