//! A view of an analysis of an embedded model, in a window without a screen.
#![allow(dead_code, reason = "each test takes what it needs")]

use baichuan2::embedded::EmbeddedModel;
use baichuan2_viz::{
    analysis::Analysis,
    language::Language,
    model::{Model, Source},
    session::{Session, View},
    theme,
    views::{self, Scene},
};
use eframe::egui::{self, Theme, accesskit::Role};
use egui_kittest::{Harness, Node, kittest::Queryable};
use std::sync::Arc;

/// What is shown, and what may change of it.
pub struct Shown {
    pub analysis: Arc<Analysis>,
    pub session: Session,
    pub language: Language,
}

/// A character that no font of the window has.
pub const RARE: char = '龘';

/// A session of `view` of a text.
pub fn session(view: View, model: EmbeddedModel, text: &str) -> Session {
    let mut session = Session {
        view,
        ..Session::default()
    };
    session.wanted.model = Source::Embedded(model);
    session.wanted.text = text.into();
    session
}

fn analyse(session: &Session) -> Arc<Analysis> {
    let model = Arc::new(Model::open(&session.wanted.model, None).unwrap());
    Arc::new(Analysis::of(model, session.wanted.clone(), &|| false).unwrap())
}

/// The view of a session, as the window shows it: a change of what is wanted is read at once.
pub fn show(session: Session) -> Harness<'static, Shown> {
    show_as(session, Language::English, Theme::Light, [1180.0, 900.0])
}

pub fn show_as(
    session: Session,
    language: Language,
    theme: Theme,
    size: [f32; 2],
) -> Harness<'static, Shown> {
    let analysis = analyse(&session);
    let shown = Shown {
        analysis,
        session,
        language,
    };
    let view = |ui: &mut egui::Ui, shown: &mut Shown| {
        if shown.session.wanted != shown.analysis.wanted {
            shown.analysis = analyse(&shown.session);
        }
        let analysis = shown.analysis.clone();
        // As the window does before it shows a view.
        let tokens = analysis.tokens.len();
        shown
            .session
            .clamp(analysis.layers(), analysis.heads(), tokens);
        let mut scene = Scene::new(&analysis, &mut shown.session, shown.language);
        views::show(ui, &mut scene);
    };
    // What a reader writes may be in no font; what the window says is.
    let rare = shown.analysis.wanted.text.contains(RARE);
    let mut builder = Harness::builder()
        .with_size(size)
        .with_theme(theme)
        .with_max_steps(40)
        .with_context_setup(theme::set_up);
    if rare {
        builder = builder.allow_missing_glyphs();
    }
    let mut harness = builder.build_ui_state(view, shown);
    harness.run();
    harness
}

/// The one picture whose description has `part` in it.
pub fn picture<'h>(harness: &'h Harness<Shown>, part: &'h str) -> String {
    let found = harness
        .get_all_by_role(Role::Image)
        .filter_map(|node| label(&node))
        .find(|label| label.contains(part));
    found.unwrap_or_else(|| panic!("no picture says {part:?}"))
}

pub fn label(node: &Node) -> Option<String> {
    use egui_kittest::kittest::NodeT;
    node.accesskit_node().label()
}

/// The number that follows `after` in a text.
pub fn number(text: &str, after: &str) -> f64 {
    let rest = text
        .split_once(after)
        .unwrap_or_else(|| panic!("{after:?} in {text:?}"))
        .1;
    let end = rest.find([' ', ':', ',', ';']).unwrap_or(rest.len());
    let number = rest[..end].trim_end_matches('.').replace('−', "-");
    number
        .parse()
        .unwrap_or_else(|_| panic!("a number: {:?}", &rest[..end]))
}

/// The text on screen that has `part` in it.
pub fn text(harness: &Harness<Shown>, part: &str) -> String {
    use egui_kittest::kittest::NodeT;
    let node = harness
        .query_all_by_label_contains(part)
        .next()
        .unwrap_or_else(|| panic!("nothing on screen says {part:?}"));
    let node = node.accesskit_node();
    node.label().or_else(|| node.value()).unwrap_or_default()
}

/// Shows a view of whatever may come, in both languages and themes, and of numbers that no model has.
pub fn survives(view: View) {
    let long = "The cat sat by the sea and the moon. 从前有一只小猫。\n".repeat(30);
    let texts = ["a", "a cat", "猫龘\u{1F600} x", "\n\n", &long];
    for (i, text) in texts.into_iter().enumerate() {
        for model in EmbeddedModel::ALL {
            let (language, theme) = match i % 2 {
                0 => (Language::English, Theme::Dark),
                _ => (Language::Chinese, Theme::Light),
            };
            let mut session = session(view, model, text);
            session.layer = 99;
            session.head = 99;
            session.query = Some(1 << 40);
            session.key = Some(1 << 40);
            session.pieces.ids = true;
            session.pieces.part = Some(1 << 40);
            session.pieces.step = Some(1 << 40);
            session.positions.distance = Some(1 << 40);
            session.positions.by_plane = true;
            session.blocks.size = [0, 1 << 40][i % 2];
            session.blocks.step = Some(1 << 40);
            let mut harness = show_as(session, language, theme, [900.0, 600.0]);
            harness.state_mut().session.query = Some(0);
            harness.state_mut().session.key = Some(1);
            harness.run();
        }
    }
}
