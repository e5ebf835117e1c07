//! Tests the tests of the exercises: every stub fails, every solution passes, and every known mistake is caught.
//!
//! The package is copied below `target/`, and each round puts other answers into the copy: the stubs, the solutions,
//! then the first, second, … mistake of every exercise at once, so that a round is one compilation.

use crate::{
    catalogue::{Catalogue, Exercise, read},
    language::Language,
    report::Outcome,
    screen::Found,
    tests::{self, State, Tested},
};
use anyhow::{Context, Result, bail};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The least number of known mistakes that an exercise has.
const MISTAKES: usize = 4;

/// What was found, for the table at the end.
struct Findings {
    complaints: Vec<String>,
}

impl Findings {
    fn complain(&mut self, about: &str, what: impl std::fmt::Display) {
        println!("    {about}: {what}");
        self.complaints.push(format!("{about}: {what}"));
    }
}

/// True where all is as it should be.
pub fn check(catalogue: &Catalogue, messages: bool) -> Result<bool> {
    let mut findings = Findings {
        complaints: Vec::new(),
    };
    println!("pages: hints, explanations, solutions, mistakes");
    for exercise in &catalogue.exercises {
        pages(catalogue, exercise, &mut findings);
    }
    let copy = Copy::make(catalogue)?;

    println!("stubs: each fails");
    copy.answer(|e| read(&catalogue.stub(&e.name, Language::En)))?;
    stubs(catalogue, &copy.run()?, &mut findings);

    println!(
        "solutions: each passes, and clippy and rustfmt have \
                nothing to say"
    );
    copy.answer(|e| read(&catalogue.solution(&e.name)))?;
    let found = copy.run()?;
    for Exercise { name, .. } in &catalogue.exercises {
        for (trial, why) in failures(&found, name) {
            findings.complain(name, format_args!("the solution fails {trial}: {why}"));
        }
        if !found.contains_key(name) {
            findings.complain(name, "it has no trials");
        }
    }
    for name in found.keys() {
        if catalogue.find(name).is_err() {
            findings.complain(name, "it has trials, and is not in exercises.toml");
        }
    }
    for arguments in [
        &[
            "clippy",
            "--quiet",
            "-p",
            "your-code",
            "--",
            "-D",
            "warnings",
        ][..],
        &["fmt", "--check", "-p", "your-code"],
    ] {
        let status = copy.cargo().args(arguments).status()?;
        if !status.success() {
            findings.complain("solutions", format_args!("cargo {} fails", arguments[0]));
        }
    }

    let mut caught = 0;
    let rounds = mistakes_of_all(catalogue)?;
    let most = rounds
        .iter()
        .map(|(_, paths)| paths.len())
        .max()
        .unwrap_or(0);
    for round in 0..most {
        println!("mistakes {} of {most}: each is caught", round + 1);
        caught += mistakes(catalogue, &copy, &rounds, round, messages, &mut findings)?;
    }

    println!(
        "\n{} exercises, {caught} mistakes caught",
        catalogue.exercises.len()
    );
    if !findings.complaints.is_empty() {
        println!("{} complaints:", findings.complaints.len());
        for complaint in &findings.complaints {
            println!("  {complaint}");
        }
    }
    Ok(findings.complaints.is_empty())
}

/// The texts of an exercise are there, in both languages.
fn pages(catalogue: &Catalogue, exercise: &Exercise, findings: &mut Findings) {
    let name = &exercise.name;
    for language in [Language::En, Language::Zh] {
        match catalogue.hints(name, language) {
            Ok(hints) if (2..=4).contains(&hints.len()) => {}
            Ok(hints) => findings.complain(
                name,
                format_args!("it has {} hints in {language:?}, not 2 to 4", hints.len()),
            ),
            Err(error) => findings.complain(name, format_args!("{error:#}")),
        }
        match catalogue.why(name, language) {
            Ok(text) if text.is_empty() => findings.complain(
                name,
                format_args!("its explanation in {language:?} is empty"),
            ),
            Ok(_) => {}
            Err(error) => findings.complain(name, format_args!("{error:#}")),
        }
    }
    if !(1..=5).contains(&exercise.difficulty) {
        findings.complain(name, "its difficulty is not from 1 to 5");
    }
    match catalogue.wrongs(name) {
        Ok(paths) if paths.len() < MISTAKES => findings.complain(
            name,
            format_args!("it has {} known mistakes, not {MISTAKES}", paths.len()),
        ),
        Ok(_) => {}
        Err(error) => findings.complain(name, format_args!("{error:#}")),
    }
    let (stub, chinese) = (
        read(&catalogue.stub(name, Language::En)),
        read(&catalogue.stub(name, Language::Zh)),
    );
    match (&stub, &chinese) {
        (Ok(stub), Ok(chinese)) => {
            for difference in untranslated(stub, chinese) {
                findings.complain(name, format_args!("stubs/zh/{name}.rs: {difference}"));
            }
        }
        (_, Err(error)) => findings.complain(name, format_args!("{error:#}")),
        (Err(_), _) => {} // told below
    }
    match (read(&catalogue.answer(name)), stub) {
        (Ok(answer), Ok(stub)) if answer == stub => {}
        (Ok(_), Ok(_)) => findings.complain(
            name,
            "src/ and stubs/ differ (in a clone that is worked in: \
                reset it)",
        ),
        (Err(error), _) | (_, Err(error)) => findings.complain(name, format_args!("{error:#}")),
    }
}

