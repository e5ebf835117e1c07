//! Trials, on libtest-mimic: random cases, panics told in a line, and a closing summary.

use crate::{
    language::Language,
    report::{self, Outcome},
};
use libtest_mimic::{Arguments, Failed, Trial as LibtestTrial};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner},
};
use std::{
    backtrace::Backtrace,
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::{Arc, LazyLock, Mutex},
};

/// What is wrong with an answer.
#[derive(Clone, Debug)]
pub enum Problem {
    /// A `todo!()` was met, at this line of this file.
    NotWritten { at: String },
    /// The answer differs, or the way there does not end well.
    Wrong(Wrong),
}

/// A wrong answer, in words for the learner.
#[derive(Clone, Debug)]
pub struct Wrong {
    /// What it is that differs.
    pub about: String,
    /// How.
    pub text: String,
    /// What may be behind it, the likeliest first.
    pub suspicions: Vec<Suspicion>,
}

/// A mistake that would explain a wrong answer.
#[derive(Clone, Debug)]
pub struct Suspicion {
    /// Tells it from others: its text, but without what differs from case to case.
    pub kind: String,
    pub text: String,
}

impl Problem {
    pub fn wrong(text: String) -> Self {
        Problem::Wrong(Wrong {
            about: String::new(),
            text,
            suspicions: Vec::new(),
        })
    }
}

/// What a test finds.
pub type Finding = Result<(), Problem>;

/// One of the tests of an exercise.
pub struct Trial {
    /// What `cargo test` calls it, and takes as a filter.
    name: &'static str,
    /// What the runner calls it, in the learner's language.
    title: String,
    test: Box<dyn Fn() -> Finding + Send + Sync>,
}

/// A test of one case. `zh` is its name in Chinese.
pub fn case(
    name: &'static str,
    zh: &str,
    test: impl Fn() -> Finding + Send + Sync + 'static,
) -> Trial {
    Trial {
        name,
        title: say(name.replace('_', " "), zh),
        test: Box::new(move || without_panic(&test)),
    }
}

/// A test of random cases. The smallest case that fails is the one that is told, and the same cases come every time;
/// `PROPTEST_RNG_SEED` asks for others, `PROPTEST_CASES` for more.
pub fn property<S>(
    name: &'static str,
    zh: &str,
    cases: S,
    test: impl Fn(S::Value) -> Finding + Send + Sync + 'static,
) -> Trial
where
    S: Strategy + Send + Sync + 'static,
    S::Value: Clone,
{
    let run = move || {
        let mut config = Config {
            failure_persistence: None,
            max_shrink_iters: 50_000,
            ..Config::default()
        };
        if config.rng_seed == RngSeed::Random {
            config.rng_seed = RngSeed::Fixed(2309_10305);
        }
        let seed = config.rng_seed;
        let mut runner = TestRunner::new(config.clone());
        let found = runner.run(&cases, |case| {
            quickly(&|| test(case.clone())).map_err(|_| TestCaseError::fail("wrong"))
        });
        match found {
            Ok(()) => Ok(()),
            Err(TestError::Fail(_, smallest)) => {
                // Once more, to be told in full.
                match without_panic(&|| test(smallest.clone())) {
                    Err(Problem::Wrong(mut wrong)) => {
                        let mut runner = TestRunner::new(config);
                        let others = (0..runner.config().cases)
                            .filter_map(|_| cases.new_tree(&mut runner).ok())
                            .map(|tree| quickly(&|| test(tree.current())));
                        keep_what_explains_all(&mut wrong, others);
                        let seed = say(
                            format!("(the smallest failing case of those tried, seed {seed})"),
                            format!("（试过的例子里最小的一个失败例子，种子 {seed}）"),
                        );
                        wrong.text = format!("{}\n  {seed}", wrong.text);
                        Err(Problem::Wrong(wrong))
                    }
                    Err(other) => Err(other),
                    Ok(()) => Err(Problem::wrong(say(
                        "the same input gives a right answer once and a wrong one \
                another time: does it remember something between calls?",
                        "同样的输入，一次答对，一次答错：\
                它是否在两次调用之间记住了什么？",
                    ))),
                }
            }
            Err(TestError::Abort(why)) => panic!("the test cannot make its cases: {why}"),
        }
    };
    Trial {
        name,
        title: say(name.replace('_', " "), zh),
        test: Box::new(run),
    }
}

/// The smallest failing case is so small that many mistakes would explain it. The one that was made explains the
/// others as well.
fn keep_what_explains_all(wrong: &mut Wrong, others: impl Iterator<Item = Finding>) {
    for other in others {
        if let Err(Problem::Wrong(other)) = other
            && other.about == wrong.about
        {
            wrong
                .suspicions
                .retain(|s| other.suspicions.iter().any(|o| o.kind == s.kind));
        }
    }
}

/// One of two texts, in the learner's language.
pub fn say(en: impl Into<String>, zh: impl Into<String>) -> String {
    static LANGUAGE: LazyLock<Language> = LazyLock::new(Language::of_environment);
    LANGUAGE.say(en, zh)
}

