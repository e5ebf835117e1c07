//! Files and folders: the two menus that open and save, and the dialogs of the system.

use super::{Pick, Viz};
use crate::{
    model::Source,
    save::{self, Content},
};
use eframe::egui::{
    self, Key, TextEdit, Ui,
    containers::menu::{MenuButton, MenuConfig},
};
use std::{
    path::{Path, PathBuf},
    sync::mpsc,
};

/// A dialog that was closed and one that the system does not have say the same: nothing.
pub(super) const NO_DIALOG: &str = "Nothing was chosen. If no dialog opened (it needs a desktop portal), write the path in the field.";

impl Viz {
    /// Opens a session, or the model in a folder or around a file.
    pub(super) fn open_path(&mut self, path: &Path) {
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
            && path.is_file()
            && path.file_name().is_none_or(|name| name != "config.json")
        {
            match save::open_session(path) {
                Ok(session) => self.live.session = session,
                Err(error) => self.live.failure = Some(error.to_string()),
            }
            return;
        }
        let folder = match path.is_file() {
            true => path.parent().unwrap_or(path),
            false => path,
        };
        self.open(Source::from(folder.display().to_string()));
    }

    /// Opens a dialog, which waits for its user; the window does not.
    fn ask(&mut self, what: Pick, context: &egui::Context) -> mpsc::Receiver<Option<PathBuf>> {
        self.said = None;
        let (send, receive) = mpsc::channel();
        let (dialog, context) = (self.dialog.clone(), context.clone());
        std::thread::spawn(move || {
            let _ = send.send(dialog(what));
            context.request_repaint();
        });
        receive
    }

    pub(super) fn open_menu(&mut self, ui: &mut Ui) {
        ui.set_min_width(360.0);
        if ui.button(self.tr("Choose a folder…")).clicked() {
            self.chosen_folder = Some(self.ask(Pick::Folder, ui.ctx()));
        }
        let label = ui.label(
            self.tr("or write where it lies (a Hugging Face folder, or a saved session), or drop it on the window:"),
        );
        let field = ui
            .add(TextEdit::singleline(&mut self.folder).desired_width(f32::INFINITY))
            .labelled_by(label.id);
        let entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        if (ui.button(self.tr("Open")).clicked() || entered) && !self.folder.trim().is_empty() {
            let path = PathBuf::from(self.folder.trim());
            self.open_path(&path);
            self.said = None;
            ui.close();
        }
        if let Some(said) = &self.said {
            ui.label(said);
        }
    }

    pub(super) fn save_menu(&mut self, ui: &mut Ui) {
        ui.set_min_width(360.0);
        let label = ui.label(self.tr("File"));
        ui.add(TextEdit::singleline(&mut self.file).desired_width(f32::INFINITY))
            .labelled_by(label.id);
        if ui.button(self.tr("Choose where…")).clicked() {
            self.chosen_file = Some(self.ask(Pick::File, ui.ctx()));
        }
        ui.horizontal_wrapped(|ui| {
            for content in Content::ALL {
                if ui.button(self.tr(content.name())).clicked() {
                    self.save_file(content, ui.ctx());
                }
            }
        });
        if let Some(said) = &self.said {
            ui.label(said);
        }
    }

    /// Saves to the file that was named; over another only when asked twice.
    fn save_file(&mut self, content: Content, context: &egui::Context) {
        let language = self.settings.language;
        let path = PathBuf::from(self.file.trim()).with_extension(content.extension());
        if path.file_stem().is_none() {
            self.said = Some(language.tr("Write a name for the file.").into_owned());
            return;
        }
        if path.exists() && self.overwrite.as_ref() != Some(&path) {
            self.said = Some(language.format(
                "{0} exists; click again to overwrite it.",
                &[&path.display()],
            ));
            self.overwrite = Some(path);
            return;
        }
        self.overwrite = None;
        let Some(analysis) = self.live.analysis.clone() else {
            self.said = Some(language.tr("No model is open yet.").into_owned());
            return;
        };
        const SIZE: egui::Vec2 = egui::vec2(1100.0, 800.0);
        let mut session = self.live.session.clone();
        let mut scene = self.live.scene(&analysis, &mut session, language);
        let bytes = save::bytes(content, &mut scene, SIZE, context.theme());
        let saved = bytes.and_then(|bytes| save::write(&path, &bytes));
        self.said = Some(match saved {
            Ok(()) => language.format("Saved: {0}", &[&path.display()]),
            Err(error) => error.to_string(),
        });
    }
}

/// A menu with fields to write in: it closes when something beside it is clicked.
pub(super) fn menu(name: &str) -> MenuButton<'_> {
    let stay = MenuConfig::new().close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside);
    MenuButton::new(name).config(stay)
}

/// What a dialog answered, once it has.
pub(super) fn answer(
    dialog: &mut Option<mpsc::Receiver<Option<PathBuf>>>,
) -> Option<Option<PathBuf>> {
    let answer = dialog.as_ref()?.try_recv();
    if answer == Err(mpsc::TryRecvError::Empty) {
        return None;
    }
    *dialog = None;
    Some(answer.ok().flatten())
}
