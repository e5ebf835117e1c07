//! What exercises there are, and what belongs to each: `exercises.toml` and the folders beside it.

use crate::language::Language;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// An entry of `exercises.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exercise {
    pub name: String,
    pub title: Title,
    /// Page of the book.
    pub chapter: String,
    /// From 1 to 5.
    pub difficulty: u8,
    /// The stub is code with mistakes, and no `todo!()`.
    #[serde(default)]
    pub starts_wrong: bool,
}

/// A title in both languages.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Title {
    pub en: String,
    pub zh: String,
}

impl Exercise {
    pub fn title(&self, language: Language) -> String {
        language.say(&self.title.en, &self.title.zh)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    exercise: Vec<Exercise>,
}

/// The package and its exercises.
pub struct Catalogue {
    /// The package's folder.
    pub folder: PathBuf,
    /// What its complaints are in.
    pub language: Language,
    pub exercises: Vec<Exercise>,
}

impl Catalogue {
    /// Reads `exercises.toml` of a folder.
    pub fn open(folder: &Path, language: Language) -> Result<Self> {
        let path = folder.join("exercises.toml");
        let text = read(&path)?;
        let File {
            exercise: exercises,
        } = toml::from_str(&text).with_context(|| path.display().to_string())?;
        Ok(Catalogue {
            folder: folder.to_owned(),
            language,
            exercises,
        })
    }

    /// The exercise of a name. A path of its file is taken for its name.
    pub fn find(&self, name: &str) -> Result<&Exercise> {
        let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str());
        if let Some(found) = self.exercises.iter().find(|e| Some(&*e.name) == stem) {
            return Ok(found);
        }
        let names: Vec<_> = self.exercises.iter().map(|e| &*e.name).collect();
        bail!(self.language.say(
            format!(
                "there is no exercise `{name}`; there are: {}",
                names.join(", ")
            ),
            format!("没有名为 `{name}` 的练习；有的是：{}", names.join("、")),
        ))
    }

    /// What the learner edits.
    pub fn answer(&self, name: &str) -> PathBuf {
        self.folder.join("src").join(name).with_extension("rs")
    }

    /// What the learner begins with.
    pub fn stub(&self, name: &str, language: Language) -> PathBuf {
        self.of_language("stubs", language)
            .join(name)
            .with_extension("rs")
    }

    /// The exercises whose file is still what it began with, in `language`.
    pub fn untouched(&self, language: Language) -> Vec<&Exercise> {
        let untouched = |e: &&Exercise| {
            let (answer, stub) = (
                read(&self.answer(&e.name)),
                read(&self.stub(&e.name, language)),
            );
            matches!((answer, stub), (Ok(answer), Ok(stub)) if answer == stub)
        };
        self.exercises.iter().filter(untouched).collect()
    }

    pub fn solution(&self, name: &str) -> PathBuf {
        self.folder
            .join("solutions")
            .join(name)
            .with_extension("rs")
    }

    /// The known mistakes, in the order of their names.
    pub fn wrongs(&self, name: &str) -> Result<Vec<PathBuf>> {
        let folder = self.folder.join("wrong").join(name);
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "patch") {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// The hints, one after the other.
    pub fn hints(&self, name: &str, language: Language) -> Result<Vec<String>> {
        let text = read(&self.page("hints", name, language))?;
        let hints = text.split("\n---\n").map(|hint| hint.trim().to_owned());
        Ok(hints.filter(|hint| !hint.is_empty()).collect())
    }

    /// The explanation for those who solved it.
    pub fn why(&self, name: &str, language: Language) -> Result<String> {
        Ok(read(&self.page("why", name, language))?.trim().to_owned())
    }

    fn page(&self, kind: &str, name: &str, language: Language) -> PathBuf {
        self.of_language(kind, language)
            .join(name)
            .with_extension("md")
    }

    fn of_language(&self, kind: &str, language: Language) -> PathBuf {
        let folder = self.folder.join(kind);
        match language {
            Language::En => folder,
            Language::Zh => folder.join("zh"),
        }
    }
}

/// A text file with the newlines of Unix, whatever git made of them.
pub fn read(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(text.replace("\r\n", "\n"))
}