/// Runs the trials of all exercises, in the terminal as `cargo test` does, and into the report where one is asked for.
pub fn run(exercises: Vec<(&'static str, Vec<Trial>)>) -> ExitCode {
    let args = Arguments::from_args();
    panic::set_hook(Box::new(remember));
    let results: Arc<Mutex<Vec<report::Trial>>> = Arc::default();
    let mut trials = Vec::new();
    for (exercise, of_exercise) in exercises {
        let of_exercise = only_once(exercise, of_exercise, &args);
        for (place, trial) in of_exercise.into_iter().enumerate() {
            let results = Arc::clone(&results);
            trials.push(LibtestTrial::test(
                format!("{exercise}::{}", trial.name),
                move || {
                    let outcome = outcome(exercise, (trial.test)());
                    results
                        .lock()
                        .expect("no trial panics here")
                        .push(report::Trial {
                            exercise: exercise.to_owned(),
                            place,
                            name: trial.name.to_owned(),
                            title: trial.title.clone(),
                            outcome: outcome.clone(),
                        });
                    match outcome {
                        Outcome::Passed => Ok(()),
                        Outcome::NotWritten(text) | Outcome::Failed(text) => {
                            Err(Failed::from(text))
                        }
                    }
                },
            ));
        }
    }
    let conclusion = libtest_mimic::run(&args, trials);
    let results = results.lock().expect("no trial panics here");
    if let Some(file) = std::env::var_os(report::VARIABLE) {
        let json = serde_json::to_vec(&*results).expect("texts are JSON");
        if let Err(error) = std::fs::write(&file, json) {
            eprintln!("{}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    } else if conclusion.num_failed > 0 {
        summary(&results);
    }
    conclusion.exit_code()
}

/// All trials of an exercise; of one that is not begun, the first alone, for it says all that there is to say.
fn only_once(exercise: &str, mut trials: Vec<Trial>, args: &Arguments) -> Vec<Trial> {
    let whole = args
        .filter
        .as_deref()
        .is_none_or(|filter| format!("{exercise}::").contains(filter) && !args.exact);
    if args.list || !whole {
        return trials;
    }
    let not_written = |trial: &Trial| matches!((trial.test)(), Err(Problem::NotWritten { .. }));
    // The second is asked only where the first met a `todo!()`.
    if trials.iter().all(not_written) {
        trials.truncate(1);
    }
    trials
}

fn outcome(exercise: &str, finding: Finding) -> Outcome {
    match finding {
        Ok(()) => Outcome::Passed,
        Err(Problem::NotWritten { at }) => Outcome::NotWritten(say(
            format!("{exercise} is not written yet: open {at}"),
            format!("{exercise} 还没有写：请打开 {at}"),
        )),
        Err(Problem::Wrong(Wrong {
            text, suspicions, ..
        })) => Outcome::Failed(match suspicions.first() {
            None => text,
            Some(Suspicion { text: smell, .. }) => format!(
                "{text}\n  {}",
                say(
                    format!("smells like: {smell}"),
                    format!("看起来像是：{smell}")
                )
            ),
        }),
    }
}

/// What to do next, after the list of failures.
fn summary(results: &[report::Trial]) {
    let mut names: Vec<&str> = results.iter().map(|r| r.exercise.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let solved = |name: &&&str| {
        results
            .iter()
            .all(|r| r.exercise != **name || r.outcome == Outcome::Passed)
    };
    let solved = names.iter().filter(solved).count();
    println!(
        "{}\n",
        say(
            format!(
                "{solved} of {} exercises are solved. What to do next, one \
                at a time: cargo run -p exercises",
                names.len()
            ),
            format!(
                "{} 道练习中已完成 {solved} 道。接下来做什么，一次一道：\
                cargo run -p exercises",
                names.len()
            )
        )
    );
}

// --- panics ---

struct Panic {
    message: String,
    /// `file:line` in the learner's code where it is known, else where it happened.
    at: String,
}

thread_local! {
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
    static TELLING: Cell<Telling> = const { Cell::new(Telling::Aloud) };
}

/// How much is wanted of a panic.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// It is no learner's: a mistake of the tests themselves.
    Aloud,
    /// It is one of many, looked at again later.
    Roughly,
    /// With the line of the learner's code, which a backtrace takes its time to find.
    Exactly,
}

/// Prints nothing: a learner needs one line, not a backtrace.
fn remember(info: &panic::PanicHookInfo) {
    let message = info
        .payload_as_str()
        .unwrap_or("a panic without words")
        .to_owned();
    let at = info.location().map_or_else(String::new, |location| {
        let file = location.file().replace('\\', "/");
        if file.contains("exercises/src/") || TELLING.get() != Telling::Exactly {
            format!("{file}:{}", location.line())
        } else {
            // It happened in a library: where was it called?
            let trace = format!("{:#}", Backtrace::force_capture()).replace('\\', "/");
            trace
                .lines()
                .find(|line| line.contains("exercises/src/"))
                .and_then(|line| line.trim().strip_prefix("at "))
                .and_then(|line| line.rsplit_once(':'))
                .map_or(format!("{file}:{}", location.line()), |(line, _)| {
                    line.trim_start_matches("./").to_owned()
                })
        }
    });
    if TELLING.get() == Telling::Aloud {
        eprintln!("{message} ({at})");
    }
    LAST.set(Some(Panic { message, at }));
}

fn without_panic(test: &dyn Fn() -> Finding) -> Finding {
    caught(Telling::Exactly, test)
}

fn quickly(test: &dyn Fn() -> Finding) -> Finding {
    caught(Telling::Roughly, test)
}

fn caught(telling: Telling, test: &dyn Fn() -> Finding) -> Finding {
    TELLING.set(telling);
    let found = panic::catch_unwind(AssertUnwindSafe(test));
    TELLING.set(Telling::Aloud);
    found.unwrap_or_else(|_| {
        let Panic { message, at } = LAST.take().expect("a panic was remembered");
        let at = match at.find("exercises/src/") {
            Some(start) => at[start..].to_owned(),
            None => at,
        };
        Err(if message.starts_with("not yet implemented") {
            Problem::NotWritten { at }
        } else {
            Problem::wrong(say(
                format!("your code stops with a panic at {at}:\n  {message}"),
                format!("你的代码在 {at} 处发生 panic：\n  {message}"),
            ))
        })
    })
}
