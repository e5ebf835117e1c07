//! The views: each a function of what the model made of the text ([`Analysis`]) and of what is chosen ([`Session`]).

pub mod attention;
pub mod blocks;
pub mod compare;
pub mod generation;
pub mod likely;
pub mod merges;
pub mod positions;
pub mod stream;
pub mod tokens;

use crate::{
    analysis::Analysis,
    course::{self, Course, Topic},
    heat_map::version,
    language::Language,
    session::{Session, View},
};
use eframe::egui::{Id, Ui};
use std::{any::Any, hash::Hash, sync::Arc};

/// What a view shows, and what it may change.
pub struct Scene<'a> {
    /// What the model made of the text.
    pub analysis: &'a Arc<Analysis>,
    /// What is chosen.
    pub session: &'a mut Session,
    /// What the interface speaks.
    pub language: Language,
    /// What is compared with it.
    pub second: Option<&'a Arc<Analysis>>,
    /// Why there is nothing to compare with.
    pub second_failure: Option<&'a str>,
    /// Whether what is compared is still being read.
    pub second_is_busy: bool,
    /// Whether it explains itself; in a page, what stands around it does.
    pub explains: bool,
    /// Where the course lies.
    pub course: Course,
}

impl<'a> Scene<'a> {
    /// A scene with nothing to compare.
    pub fn new(analysis: &'a Arc<Analysis>, session: &'a mut Session, language: Language) -> Self {
        Scene {
            analysis,
            session,
            language,
            second: None,
            second_failure: None,
            second_is_busy: false,
            explains: true,
            course: Course::usual(),
        }
    }

    /// A text of the interface.
    pub fn tr<'t>(&self, english: &'t str) -> std::borrow::Cow<'t, str> {
        self.language.tr(english)
    }

    /// What is seen, in a sentence or two, and a question mark with where it is computed and taught.
    pub fn explain(&self, ui: &mut Ui, explanation: &str, topic: &Topic) {
        self.explained(ui, &self.tr(explanation), topic);
    }

    /// The same of an explanation that is translated already.
    pub fn explained(&self, ui: &mut Ui, explanation: &str, topic: &Topic) {
        if self.explains {
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing.x = 4.0;
                ui.weak(explanation);
                course::question(ui, &self.course, self.language, None, topic);
            });
        }
    }

    /// The question mark alone, with the explanation in it.
    pub fn help(&self, ui: &mut Ui, explanation: &str, topic: &Topic) {
        if self.explains {
            let explanation = self.tr(explanation);
            course::question(ui, &self.course, self.language, Some(&explanation), topic);
        }
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
        View::Positions => positions::show(ui, scene),
        View::Blocks => blocks::show(ui, scene),
        View::Stream => stream::show(ui, scene),
        View::Generation => generation::show(ui, scene),
        View::Compare => compare::show(ui, scene),
    }
}

/// Where a view is taught as a whole.
pub fn topic(view: View) -> &'static Topic {
    match view {
        View::Tokens => &Topic::PIECES,
        View::Attention => &Topic::ATTENTION,
        View::Positions => &Topic::POSITIONS,
        View::Stream => &Topic::LENS,
        View::Blocks => &Topic::BLOCKS,
        View::Generation => &Topic::GENERATION,
        View::Compare => &Topic::COMPARE,
    }
}

/// What is made once for each `of` (an analysis's serial, and what else it depends on), and kept from frame to frame.
pub fn kept<T: Any + Send + Sync>(
    ui: &Ui,
    name: &str,
    of: impl Hash,
    make: impl FnOnce() -> T,
) -> Arc<T> {
    let (id, version) = (Id::unique(name), version(of));
    let known = ui.data(|data| data.get_temp::<(u64, Arc<T>)>(id));
    if let Some((_, kept)) = known.filter(|known| known.0 == version) {
        return kept;
    }
    let made = Arc::new(make());
    ui.data_mut(|data| data.insert_temp(id, (version, made.clone())));
    made
}

/// Whether there is so little room that what stands side by side goes below each other: in a page, on a phone.
pub fn is_narrow(ui: &Ui) -> bool {
    ui.available_width() < 560.0
}

/// Keeps what is in a scrolled page off its bar, which floats over it.
pub fn leave_room_for_bar(ui: &mut Ui) {
    ui.set_max_width(ui.available_width() - 12.0);
}
