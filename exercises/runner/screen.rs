//! What the learner sees.

use crate::{
    catalogue::{Catalogue, Exercise},
    language::Language,
    report::{Outcome, Trial},
    tests::{self, CompileError, State, Tested},
};
use anstream::{eprintln, println};
use anstyle::{AnsiColor, Style};
use anyhow::Result;
use std::{collections::BTreeMap, ops::Range, path::Path};

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const TITLE: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();

/// The terminal, in one of two languages.
pub struct Screen {
    pub language: Language,
}

/// Exercises and their trials.
pub type Found = BTreeMap<String, Vec<Trial>>;

/// The first exercise that is not solved.
pub fn first_unsolved<'a>(catalogue: &'a Catalogue, found: &Found) -> Option<&'a Exercise> {
    catalogue
        .exercises
        .iter()
        .find(|e| state_of(found, e) != State::Solved)
}

fn state_of(found: &Found, exercise: &Exercise) -> State {
    tests::state(found.get(&exercise.name).map_or(&[][..], Vec::as_slice))
}

impl Screen {
    fn say(&self, en: impl Into<String>, zh: impl Into<String>) -> String {
        self.language.say(en, zh)
    }

    pub fn error(&self, text: &str) {
        eprintln!(
            "{BAD}{}{BAD:#} {text}",
            self.say("It did not work:", "没有成功：")
        );
    }

    /// Runs the tests of one exercise, or of all. None where they could not be run, which is told.
    pub fn tested(&self, catalogue: &Catalogue, exercise: Option<&str>) -> Result<Option<Found>> {
        match tests::run(&catalogue.folder, exercise, self.language, &["--quiet"])? {
            Tested::Ran(found) => Ok(Some(found)),
            Tested::DoesNotCompile(errors) => {
                self.does_not_compile(&errors);
                Ok(None)
            }
            Tested::Endless => {
                let what = exercise.map_or_else(
                    || self.say("one of the exercises", "某道练习"),
                    str::to_owned,
                );
                println!(
                    "{BAD}✗{BAD:#} {}",
                    self.say(
                        format!(
                            "{what} does not come to an end: I stopped waiting. Is \
                there a loop whose condition never changes?"
                        ),
                        format!(
                            "{what} 一直不结束，我不再等了。\
                是不是有一个条件永远不变的循环？"
                        ),
                    )
                );
                Ok(None)
            }
        }
    }

    fn does_not_compile(&self, errors: &[CompileError]) {
        for error in errors {
            println!("{}", error.text);
        }
        let mut files: Vec<&str> = errors.iter().filter_map(|e| e.file.as_deref()).collect();
        files.sort_unstable();
        files.dedup();
        let (en, zh) = match files.as_slice() {
            [] => (
                "The code does not compile".to_owned(),
                "代码不能编译".to_owned(),
            ),
            files => (
                format!("{} does not compile", files.join(", ")),
                format!("{} 不能编译", files.join("、")),
            ),
        };
        println!(
            "{BAD}✗{BAD:#} {}",
            self.say(
                format!(
                    "{en}: the compiler says above what it did not understand. \
                Until then no exercise can be tested, for all are compiled \
                together."
                ),
                format!(
                    "{zh}：编译器在上面说明了它不明白的地方。\
                所有练习是一起编译的，改好之前哪一道都无法测试。"
                ),
            )
        );
    }

