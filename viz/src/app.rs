//! The window's frame: the model, the text and its pieces on top, the views to choose from on the left, one of them in the middle, what is going on below.

mod files;

use crate::{
    analysis::Analysis,
    course::Course,
    language::Language,
    live::{Live, TEXT},
    model::{Source, count, short},
    session::{EXAMPLES, Session, View},
    theme,
};
use baichuan2::embedded::EmbeddedModel;
use eframe::egui::{
    self, CentralPanel, ComboBox, Key, KeyboardShortcut, Modifiers, Panel, RichText,
    ThemePreference, Ui, util::undoer::Undoer,
};
use files::{NO_DIALOG, answer, menu};
use serde::{Deserialize, Serialize};
use std::{
    path::PathBuf,
    sync::{Arc, mpsc},
};

/// What is remembered from one time to the next, beside the session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Settings {
    language: Language,
    /// Folders that were opened, the latest first.
    recent: Vec<PathBuf>,
}

/// The application.
pub struct Viz {
    live: Live,
    settings: Settings,
    undoer: Undoer<Session>,
    /// A folder's name, as it is typed.
    folder: String,
    chosen_folder: Option<mpsc::Receiver<Option<PathBuf>>>,
    /// A file's name, as it is typed.
    file: String,
    chosen_file: Option<mpsc::Receiver<Option<PathBuf>>>,
    /// What came of saving, in words.
    said: Option<String>,
    /// The file that may be written over, since it was asked for twice.
    overwrite: Option<PathBuf>,
    keys_shown: bool,
    /// When the next checkpoint is due, in seconds, while the film runs.
    film: Option<f64>,
    browser: Browser,
    dialog: Dialog,
    /// What came of opening a page, where it could not be.
    not_opened: (mpsc::Sender<String>, mpsc::Receiver<String>),
}

/// What a dialog asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// A folder that is there.
    Folder,
    /// A file to be written.
    File,
}

/// Asks for a path; nothing where none was chosen, or nobody can be asked.
type Dialog = Arc<dyn Fn(Pick) -> Option<PathBuf> + Send + Sync>;
/// Opens an address, or says why not.
type Browser = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

const SESSION: &str = "session";
const SETTINGS: &str = "settings";

impl Viz {
    /// The window with a session to begin with, or as it was left, or with an embedded model and an example.
    pub fn new(creation: &eframe::CreationContext, session: Option<Session>) -> Self {
        theme::set_up(&creation.egui_ctx);
        Viz::on(creation.egui_ctx.clone(), creation.storage, session)
    }

    /// The same without a window: for pictures of it.
    pub fn on(
        context: egui::Context,
        stored: Option<&dyn eframe::Storage>,
        session: Option<Session>,
    ) -> Self {
        let left = stored.and_then(|s| eframe::get_value(s, SESSION));
        let settings = stored.and_then(|s| eframe::get_value(s, SETTINGS));
        let session = session.or(left).unwrap_or_else(Session::first);
        Viz {
            live: Live::new(&context, session),
            settings: settings.unwrap_or_default(),
            undoer: Undoer::default(),
            folder: String::new(),
            chosen_folder: None,
            file: "baichuan2".into(),
            chosen_file: None,
            said: None,
            overwrite: None,
            keys_shown: false,
            film: None,
            browser: Arc::new(|url: &str| {
                opener::open_browser(url).map_err(|error| error.to_string())
            }),
            not_opened: mpsc::channel(),
            dialog: Arc::new(|what: Pick| match what {
                Pick::Folder => rfd::FileDialog::new().pick_folder(),
                Pick::File => rfd::FileDialog::new().save_file(),
            }),
        }
    }

    /// The same with something else than the system's dialogs.
    pub fn with_dialog(
        mut self,
        dialog: impl Fn(Pick) -> Option<PathBuf> + Send + Sync + 'static,
    ) -> Self {
        self.dialog = Arc::new(dialog);
        self
    }

    /// The same with the course in another folder, and something else than the system's browser to open its pages.
    pub fn with_course(
        mut self,
        folder: PathBuf,
        browser: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.live.course = Course::at(folder);
        self.browser = Arc::new(browser);
        self
    }

    /// Changes what the interface speaks.
    pub fn speak(&mut self, language: Language) {
        self.settings.language = language;
    }

    /// Waits for what is on its way.
    pub fn settle(&mut self) {
        while !self.is_settled() {
            self.receive();
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    /// Why there is nothing to see of what is wanted, where that is so.
    pub fn failure(&self) -> Option<&str> {
        self.live.failure()
    }

    /// What is wanted and chosen.
    pub fn session(&self) -> &Session {
        &self.live.session
    }

    /// Whether nothing is on its way.
    pub fn is_settled(&self) -> bool {
        self.live.is_settled()
    }

    /// What the model made of it.
    pub fn analysis(&self) -> Option<&Arc<Analysis>> {
        self.live.analysis()
    }

    fn tr<'t>(&self, english: &'t str) -> std::borrow::Cow<'t, str> {
        self.settings.language.tr(english)
    }

