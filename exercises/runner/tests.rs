//! Builds the tests and runs them.

use crate::{language, language::Language, report, report::Outcome};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long the trials may take together, before the learner is told that something does not end.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the tests found.
pub enum Tested {
    /// Nothing: this did not compile.
    DoesNotCompile(Vec<CompileError>),
    /// It did not end.
    Endless,
    /// By exercise, the trials of each.
    Ran(BTreeMap<String, Vec<report::Trial>>),
}

/// What the compiler says.
pub struct CompileError {
    /// Where, relative to the workspace; none for what has no place.
    pub file: Option<String>,
    /// As the compiler prints it.
    pub text: String,
}

/// Where an exercise stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Solved,
    NotWritten,
    Wrong,
}

/// Of its trials.
pub fn state(trials: &[report::Trial]) -> State {
    let passed = |t: &report::Trial| t.outcome == Outcome::Passed;
    if !trials.is_empty() && trials.iter().all(passed) {
        State::Solved
    } else if trials
        .iter()
        .all(|t| matches!(t.outcome, Outcome::NotWritten(_)))
    {
        State::NotWritten
    } else {
        State::Wrong
    }
}

/// Cargo's messages, as far as they matter here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    message: Option<Diagnostic>,
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    rendered: Option<String>,
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    file_name: String,
    is_primary: bool,
}

/// Cargo, as this program was started by it.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Builds the tests of the package in `folder` and runs those of one exercise, or all.
pub fn run(
    folder: &Path,
    exercise: Option<&str>,
    language: Language,
    arguments: &[&str],
) -> Result<Tested> {
    let executable = match build(folder, language, arguments)? {
        Ok(executable) => executable,
        Err(errors) => return Ok(Tested::DoesNotCompile(errors)),
    };
    let report = executable.with_extension("report.json");
    if report.exists() {
        std::fs::remove_file(&report)?;
    }
    let mut command = Command::new(&executable);
    command
        .current_dir(folder)
        .env(report::VARIABLE, &report)
        .env(language::VARIABLE, language.say("en", "zh"))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if let Some(exercise) = exercise {
        command.arg(format!("{exercise}::"));
    }
    let mut child = command
        .spawn()
        .with_context(|| executable.display().to_string())?;
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if began.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Ok(Tested::Endless);
        }
        thread::sleep(Duration::from_millis(10));
    };
    let Ok(json) = std::fs::read(&report) else {
        bail!(language.say(
            format!(
                "the tests ended without a word ({status}): did the stack \
                overflow in an endless recursion?"
            ),
            format!("测试没有留下一句话就结束了（{status}）：是不是无穷递归，栈溢出了？"),
        ));
    };
    let mut by_exercise: BTreeMap<String, Vec<report::Trial>> = BTreeMap::new();
    for trial in serde_json::from_slice::<Vec<report::Trial>>(&json)? {
        by_exercise
            .entry(trial.exercise.clone())
            .or_default()
            .push(trial);
    }
    for trials in by_exercise.values_mut() {
        trials.sort_by_key(|trial| trial.place);
    }
    Ok(Tested::Ran(by_exercise))
}

fn build(
    folder: &Path,
    language: Language,
    arguments: &[&str],
) -> Result<Result<PathBuf, Vec<CompileError>>> {
    let mut cargo = cargo();
    cargo
        .args([
            "test",
            "--package",
            "exercises",
            "--test",
            "all",
            "--no-run",
        ])
        .arg("--message-format=json-diagnostic-rendered-ansi")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = cargo.spawn().context("cargo does not start")?;
    let stdout = child.stdout.take().expect("it is piped");
    let (mut executable, mut errors) = (None, Vec::new());
    for line in BufReader::new(stdout).lines() {
        let Ok(message) = serde_json::from_str::<Message>(&line?) else {
            continue; // what is no message is for nobody here
        };
        match (message.reason.as_str(), message.message) {
            ("compiler-message", Some(diagnostic)) if diagnostic.level == "error" => {
                let file = diagnostic
                    .spans
                    .into_iter()
                    .find(|span| span.is_primary)
                    .map(|span| span.file_name);
                errors.push(CompileError {
                    file,
                    text: diagnostic.rendered.unwrap_or_default(),
                });
            }
            // Cargo builds the programs of the package for its tests, too.
            ("compiler-artifact", _)
                if message.target.is_some_and(|target| target.kind == ["test"]) =>
            {
                executable = message.executable;
            }
            _ => {}
        }
    }
    let status = child.wait()?;
    match executable {
        Some(executable) if status.success() => Ok(Ok(executable)),
        _ if errors.is_empty() => bail!(language.say(
            format!("cargo ended with {status}; what it said stands above"),
            format!("cargo 以 {status} 结束；它说了什么，见上面"),
        )),
        _ => Ok(Err(errors)),
    }
}
