//! English or Chinese.

/// What a learner reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    En,
    Zh,
}

/// Set by `--language`; it goes before what the system says.
pub const VARIABLE: &str = "EXERCISES_LANGUAGE";

impl Language {
    /// As the environment has it: `EXERCISES_LANGUAGE`, then what POSIX asks for messages.
    pub fn of_environment() -> Self {
        [VARIABLE, "LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|value| !value.is_empty())
            .map_or(Language::En, |value| {
                if value.starts_with("zh") {
                    Language::Zh
                } else {
                    Language::En
                }
            })
    }

    /// The other one.
    #[allow(
        dead_code,
        reason = "the tests, which have this file too, speak one at a time"
    )]
    pub fn other(self) -> Self {
        match self {
            Language::En => Language::Zh,
            Language::Zh => Language::En,
        }
    }

    /// One of two texts.
    pub fn say(self, en: impl Into<String>, zh: impl Into<String>) -> String {
        match self {
            Language::En => en.into(),
            Language::Zh => zh.into(),
        }
    }
}