    fn receive(&mut self) {
        if let Some(analysis) = self.live.receive()
            && let Source::Folder(folder) = &analysis.model.source
        {
            const MOST: usize = 8;
            self.settings.recent.retain(|known| known != folder);
            self.settings.recent.insert(0, folder.clone());
            self.settings.recent.truncate(MOST);
        }
    }

    /// Takes in what dialogs and the browser have answered.
    fn answers(&mut self, context: &egui::Context) {
        match answer(&mut self.chosen_folder) {
            Some(Some(folder)) => {
                self.open(Source::Folder(folder));
                egui::Popup::close_all(context);
            }
            Some(None) => self.said = Some(self.tr(NO_DIALOG).into_owned()),
            None => {}
        }
        match answer(&mut self.chosen_file) {
            Some(Some(file)) => self.file = file.display().to_string(),
            Some(None) => self.said = Some(self.tr(NO_DIALOG).into_owned()),
            None => {}
        }
        if let Ok(why) = self.not_opened.1.try_recv() {
            self.live.failure = Some(why);
        }
    }

    /// Opens what was clicked, beside the window: some browsers are waited for.
    fn browse(&mut self, context: &egui::Context) {
        let mut urls = Vec::new();
        context.output_mut(|output| {
            output.commands.retain(|command| match command {
                egui::OutputCommand::OpenUrl(open) => {
                    urls.push(open.url.clone());
                    false
                }
                _ => true,
            });
        });
        for url in urls {
            let (browser, language) = (self.browser.clone(), self.settings.language);
            let (not_opened, context) = (self.not_opened.0.clone(), context.clone());
            std::thread::spawn(move || {
                if let Err(why) = browser(&url) {
                    let why = language.format(
                        "No browser can be started ({0}); open {1} yourself.",
                        &[&why, &url],
                    );
                    let _ = not_opened.send(why);
                    context.request_repaint();
                }
            });
        }
    }

    fn open(&mut self, source: Source) {
        self.live.session.wanted.model = source;
        self.live.session.wanted.checkpoint = None;
        self.live.session.wanted.switched_off.clear();
        self.live.worker.again();
    }

