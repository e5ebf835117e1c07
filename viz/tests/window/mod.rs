//! A view in a window without a screen, with what it computes on other threads.
#![allow(dead_code, reason = "each test takes what it needs")]

use baichuan2::embedded::EmbeddedModel;
use baichuan2_viz::{
    analysis::Analysis,
    language::Language,
    model::{Model, Source},
    session::{Session, View, Wanted},
    theme,
    views::{self, Scene},
};
use eframe::egui::{Event, Modifiers, PointerButton, Pos2, Theme, Ui};
use egui_kittest::{
    Harness,
    kittest::{NodeT, Queryable},
};
use std::{sync::Arc, thread::sleep, time::Duration};

pub const COPY: &str = "moon fish tree boat sun cat | moon fish tree boat sun cat";

/// What is shown, and what may change of it.
pub struct Window {
    pub session: Session,
    pub analysis: Arc<Analysis>,
    pub second: Option<Arc<Analysis>>,
    pub language: Language,
}

pub fn session(view: View, model: EmbeddedModel, text: &str) -> Session {
    let mut session = Session {
        view,
        ..Session::default()
    };
    session.wanted.model = Source::Embedded(model);
    session.wanted.text = text.into();
    session
}

pub fn analyse(wanted: &Wanted) -> Arc<Analysis> {
    let model = Arc::new(Model::open(&wanted.model, wanted.checkpoint).unwrap());
    Arc::new(Analysis::of(model, wanted.clone(), &|| false).unwrap())
}

/// The view of a session; what is wanted is read at once.
pub fn open(session: Session) -> Harness<'static, Window> {
    open_as(session, Language::English, Theme::Light, [1160.0, 660.0])
}

pub fn open_as(
    session: Session,
    language: Language,
    theme: Theme,
    size: [f32; 2],
) -> Harness<'static, Window> {
    let window = Window {
        analysis: analyse(&session.wanted),
        second: None,
        session,
        language,
    };
    let mut harness = Harness::builder()
        .with_size(size)
        .with_theme(theme)
        // Quicker than the two clicks of a double click.
        .with_step_dt(0.1)
        .with_context_setup(theme::set_up)
        .build_ui_state(frame, window);
    for _ in 0..3 {
        harness.step();
    }
    harness
}

fn frame(ui: &mut Ui, window: &mut Window) {
    if window.analysis.wanted != window.session.wanted {
        window.analysis = analyse(&window.session.wanted);
    }
    let of_compared =
        |second: &Arc<Analysis>| Some(&second.wanted) == window.session.second.as_ref();
    if let (View::Compare, Some(wanted), false) = (
        window.session.view,
        &window.session.second,
        window.second.as_ref().is_some_and(of_compared),
    ) {
        window.second = Some(analyse(wanted));
    }
    let analysis = window.analysis.clone();
    let tokens = analysis.tokens.len();
    window
        .session
        .clamp(analysis.layers(), analysis.heads(), tokens);
    let mut scene = Scene::new(&analysis, &mut window.session, window.language);
    scene.second = window.second.as_ref();
    views::show(ui, &mut scene);
}

/// Shows frame after frame until something holds.
pub fn until(
    harness: &mut Harness<'_, Window>,
    what: &str,
    holds: impl Fn(&Harness<'_, Window>) -> bool,
) {
    for _ in 0..3000 {
        harness.step();
        if holds(harness) {
            return;
        }
        sleep(Duration::from_millis(5));
    }
    panic!("never: {what}; on screen: {:#?}", said(harness));
}

/// Shows frame after frame until something is said, and returns all of it.
pub fn until_said(harness: &mut Harness<'_, Window>, part: &str) -> String {
    until(harness, part, |harness| {
        said(harness).iter().any(|text| text.contains(part))
    });
    let mut all = said(harness).into_iter();
    all.find(|text| text.contains(part)).unwrap()
}

/// Everything that can be heard.
pub fn said(harness: &Harness<'_, Window>) -> Vec<String> {
    let root = harness.root();
    let nodes = root.children_recursive();
    nodes
        .filter_map(|node| {
            let node = node.accesskit_node();
            node.label().or_else(|| node.value())
        })
        .collect()
}

/// Presses what has this name, and shows what comes of it.
pub fn press(harness: &mut Harness<'_, Window>, name: &str) {
    harness.get_by_label(name).click();
    harness.step();
    harness.step();
}

/// Presses at a point.
pub fn press_at(harness: &mut Harness<'_, Window>, at: Pos2) {
    harness.hover_at(at);
    harness.step();
    harness.drag_at(at);
    harness.step();
    harness.drop_at(at);
    harness.step();
}

/// Presses twice at a point, quickly.
pub fn press_twice_at(harness: &mut Harness<'_, Window>, at: Pos2) {
    harness.hover_at(at);
    for pressed in [true, false, true, false] {
        harness.event(Event::PointerButton {
            pos: at,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        });
    }
    harness.step();
}

/// Whatever may come, in both languages and themes, and with numbers that no model has.
pub fn survives(view: View, mut strange: impl FnMut(&mut Session)) {
    let long = "The cat sat by the sea and the moon. 从前有一只小猫。\n".repeat(20);
    for (i, text) in ["a", "a cat", "\n\n", &long].into_iter().enumerate() {
        for model in EmbeddedModel::ALL {
            let (language, theme) = match i % 2 {
                0 => (Language::English, Theme::Dark),
                _ => (Language::Chinese, Theme::Light),
            };
            let mut session = session(view, model, text);
            (session.layer, session.head) = (99, 99);
            session.query = Some(1 << 40);
            session.depth = Some(1 << 40);
            session.token = Some(u32::MAX);
            strange(&mut session);
            let mut harness = open_as(session, language, theme, [900.0, 540.0]);
            harness.state_mut().session.query = Some(0);
            for _ in 0..3 {
                harness.step();
            }
            harness.check_accessibility();
        }
    }
}
