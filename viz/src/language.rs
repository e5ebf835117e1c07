//! The interface in English and Chinese.
//!
//! The English text is the key; `locales/zh.yml` holds the Chinese one.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What the interface speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// Both.
    pub const ALL: [Language; 2] = [Language::English, Language::Chinese];

    /// What the language calls itself.
    pub fn name(self) -> &'static str {
        match self {
            Language::English => "English",
            Language::Chinese => "中文",
        }
    }

    /// Its code: that of the folder with its pages.
    pub fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Chinese => "zh",
        }
    }

    /// A text of the interface.
    pub fn tr<'t>(self, english: &'t str) -> Cow<'t, str> {
        match self {
            Language::English => Cow::Borrowed(english),
            Language::Chinese => crate::_rust_i18n_try_translate("zh", english)
                .map_or(Cow::Borrowed(english), |text| Cow::Owned(text.into_owned())),
        }
    }

    /// A text with numbers or names in it: `{0}`, `{1}`, … are replaced in turn.
    pub fn format(self, english: &str, values: &[&dyn std::fmt::Display]) -> String {
        let mut text = self.tr(english).into_owned();
        for (i, value) in values.iter().enumerate() {
            text = text.replace(&format!("{{{i}}}"), &value.to_string());
        }
        text
    }
}