/// What the Chinese form of a stub has other than other words: its code is the same, and each of its comments is translated.
fn untranslated(stub: &str, chinese: &str) -> Vec<String> {
    let (stub, chinese) = (parts(stub), parts(chinese));
    let mut found = Vec::new();
    for (english, chinese) in stub.iter().zip(&chinese) {
        match (english, chinese) {
            (Part::Code(english), Part::Code(chinese)) if english == chinese => {}
            (Part::Comment(english), Part::Comment(chinese)) => {
                let words = |text: &str| {
                    let prose = text.split('`').step_by(2).collect::<String>();
                    prose
                        .split(|c: char| !c.is_ascii_alphabetic())
                        .any(|word| word.len() > 1)
                };
                let han = |text: &str| text.chars().any(|c| ('一'..='鿿').contains(&c));
                if words(english) && !han(chinese) {
                    found.push(format!("not translated: {chinese}"));
                }
            }
            (Part::Code(other) | Part::Comment(other), _) => {
                found.push(format!("beside `{other}` stands something else"));
                return found;
            }
        }
    }
    if stub.len() != chinese.len() {
        found.push("it has more or fewer parts".to_owned());
    }
    found
}

enum Part {
    Code(String),
    /// Lines of comments that follow each other.
    Comment(String),
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    for line in text.lines() {
        let comment = line.trim_start().starts_with("//");
        match parts.last_mut() {
            Some(Part::Comment(lines)) if comment => {
                lines.push('\n');
                lines.push_str(line);
            }
            _ if comment => parts.push(Part::Comment(line.to_owned())),
            _ => parts.push(Part::Code(line.to_owned())),
        }
    }
    parts
}

fn stubs(catalogue: &Catalogue, found: &Found, findings: &mut Findings) {
    for exercise in &catalogue.exercises {
        let trials = found.get(&exercise.name).map_or(&[][..], Vec::as_slice);
        let wanted = if exercise.starts_wrong {
            State::Wrong
        } else {
            State::NotWritten
        };
        let state = tests::state(trials);
        if trials.is_empty() || state != wanted {
            findings.complain(
                &exercise.name,
                format_args!("the stub should be {wanted:?}, and is {state:?}"),
            );
        }
    }
}

/// The known mistakes of each exercise.
fn mistakes_of_all(catalogue: &Catalogue) -> Result<Vec<(&Exercise, Vec<PathBuf>)>> {
    catalogue
        .exercises
        .iter()
        .map(|e| Ok((e, catalogue.wrongs(&e.name).unwrap_or_default())))
        .collect()
}

/// One mistake of every exercise that has so many. Returns how many were caught.
fn mistakes(
    catalogue: &Catalogue,
    copy: &Copy,
    rounds: &[(&Exercise, Vec<PathBuf>)],
    round: usize,
    messages: bool,
    findings: &mut Findings,
) -> Result<usize> {
    for (exercise, paths) in rounds {
        let solution = read(&catalogue.solution(&exercise.name))?;
        let text = match paths.get(round) {
            Some(path) => {
                let patch = read(path)?;
                let patch =
                    diffy::Patch::from_str(&patch).with_context(|| path.display().to_string())?;
                diffy::apply(&solution, &patch).with_context(|| path.display().to_string())?
            }
            None => solution,
        };
        fs::write(copy.file(exercise), text)?;
    }
    let found = copy.run()?;
    let mut caught = 0;
    for (exercise, paths) in rounds {
        let name = &exercise.name;
        let failed = failures(&found, name);
        let Some(path) = paths.get(round) else {
            if let Some((trial, why)) = failed.first() {
                findings.complain(
                    name,
                    format_args!(
                        "its solution fails {trial} beside the mistakes of others: \
                {why}"
                    ),
                );
            }
            continue;
        };
        let mistake = path.file_stem().unwrap_or_default().display();
        if failed.is_empty() {
            findings.complain(
                name,
                format_args!("the mistake {mistake} passes every trial"),
            );
        } else {
            caught += 1;
            let trials: Vec<_> = failed.iter().map(|(trial, _)| *trial).collect();
            println!("    {name:16} {mistake:28} {}", trials.join(", "));
            if messages {
                println!("{}\n", failed[0].1);
            }
        }
    }
    Ok(caught)
}