    fn keys(&mut self, ui: &Ui) {
        let undo = KeyboardShortcut::new(Modifiers::COMMAND, Key::Z);
        let redo = KeyboardShortcut::new(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
        let quit = KeyboardShortcut::new(Modifiers::COMMAND, Key::Q);
        if ui.input_mut(|input| input.consume_shortcut(&quit)) {
            ui.ctx().send_viewport_cmd(egui::ViewportCommand::Close);
        }
        let typing = ui.memory(|memory| memory.focused().is_some());
        if !typing {
            // Of Ctrl+Shift+Z the shorter one is a part.
            if ui.input_mut(|input| input.consume_shortcut(&redo)) {
                if let Some(session) = self.undoer.redo(&self.live.session) {
                    self.live.session = session.clone();
                }
            } else if ui.input_mut(|input| input.consume_shortcut(&undo))
                && let Some(session) = self.undoer.undo(&self.live.session)
            {
                self.live.session = session.clone();
            }
            let pressed =
                |key| ui.input(|input| input.key_pressed(key) && input.modifiers.is_none());
            let typed = |text: &str| {
                ui.input(|input| {
                    input
                        .events
                        .iter()
                        .any(|event| matches!(event, egui::Event::Text(t) if t == text))
                })
            };
            if typed("/") {
                ui.memory_mut(|memory| memory.request_focus(egui::Id::unique(TEXT)));
            }
            if typed("?") {
                self.keys_shown = !self.keys_shown;
            }
            self.live.keys(ui);
            let number = [
                Key::Num1,
                Key::Num2,
                Key::Num3,
                Key::Num4,
                Key::Num5,
                Key::Num6,
                Key::Num7,
            ];
            for (key, view) in number.into_iter().zip(View::ALL) {
                if pressed(key) {
                    self.live.session.view = view;
                }
            }
        }
        let dropped = ui.input(|input| {
            input
                .raw
                .dropped_files
                .first()
                .map(|file| file.path().to_owned())
        });
        if let Some(path) = dropped {
            self.open_path(&path);
        }
    }

    fn model_bar(&mut self, ui: &mut Ui) {
        ui.horizontal_wrapped(|ui| {
            let mut source = self.live.session.wanted.model.clone();
            let label = ui.label(self.tr("Model"));
            let combo = ComboBox::from_id_salt("model")
                .width(150.0)
                .selected_text(short(&source))
                .show_ui(ui, |ui| {
                    for model in EmbeddedModel::ALL {
                        ui.selectable_value(
                            &mut source,
                            Source::Embedded(model),
                            model.to_string(),
                        );
                    }
                    for folder in &self.settings.recent {
                        let recent = Source::Folder(folder.clone());
                        let name = short(&recent);
                        ui.selectable_value(&mut source, recent, name)
                            .on_hover_text(folder.display().to_string());
                    }
                });
            combo
                .response
                .labelled_by(label.id)
                .on_hover_text(source.to_string());
            if source != self.live.session.wanted.model {
                self.open(source);
            }
            menu(self.tr("Open…").as_ref()).ui(ui, |ui| self.open_menu(ui));
            menu(self.tr("Save…").as_ref()).ui(ui, |ui| self.save_menu(ui));
            if let Some(analysis) = self.live.analysis.clone() {
                self.checkpoints(ui, &analysis);
            }
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if ui.button("?").on_hover_text(self.tr("Keys")).clicked() {
                    self.keys_shown = !self.keys_shown;
                }
                let mut theme = ui.ctx().options(|options| options.theme_preference);
                let before = theme;
                let dark = ui.visuals().dark_mode;
                if ui
                    .button(self.tr(if dark { "Light" } else { "Dark" }))
                    .on_hover_text(self.tr("Light or dark"))
                    .clicked()
                {
                    theme = if dark {
                        ThemePreference::Light
                    } else {
                        ThemePreference::Dark
                    };
                }
                if theme != before {
                    ui.ctx().set_theme(theme);
                }
                for language in Language::ALL {
                    if language != self.settings.language && ui.button(language.name()).clicked() {
                        self.settings.language = language;
                    }
                }
                if let Some(analysis) = &self.live.analysis {
                    ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                        let summary = RichText::new(summary(analysis, self.settings.language));
                        ui.add(egui::Label::new(summary.weak()).truncate());
                    });
                }
            });
        });
    }

    /// The slider over the checkpoints of the model, and its film.
    fn checkpoints(&mut self, ui: &mut Ui, analysis: &Analysis) {
        let history = &analysis.model.history;
        if history.is_empty() || analysis.model.source != self.live.session.wanted.model {
            return;
        }
        // Behind the last checkpoint stands the model itself.
        let last = history.len();
        let checkpoint = self.live.session.wanted.checkpoint;
        let now = checkpoint
            .and_then(|tokens| history.iter().position(|n| *n == tokens))
            .unwrap_or(last);
        let mut place = now;
        let language = self.settings.language;
        let label = ui.label(language.tr("Tokens seen"));
        let name = |i: usize| {
            history
                .get(i)
                .map_or_else(|| language.tr("all").into_owned(), |&n| count(n))
        };
        ui.spacing_mut().slider_width = 120.0;
        ui.add(
            egui::Slider::new(&mut place, 0..=last)
                .custom_formatter(|i, _| name(i as usize))
                .handle_shape(egui::style::HandleShape::Circle),
        )
        .labelled_by(label.id)
        .on_hover_text(language.tr("The model as it was while it learned"));
        let playing = self.film.is_some();
        let button = ui.button(if playing { "■" } else { "▶" });
        let hint = if playing { "Stop" } else { "Watch it learn" };
        let hint = language.tr(hint);
        let button = button.on_hover_text(hint.as_ref()).accessible_name(hint);
        if button.clicked() {
            self.film = (!playing).then_some(0.0);
            if !playing && place == last {
                place = 0;
            }
        }
        const PAUSE: f64 = 0.7;
        if let Some(due) = self.film {
            let time = ui.input(|input| input.time);
            if place == last && now == last {
                self.film = None;
            } else if time >= due && !self.live.worker.is_busy() {
                if due > 0.0 {
                    place = (place + 1).min(last);
                }
                self.film = Some(time + PAUSE);
            }
            ui.ctx().request_repaint_after_secs(0.1);
        }
        if place != now {
            self.live.session.wanted.checkpoint = history.get(place).copied();
        }
    }

    fn text(&mut self, ui: &mut Ui) {
        ui.horizontal(|ui| {
            let language = self.settings.language;
            ui.vertical(|ui| {
                let label = ui.label(language.tr("Text"));
                let examples = ComboBox::from_id_salt("examples")
                    .width(90.0)
                    .selected_text(language.tr("Examples"))
                    .show_ui(ui, |ui| {
                        for (hint, text) in EXAMPLES {
                            if ui
                                .selectable_label(self.live.session.wanted.text == text, hint)
                                .on_hover_text(text)
                                .clicked()
                            {
                                self.live.session.wanted.text = text.into();
                            }
                        }
                    });
                examples.response.labelled_by(label.id);
            });
            self.live.text(ui, language, 2, 64.0);
        });
    }

    fn status(&mut self, ui: &mut Ui) {
        let language = self.settings.language;
        ui.horizontal_wrapped(|ui| {
            if self.live.worker.is_busy() {
                ui.spinner();
                ui.label(self.live.progress(language));
                if ui.small_button(language.tr("Cancel")).clicked() {
                    self.live.worker.cancel();
                    self.live.failure = Some(
                        language
                            .tr("Cancelled; change the text to read it again.")
                            .into_owned(),
                    );
                }
            }
            if let Some(why) = &self.live.failure {
                let why = language.tr(why);
                ui.label(RichText::new(why).color(ui.visuals().error_fg_color));
            } else if let Some(analysis) = &self.live.analysis {
                let took = match analysis.took.as_secs_f64() {
                    short @ ..1.0 => format!("{:.1} ms", short * 1e3),
                    long => format!("{long:.1} s"),
                };
                ui.weak(
                    language.format("{0} tokens read in {1}", &[&analysis.tokens.len(), &took]),
                );
                if self.live.read_anew {
                    ui.label(
                        language.tr("The files of this model were changed; it was read anew."),
                    );
                }
                if analysis.left_out > 0 {
                    ui.label(language.format("{0} more were left out", &[&analysis.left_out]));
                    if ui.small_button(language.tr("Read all")).clicked() {
                        self.live.session.wanted.most_tokens = usize::MAX;
                    }
                }
                self.live.switched_off(ui, language);
            }
        });
    }

    fn key_list(&mut self, ui: &Ui) {
        let language = self.settings.language;
        let mut open = self.keys_shown;
        egui::Window::new(language.tr("Keys"))
            .open(&mut open)
            .resizable(false)
            .show(ui.ctx(), |ui| {
                egui::Grid::new("keys").striped(true).show(ui, |ui| {
                    for (key, does) in KEYS {
                        ui.monospace(key);
                        ui.label(language.tr(does));
                        ui.end_row();
                    }
                });
            });
        self.keys_shown = open;
    }
}

