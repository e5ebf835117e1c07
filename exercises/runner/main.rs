//! The runner of the exercises: where you are, what comes next, hints, and why.
//!
//! It keeps no file of its own: how far you are is what the tests say.

mod catalogue;
mod check;
mod language;
mod report;
mod screen;
mod tests;
mod watch;

use anyhow::{Result, bail};
use catalogue::{Catalogue, Exercise};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use language::Language;
use screen::Screen;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};
use tests::State;

/// Baichuan 2, written by you: shows how far you are, and tests one exercise by its name.
#[derive(Parser)]
#[command(bin_name = "cargo run -p exercises --")]
struct Cli {
    /// The language: en or zh. Without it, that of the system (LANG).
    #[arg(long, short, global = true)]
    language: Option<Language>,
    /// Tests this exercise. Without a name: the list, and how far you are.
    name: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// All exercises, and how far you are.
    List,
    /// Tests the first exercise that is not solved.
    Next,
    /// Tests an exercise whenever its file is saved, and goes on to the next.
    Watch,
    /// A hint; more of them where you ask for more.
    Hint(Hint),
    /// Why it is so, once it is solved.
    Why {
        /// The exercise.
        name: String,
    },
    /// Puts back what an exercise began with. Your file is kept beside it.
    Reset {
        /// The exercise.
        name: String,
    },
    /// Puts the files that you have not begun into your language.
    Translate,
    /// For those who write exercises: tests the tests, with stubs, solutions and known mistakes.
    Check {
        /// Also shows what a learner would read of each mistake.
        #[arg(long)]
        messages: bool,
    },
}

#[derive(Args)]
struct Hint {
    /// The exercise.
    name: String,
    /// Which hint, from 1.
    #[arg(long, short, conflicts_with = "more")]
    number: Option<usize>,
    /// One more hint; twice, two more.
    #[arg(long, short, action = ArgAction::Count)]
    more: u8,
}

impl std::str::FromStr for Language {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "en" => Ok(Language::En),
            "zh" => Ok(Language::Zh),
            _ => Err("the languages are en and zh".to_owned()),
        }
    }
}

/// The language of the help: that of `--language` wherever it stands, for help is printed before anything is read.
fn asked_for() -> Language {
    let arguments: Vec<String> = env::args().collect();
    let after = |pair: &[String]| match &*pair[0] {
        "--language" | "-l" => pair[1].parse().ok(),
        _ => None,
    };
    arguments
        .windows(2)
        .find_map(after)
        .or_else(|| {
            arguments
                .iter()
                .find_map(|a| a.strip_prefix("--language=")?.parse().ok())
        })
        .unwrap_or_else(Language::of_environment)
}

/// The command line, with its help in `language`.
fn command(language: Language) -> clap::Command {
    let mut command = Cli::command();
    if language == Language::Zh {
        command = command
            .about("Baichuan 2，由你写出：显示你做到哪里了；给出练习名就测试那一道。")
            .mut_args(|argument| match argument.get_id().as_str() {
                "language" => argument.help("语言：en 或 zh。不给时取系统的（LANG）。"),
                "name" => argument.help("测试这道练习。不给名字：显示清单和进度。"),
                _ => argument,
            });
        for (name, about) in [
            ("list", "所有练习，以及你做到哪里了。"),
            ("next", "测试第一道还没有完成的练习。"),
            ("watch", "每次保存文件就测试那道练习，完成后接着下一道。"),
            ("hint", "一条提示；要更多就给更多。"),
            ("why", "为什么是这样；完成之后才能看。"),
            ("reset", "恢复练习最初的样子。你的文件会留在旁边。"),
            ("translate", "把你还没有动手的文件换成你的语言。"),
            (
                "check",
                "给写练习的人：用最初的文件、答案和已知的错误来检验测试。",
            ),
        ] {
            command = command.mut_subcommand(name, |command| {
                command
                    .about(about)
                    .mut_args(|argument| match argument.get_id().as_str() {
                        "name" => argument.help("哪道练习。"),
                        "number" => argument.help("第几条提示，从 1 数起。"),
                        "more" => argument.help("多看一条；写两次，多看两条。"),
                        "messages" => argument.help("也显示学习者在每个错误上会读到什么。"),
                        _ => argument,
                    })
            });
        }
    }
    command
}

