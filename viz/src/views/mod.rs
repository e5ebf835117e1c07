//! The views: each a function of what the model made of the text ([`Analysis`]) and of what is chosen ([`Session`]).

pub mod attention;
pub mod compare;
pub mod generation;
pub mod likely;
pub mod stream;
pub mod tokens;

use crate::{
    analysis::Analysis,
    language::Language,
    session::{Session, View},
};
use eframe::egui::Ui;

/// What a view shows, and what it may change.
pub struct Scene<'a> {
    /// What the model made of the text.
    pub analysis: &'a Analysis,
    /// What is chosen.
    pub session: &'a mut Session,
    /// What the interface speaks.
    pub language: Language,
    /// What is compared with it.
    pub second: Option<&'a Analysis>,
    /// Why there is nothing to compare with.
    pub second_failure: Option<&'a str>,
    /// Whether what is compared is still being read.
    pub second_is_busy: bool,
}

impl<'a> Scene<'a> {
    /// A scene with nothing to compare.
    pub fn new(analysis: &'a Analysis, session: &'a mut Session, language: Language) -> Self {
        Scene {
            analysis,
            session,
            language,
            second: None,
            second_failure: None,
            second_is_busy: false,
        }
    }

    /// A text of the interface.
    pub fn tr<'t>(&self, english: &'t str) -> std::borrow::Cow<'t, str> {
        self.language.tr(english)
    }

    /// A text of the interface with values in it.
    pub fn format(&self, english: &str, values: &[&dyn std::fmt::Display]) -> String {
        self.language.format(english, values)
    }
}

/// What fills the middle of the window.
pub fn show(ui: &mut Ui, scene: &mut Scene) {
    match scene.session.view {
        View::Tokens => tokens::show(ui, scene),
        View::Attention => attention::show(ui, scene),
        View::Stream => stream::show(ui, scene),
        View::Generation => generation::show(ui, scene),
        View::Compare => compare::show(ui, scene),
        _ => {
            ui.label(scene.tr("Not here yet."));
        }
    }
}