    /// All exercises with their state, and what comes next.
    pub fn list(&self, catalogue: &Catalogue, found: &Found) {
        let width = catalogue
            .exercises
            .iter()
            .map(|e| e.name.len())
            .max()
            .unwrap_or(0);
        for (i, exercise) in catalogue.exercises.iter().enumerate() {
            let (style, mark) = match state_of(found, exercise) {
                State::Solved => (GOOD, "✓"),
                State::NotWritten => (QUIET, "·"),
                State::Wrong => (BAD, "✗"),
            };
            let stars = "★".repeat(exercise.difficulty.into());
            println!(
                "{style}{mark}{style:#} {:>2} {TITLE}{:width$}{TITLE:#}  \
                {QUIET}{stars:5}{QUIET:#}  {}",
                i + 1,
                exercise.name,
                exercise.title(self.language),
            );
        }
        let solved = catalogue
            .exercises
            .iter()
            .filter(|e| state_of(found, e) == State::Solved)
            .count();
        println!(
            "\n{}",
            self.say(
                format!("{solved} of {} solved.", catalogue.exercises.len()),
                format!("{} 道中已完成 {solved} 道。", catalogue.exercises.len()),
            )
        );
        match first_unsolved(catalogue, found) {
            Some(exercise) => self.go_on(catalogue, exercise),
            None => self.all_solved(catalogue),
        }
    }

    fn go_on(&self, catalogue: &Catalogue, exercise: &Exercise) {
        let name = &exercise.name;
        let other = catalogue.untouched(self.language.other());
        if other.iter().any(|other| other.name == *name) {
            println!(
                "{}",
                self.say(
                    "Its question is in Chinese. In English: cargo run -p exercises translate \
                --language en",
                    "题目文件是英文的。换成中文：cargo run -p exercises translate --language zh",
                )
            );
        }
        println!(
            "{}",
            self.say(
                format!(
                    "Next: open {TITLE}{}{TITLE:#}, then test it:  cargo run -p \
                exercises {name}\n{QUIET}A hint: cargo run -p exercises \
                hint {name}   By itself on every save: cargo run -p \
                exercises watch{QUIET:#}",
                    shown(&catalogue.answer(name))
                ),
                format!(
                    "下一道：打开 {TITLE}{}{TITLE:#}，然后测试：cargo run -p \
                exercises {name}\n{QUIET}提示：cargo run -p exercises hint \
                {name}   每次保存自动测试：cargo run -p exercises \
                watch{QUIET:#}",
                    shown(&catalogue.answer(name))
                ),
            )
        );
    }

    pub fn all_solved(&self, catalogue: &Catalogue) {
        println!(
            "{GOOD}✓{GOOD:#} {}",
            self.say(
                format!(
                    "All {} exercises are solved. What you wrote is Baichuan 2.",
                    catalogue.exercises.len()
                ),
                format!(
                    "全部 {} 道练习都完成了。你写出来的，就是 Baichuan 2。",
                    catalogue.exercises.len()
                ),
            )
        );
    }

    /// The trials of one exercise: what holds, and in full the first that does not.
    pub fn result(&self, catalogue: &Catalogue, exercise: &Exercise, trials: &[Trial]) {
        let name = &exercise.name;
        println!(
            "{TITLE}{}{TITLE:#}  {QUIET}{}  {}{QUIET:#}",
            exercise.title(self.language),
            shown(&catalogue.answer(name)),
            self.say(
                format!("(chapter {} of the book)", exercise.chapter),
                format!("（书中 {} 一章）", exercise.chapter),
            )
        );
        if let (
            State::NotWritten,
            Some(Trial {
                outcome: Outcome::NotWritten(text),
                ..
            }),
        ) = (tests::state(trials), trials.first())
        {
            println!("  {QUIET}·{QUIET:#} {text}");
            println!(
                "\n{}",
                self.say(
                    format!(
                        "The question stands at the top of that file. A hint: cargo \
                run -p exercises hint {name}"
                    ),
                    format!(
                        "题目写在该文件的开头。提示：cargo run -p exercises hint \
                {name}"
                    ),
                )
            );
            return;
        }
        let mut told = false;
        for trial in trials {
            let (style, mark) = match trial.outcome {
                Outcome::Passed => (GOOD, "✓"),
                Outcome::NotWritten(_) => (QUIET, "·"),
                Outcome::Failed(_) => (BAD, "✗"),
            };
            println!("  {style}{mark}{style:#} {}", trial.title);
            if let Outcome::Failed(text) | Outcome::NotWritten(text) = &trial.outcome {
                // The first in full; of the others, which often fail for the same reason, a line.
                let lines = if told { 1 } else { usize::MAX };
                for line in text.lines().take(lines) {
                    println!("      {line}");
                }
                told = true;
            }
        }
        if tests::state(trials) == State::Solved {
            println!(
                "\n{GOOD}{}{GOOD:#} {}",
                self.say("Solved.", "完成。"),
                self.say(
                    format!(
                        "Why it is so: cargo run -p exercises why {name}   Next: \
                cargo run -p exercises next"
                    ),
                    format!(
                        "为什么是这样：cargo run -p exercises why {name}   下一道：\
                cargo run -p exercises next"
                    ),
                )
            );
        } else {
            println!(
                "\n{}",
                self.say(
                    format!("Not yet. A hint: cargo run -p exercises hint {name}"),
                    format!("还没有完成。提示：cargo run -p exercises hint {name}"),
                )
            );
        }
    }