fn main() -> ExitCode {
    let cli = Cli::from_arg_matches(&command(asked_for()).get_matches())
        .unwrap_or_else(|error| error.exit());
    let screen = Screen {
        language: cli.language.unwrap_or_else(Language::of_environment),
    };
    match run(cli, &screen) {
        Ok(code) => code,
        Err(error) => {
            screen.error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, screen: &Screen) -> Result<ExitCode> {
    // As cargo says when it runs this, so that another copy of the package can be asked about, too.
    let folder = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let catalogue = Catalogue::open(&folder, screen.language)?;
    let done = match (cli.command, cli.name) {
        (Some(_), Some(name)) => {
            bail!(screen.language.say(
                format!("`{name}` stands before a command: `--help` shows the order"),
                format!("`{name}` 写在了命令前面：`--help` 说明次序"),
            ))
        }
        (None, Some(name)) => test(&catalogue, screen, &catalogue.find(&name)?.name)?,
        (None | Some(Command::List), None) => list(&catalogue, screen)?,
        (Some(Command::Next), None) => next(&catalogue, screen)?,
        (Some(Command::Watch), None) => watch::watch(&catalogue, screen)?,
        (Some(Command::Hint(asked)), None) => hint(&catalogue, screen, &asked)?,
        (Some(Command::Why { name }), None) => why(&catalogue, screen, &name)?,
        (Some(Command::Reset { name }), None) => reset(&catalogue, screen, &name)?,
        (Some(Command::Translate), None) => translate(&catalogue, screen)?,
        (Some(Command::Check { messages }), None) => check::check(&catalogue, messages)?,
    };
    Ok(if done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The list with what is solved. True where it could be made.
fn list(catalogue: &Catalogue, screen: &Screen) -> Result<bool> {
    let Some(found) = screen.tested(catalogue, None)? else {
        return Ok(false);
    };
    screen.list(catalogue, &found);
    Ok(true)
}

/// Tests one. True where it is solved.
fn test(catalogue: &Catalogue, screen: &Screen, name: &str) -> Result<bool> {
    let Some(found) = screen.tested(catalogue, Some(name))? else {
        return Ok(false);
    };
    let trials = found.get(name).map_or(&[][..], Vec::as_slice);
    screen.result(catalogue, catalogue.find(name)?, trials);
    Ok(tests::state(trials) == State::Solved)
}

/// Tests the first that is not solved.
fn next(catalogue: &Catalogue, screen: &Screen) -> Result<bool> {
    let Some(found) = screen.tested(catalogue, None)? else {
        return Ok(false);
    };
    match screen::first_unsolved(catalogue, &found) {
        Some(exercise) => {
            let trials = found.get(&exercise.name).map_or(&[][..], Vec::as_slice);
            screen.result(catalogue, exercise, trials);
        }
        None => screen.all_solved(catalogue),
    }
    Ok(true)
}

fn hint(catalogue: &Catalogue, screen: &Screen, asked: &Hint) -> Result<bool> {
    let name = &catalogue.find(&asked.name)?.name;
    let hints = catalogue.hints(name, screen.language)?;
    let shown = match asked.number {
        Some(number) if (1..=hints.len()).contains(&number) => number - 1..number,
        Some(number) => bail!(screen.language.say(
            format!(
                "{name} has hints 1 to {}, and no hint {number}",
                hints.len()
            ),
            format!(
                "{name} 有第 1 到第 {} 条提示，没有第 {number} 条",
                hints.len()
            ),
        )),
        None => 0..hints.len().min(usize::from(asked.more) + 1),
    };
    screen.hints(name, &hints, shown);
    Ok(true)
}

fn why(catalogue: &Catalogue, screen: &Screen, name: &str) -> Result<bool> {
    let name = &catalogue.find(name)?.name;
    let Some(found) = screen.tested(catalogue, Some(name))? else {
        return Ok(false);
    };
    if tests::state(found.get(name).map_or(&[][..], Vec::as_slice)) != State::Solved {
        screen.not_yet(name);
        return Ok(false);
    }
    println!("{}", catalogue.why(name, screen.language)?);
    Ok(true)
}

fn reset(catalogue: &Catalogue, screen: &Screen, name: &str) -> Result<bool> {
    let name = &catalogue.find(name)?.name;
    let stub = |language| catalogue::read(&catalogue.stub(name, language));
    let (answer, stub, other) = (
        catalogue.answer(name),
        stub(screen.language)?,
        stub(screen.language.other())?,
    );
    let written = answer
        .exists()
        .then(|| catalogue::read(&answer))
        .transpose()?;
    if written.as_ref() == Some(&stub) {
        screen.nothing_to_reset(name);
        return Ok(true);
    }
    let kept = written
        .is_some_and(|written| written != other)
        .then(|| keep(&answer))
        .transpose()?;
    fs::write(&answer, stub)?;
    screen.reset(catalogue, &answer, kept.as_deref());
    Ok(true)
}

/// Files that are still what they began with, in the other language, are put into this one.
fn translate(catalogue: &Catalogue, screen: &Screen) -> Result<bool> {
    let untouched = catalogue.untouched(screen.language.other());
    for Exercise { name, .. } in &untouched {
        let stub = catalogue::read(&catalogue.stub(name, screen.language))?;
        fs::write(catalogue.answer(name), stub)?;
    }
    screen.translated(untouched.len());
    Ok(true)
}

/// Copies a file beside itself, under a name that is free: `softmax.rs.1`, `softmax.rs.2`, …
fn keep(file: &Path) -> Result<PathBuf> {
    let text = fs::read(file)?;
    for number in 1_u32.. {
        let mut name = file.as_os_str().to_owned();
        name.push(format!(".{number}"));
        // `create_new` never opens what is there already.
        match fs::File::create_new(&name) {
            Ok(mut new) => {
                std::io::Write::write_all(&mut new, &text)?;
                return Ok(name.into());
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("there are more numbers than files")
}