/// Trials of an exercise that fail, and why.
fn failures<'a>(found: &'a Found, name: &str) -> Vec<(&'a str, &'a str)> {
    let trials = found.get(name).map_or(&[][..], Vec::as_slice);
    trials
        .iter()
        .filter_map(|trial| match &trial.outcome {
            Outcome::Passed => None,
            Outcome::NotWritten(why) | Outcome::Failed(why) => Some((&*trial.name, &**why)),
        })
        .collect()
}

/// The package in a workspace of its own, where answers can be changed.
struct Copy<'a> {
    catalogue: &'a Catalogue,
    package: PathBuf,
    /// Shared with the real workspace: what both depend on is compiled once.
    target: PathBuf,
}

impl<'a> Copy<'a> {
    fn make(catalogue: &'a Catalogue) -> Result<Self> {
        let program = env::current_exe()?;
        let target = program
            .ancestors()
            .nth(2)
            .context("this program does not lie in a target folder")?;
        let root = catalogue
            .folder
            .parent()
            .context("the package lies in a workspace")?;
        let workspace = target.join("exercises-check");
        if workspace.exists() {
            fs::remove_dir_all(&workspace)?;
        }
        // Cargo tells packages apart by where they lie in their workspace: it must not be where the real ones lie in
        // theirs.
        let package = workspace.join("copy/exercises");
        for folder in ["src", "tests/all", "runner"] {
            copy_folder(&catalogue.folder.join(folder), &package.join(folder))?;
        }
        copy_folder(
            &root.join("tests/goldens"),
            &workspace.join("copy/tests/goldens"),
        )?;
        fs::copy(root.join("Cargo.lock"), workspace.join("Cargo.lock"))?;

        // The same profiles, so that the same artifacts serve.
        let mut manifest = table(&root.join("Cargo.toml"))?;
        manifest.retain(|key, _| key == "profile");
        let copied = toml::toml! {
            resolver = "3"
            members = ["copy/exercises", "copy/exercises/src"]
        };
        manifest.insert("workspace".to_owned(), copied.into());
        fs::write(workspace.join("Cargo.toml"), toml::to_string(&manifest)?)?;

        let mut manifest = table(&catalogue.folder.join("Cargo.toml"))?;
        // Without the programs: one of the copy would take the place of this one.
        manifest.remove("bin");
        if let Some(package) = manifest.get_mut("package").and_then(|p| p.as_table_mut()) {
            package.remove("default-run");
        }
        let library = root.display().to_string();
        manifest["dev-dependencies"]["baichuan2"]["path"] = library.into();
        write_copied(&package.join("Cargo.toml"), manifest)?;
        let of_learner = package.join("src/Cargo.toml");
        write_copied(&of_learner, table(&of_learner)?)?;
        Ok(Copy {
            catalogue,
            package,
            target: target.to_owned(),
        })
    }

    fn file(&self, exercise: &Exercise) -> PathBuf {
        self.package
            .join("src")
            .join(&exercise.name)
            .with_extension("rs")
    }

    /// Writes an answer for every exercise.
    fn answer(&self, text: impl Fn(&Exercise) -> Result<String>) -> Result<()> {
        for exercise in &self.catalogue.exercises {
            fs::write(self.file(exercise), text(exercise)?)?;
        }
        Ok(())
    }

    fn cargo(&self) -> Command {
        let mut cargo = tests::cargo();
        cargo
            .current_dir(&self.package)
            .env("CARGO_TARGET_DIR", &self.target);
        cargo
    }

    fn run(&self) -> Result<Found> {
        let target = self.target.display().to_string();
        let arguments = ["--quiet", "--target-dir", &target];
        match tests::run(&self.package, None, Language::En, &arguments)? {
            Tested::Ran(found) => Ok(found),
            Tested::Endless => bail!("the tests do not come to an end"),
            Tested::DoesNotCompile(errors) => {
                let texts: Vec<_> = errors.into_iter().map(|e| e.text).collect();
                bail!("this round does not compile:\n{}", texts.join("\n"))
            }
        }
    }
}

fn table(path: &Path) -> Result<toml::Table> {
    toml::from_str(&read(path)?).with_context(|| path.display().to_string())
}

/// Writes a copied package's manifest. Its version is another, for cargo tells packages of one target folder apart by name, version and place in the
/// workspace: without it, what was compiled of the last mistake would be taken for the learner's own code.
fn write_copied(path: &Path, mut manifest: toml::Table) -> Result<()> {
    manifest["package"]["version"] = "0.0.0-check".into();
    Ok(fs::write(path, toml::to_string(&manifest)?)?)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
