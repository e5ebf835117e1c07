//! A session that is alive: what is wanted of it is read beside the window, and what was read is shown.

use crate::{
    analysis::Analysis,
    course::{self, Course},
    language::Language,
    session::{Session, View, Wanted},
    views::{self, Scene},
    worker::{Outcome, Worker},
};
use eframe::egui::{self, CentralPanel, Context, Key, Panel, RichText, ScrollArea, TextEdit, Ui};
use std::sync::Arc;

/// A session, and what came of it.
pub struct Live {
    /// What is wanted and chosen.
    pub session: Session,
    pub(crate) worker: Worker,
    /// Reads what is compared, with its outcome.
    second: Worker,
    compared: Option<Outcome>,
    /// The newest analysis; it stays while a newer one is on its way.
    pub(crate) analysis: Option<Arc<Analysis>>,
    /// Why there is none of what is wanted now.
    pub(crate) failure: Option<String>,
    /// Whether the newest analysis was made because the files of its model had been changed.
    pub(crate) read_anew: bool,
    /// Whether what is under way is that.
    reads_anew: bool,
    /// When the files were looked at last, in seconds.
    looked: f64,
    /// Where the course lies.
    pub course: Course,
}

/// The field with the text, of which there is one.
pub(crate) const TEXT: &str = "text";

impl Live {
    /// Begins to read what the session wants.
    pub fn new(context: &Context, session: Session) -> Self {
        let wake = || {
            let context = context.clone();
            move || context.request_repaint()
        };
        let mut live = Live {
            session,
            worker: Worker::new(wake()),
            second: Worker::new(wake()),
            compared: None,
            analysis: None,
            failure: None,
            read_anew: false,
            reads_anew: false,
            looked: 0.0,
            course: Course::usual(),
        };
        live.worker.want(&live.session.wanted);
        live
    }

    /// Takes in what was read; what is new of it.
    pub fn receive(&mut self) -> Option<Arc<Analysis>> {
        self.compared = self.second.poll().or(self.compared.take());
        match self.worker.poll()? {
            Outcome::Analysed(analysis) => {
                self.session
                    .clamp(analysis.layers(), analysis.heads(), analysis.tokens.len());
                self.failure = None;
                self.read_anew = std::mem::take(&mut self.reads_anew);
                self.analysis = Some(analysis.clone());
                Some(analysis)
            }
            Outcome::Failed(why) => {
                self.failure = Some(why);
                None
            }
        }
    }

    /// Reads anew what was changed on disk since it was read, as long as that is still wanted; asked again, it looks no sooner than after a second.
    pub fn follow_files(&mut self, seconds: f64) {
        if seconds < self.looked + 1.0 {
            return;
        }
        self.looked = seconds;
        let is_outdated = |analysis: &Analysis, wanted: &Wanted| {
            analysis.wanted.model == wanted.model && analysis.model.was_replaced()
        };
        if let Some(analysis) = &self.analysis
            && !self.worker.is_busy()
            && is_outdated(analysis, &self.session.wanted)
        {
            self.reads_anew = true;
            self.worker.again();
        }
        if let (Some(Outcome::Analysed(second)), Some(wanted)) =
            (&self.compared, &self.session.second)
            && !self.second.is_busy()
            && is_outdated(second, wanted)
        {
            self.second.again();
        }
    }

    /// Asks for what is wanted now.
    pub fn ask(&mut self) {
        self.worker.want(&self.session.wanted);
        if let (View::Compare, Some(second)) = (self.session.view, &self.session.second) {
            self.second.want(second);
        }
    }

    /// Whether nothing is on its way.
    pub fn is_settled(&self) -> bool {
        !self.worker.is_busy() && !self.second.is_busy()
    }

    /// What the model made of it.
    pub fn analysis(&self) -> Option<&Arc<Analysis>> {
        self.analysis.as_ref()
    }

    /// Why there is nothing to see of what is wanted, where that is so.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Walks along heads and layers with the arrow keys, unless somebody writes.
    pub fn keys(&mut self, ui: &Ui) {
        let Some(analysis) = &self.analysis else {
            return;
        };
        if ui.memory(|memory| memory.focused().is_some()) {
            return;
        }
        let pressed = |key| ui.input(|input| input.key_pressed(key) && input.modifiers.is_none());
        let step = |value: &mut usize, n: usize, back, on| {
            if pressed(on) {
                *value = (*value + 1).min(n.saturating_sub(1));
            }
            if pressed(back) {
                *value = value.saturating_sub(1);
            }
        };
        let session = &mut self.session;
        step(
            &mut session.head,
            analysis.heads(),
            Key::ArrowLeft,
            Key::ArrowRight,
        );
        step(
            &mut session.layer,
            analysis.layers(),
            Key::ArrowUp,
            Key::ArrowDown,
        );
    }