    pub fn hints(&self, name: &str, hints: &[String], range: Range<usize>) {
        let end = range.end;
        for i in range {
            println!(
                "{TITLE}{}{TITLE:#}\n{}\n",
                self.say(
                    format!("Hint {} of {}", i + 1, hints.len()),
                    format!("第 {} 条提示，共 {} 条", i + 1, hints.len()),
                ),
                hints[i]
            );
        }
        if end < hints.len() {
            println!(
                "{QUIET}{}{QUIET:#}",
                self.say(
                    format!(
                        "The next one: cargo run -p exercises hint {name} --number {}",
                        end + 1
                    ),
                    format!(
                        "下一条：cargo run -p exercises hint {name} --number {}",
                        end + 1
                    ),
                )
            );
        }
    }

    pub fn not_yet(&self, name: &str) {
        println!(
            "{}",
            self.say(
                format!(
                    "{name} is not solved yet, and the explanation would give \
                it away. A hint: cargo run -p exercises hint {name}"
                ),
                format!(
                    "{name} 还没有完成，现在看解释就泄了底。提示：cargo run -p \
                exercises hint {name}"
                ),
            )
        );
    }

    pub fn nothing_to_reset(&self, name: &str) {
        println!(
            "{}",
            self.say(
                format!("{name} is as it was in the beginning; nothing to do."),
                format!("{name} 本来就是最初的样子，无需重置。"),
            )
        );
    }

    pub fn translated(&self, files: usize) {
        println!(
            "{}",
            self.say(
                match files {
                    0 => "No file is in the other language, but for those that you have begun."
                        .to_owned(),
                    1 => "1 file is in English now.".to_owned(),
                    files => format!("{files} files are in English now."),
                },
                match files {
                    0 => "除了你已经动手写的，没有文件是英文的。".to_owned(),
                    files => format!("{files} 个文件已换成中文。"),
                },
            )
        );
    }

    pub fn reset(&self, catalogue: &Catalogue, answer: &Path, kept: Option<&Path>) {
        debug_assert!(answer.starts_with(&catalogue.folder));
        let answer = shown(answer);
        println!(
            "{}",
            self.say(
                format!("{answer} is as it was in the beginning."),
                format!("{answer} 已恢复为最初的样子。")
            )
        );
        if let Some(kept) = kept {
            let kept = shown(kept);
            println!(
                "{}",
                self.say(
                    format!("What you wrote is kept in {kept}."),
                    format!("你写的内容保存在 {kept}。")
                )
            );
        }
    }

    pub fn watching(&self, catalogue: &Catalogue) {
        println!(
            "{QUIET}{}{QUIET:#}",
            self.say(
                format!(
                    "Watching {}: save a file to test it, Ctrl-C to stop.",
                    shown(&catalogue.folder.join("src"))
                ),
                format!(
                    "正在留意 {}：保存文件即测试，Ctrl-C 结束。",
                    shown(&catalogue.folder.join("src"))
                ),
            )
        );
    }
}

/// A path as one types it: from where the learner stands, where it lies below.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| path.strip_prefix(here).ok());
    below.unwrap_or(path).display().to_string()
}