/// The keys, and what they do.
const KEYS: [(&str, &str); 9] = [
    ("← →", "the head before, the next head"),
    ("↑ ↓", "the layer before, the next layer"),
    ("1 … 7", "the views"),
    ("/", "edit the text"),
    ("Esc", "leave the text"),
    ("Ctrl+Z", "undo"),
    ("Ctrl+Shift+Z", "redo"),
    ("Ctrl+Q", "close the window"),
    ("?", "this list"),
];

fn summary(analysis: &Analysis, language: Language) -> String {
    let c = analysis.model.decoder.config();
    let position = match c.position {
        baichuan2::dtransformer::Position::Rope { .. } => "RoPE",
        baichuan2::dtransformer::Position::Alibi => "ALiBi",
    };
    language.format(
        "{0} layers · {1} heads of {2} · width {3} · {4} · {5} pieces",
        &[
            &c.num_hidden_layers,
            &c.num_attention_heads,
            &c.head_dim,
            &c.hidden_size,
            &position,
            &c.vocab_size,
        ],
    )
}

impl Viz {
    /// Keeps what the next window begins with.
    pub fn save(&self, storage: &mut dyn eframe::Storage) {
        eframe::set_value(storage, SESSION, &self.live.session);
        eframe::set_value(storage, SETTINGS, &self.settings);
    }

    /// One frame of the view alone, as a page shows it.
    pub fn show_view(&mut self, ui: &mut Ui) {
        self.live.picture(ui, self.settings.language);
    }

    /// One frame of the window.
    pub fn show(&mut self, ui: &mut Ui) {
        self.receive();
        self.answers(ui.ctx());
        self.keys(ui);
        Panel::top("model").show(ui, |ui| self.model_bar(ui));
        Panel::top("text").show(ui, |ui| self.text(ui));
        Panel::bottom("status").show(ui, |ui| self.status(ui));
        Panel::left("views")
            .resizable(false)
            .default_size(120.0)
            .show(ui, |ui| {
                ui.add_space(4.0);
                for view in View::ALL {
                    let name = self.tr(view.name()).into_owned();
                    ui.selectable_value(&mut self.live.session.view, view, name);
                }
            });
        CentralPanel::default_margins()
            .show(ui, |ui| self.live.view(ui, self.settings.language, true));
        self.key_list(ui);
        let time = ui.input(|input| input.time);
        self.live.follow_files(time);
        self.live.ask();
        self.undoer.feed_state(time, &self.live.session);
    }
}

impl eframe::App for Viz {
    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        self.show(ui);
        self.browse(ui.ctx());
        if matches!(self.live.session.wanted.model, Source::Folder(_)) {
            // Files change without a word.
            ui.ctx().request_repaint_after_secs(1.0);
        }
    }

    fn save(&mut self, storage: &mut dyn eframe::Storage) {
        Viz::save(self, storage);
    }
}