    /// The field in which the text is written.
    pub fn text(&mut self, ui: &mut Ui, language: Language, rows: usize, most_height: f32) {
        ScrollArea::vertical()
            .id_salt("text scroll")
            .max_height(most_height)
            .show(ui, |ui| {
                ui.add(
                    TextEdit::multiline(&mut self.session.wanted.text)
                        .id(egui::Id::unique(TEXT))
                        .desired_rows(rows)
                        .desired_width(f32::INFINITY)
                        .hint_text(language.tr("Write here")),
                )
                .accessible_name(language.tr("Text to read"));
            });
    }

    /// Which heads add nothing, and a button that switches them on again.
    pub fn switched_off(&mut self, ui: &mut Ui, language: Language) {
        let off = &self.session.wanted.switched_off;
        if off.is_empty() {
            return;
        }
        let names: Vec<String> = off.iter().map(ToString::to_string).collect();
        ui.label(language.format("switched off: {0}", &[&names.join(", ")]));
        if ui.small_button(language.tr("All on")).clicked() {
            self.session.wanted.switched_off.clear();
        }
    }

    /// How far the text is read.
    pub fn progress(&self, language: Language) -> String {
        match self.worker.layer() {
            Some((layer, of)) => language.format("reading… layer {0} of {1}", &[&layer, &of]),
            None => language.tr("reading…").into_owned(),
        }
    }

    /// The view that is chosen, with explanations or without.
    pub fn view(&mut self, ui: &mut Ui, language: Language, explains: bool) {
        let Some(analysis) = self.analysis.clone() else {
            let said = match self.worker.is_busy() {
                true => self.progress(language),
                false => language.tr("No model is open yet.").into_owned(),
            };
            ui.centered_and_justified(|ui| ui.weak(said));
            return;
        };
        if analysis.tokens.is_empty() {
            ui.centered_and_justified(|ui| {
                ui.weak(language.tr("Nothing to read: write a text above, or choose an example."))
            });
            return;
        }
        // What was chosen may belong to a model or a text that is not the one shown.
        self.session
            .clamp(analysis.layers(), analysis.heads(), analysis.tokens.len());
        let mut session = std::mem::take(&mut self.session);
        let mut scene = self.scene(&analysis, &mut session, language);
        scene.explains = explains;
        views::show(ui, &mut scene);
        self.session = session;
    }

    /// What a view shows.
    pub fn scene<'a>(
        &'a self,
        analysis: &'a Arc<Analysis>,
        session: &'a mut Session,
        language: Language,
    ) -> Scene<'a> {
        let mut scene = Scene::new(analysis, session, language);
        match &self.compared {
            Some(Outcome::Analysed(second)) => scene.second = Some(second),
            Some(Outcome::Failed(why)) => scene.second_failure = Some(why),
            None => {}
        }
        scene.second_is_busy = self.second.is_busy();
        scene.course = self.course.clone();
        scene
    }

    /// One frame of the view alone, its text above it: a picture in a page.
    pub fn picture(&mut self, ui: &mut Ui, language: Language) {
        self.receive();
        self.keys(ui);
        Panel::top("text").show(ui, |ui| {
            ui.add_space(2.0);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Min), |ui| {
                let topic = views::topic(self.session.view);
                course::question(ui, &self.course, language, None, topic);
                self.text(ui, language, 1, 42.0);
            });
        });
        if self.failure.is_some() || !self.session.wanted.switched_off.is_empty() {
            Panel::bottom("status").show(ui, |ui| {
                ui.horizontal_wrapped(|ui| {
                    if let Some(why) = &self.failure {
                        ui.label(
                            RichText::new(language.tr(why)).color(ui.visuals().error_fg_color),
                        );
                    }
                    self.switched_off(ui, language);
                });
            });
        }
        CentralPanel::default_margins().show(ui, |ui| self.view(ui, language, false));
        self.ask();
    }
}
