//! A live picture in a page: what `book/live/live.js` calls.

use crate::{language::Language, live::Live, session::Session, theme};
use eframe::{
    Frame, WebOptions, WebRunner,
    egui::{Context, Event, Modifiers, PointerButton, RawInput, Theme, Ui, pos2},
};
use std::{any::Any, cell::Cell, rc::Rc};
use wasm_bindgen::prelude::*;
use web_sys::HtmlCanvasElement;

/// A picture on a canvas.
#[wasm_bindgen]
pub struct Picture {
    runner: WebRunner,
    held: Rc<Cell<bool>>,
}

#[wasm_bindgen]
impl Picture {
    /// Begins to show a session on a canvas; says why it cannot.
    pub async fn start(
        canvas: HtmlCanvasElement,
        session: &str,
        language: &str,
        dark: bool,
    ) -> Result<Picture, JsValue> {
        let session = Session::from_json(session.as_bytes()).map_err(|error| {
            JsValue::from(format!(
                "data-session is no session of this program: {error}"
            ))
        })?;
        let language = spoken(language);
        let held = Rc::new(Cell::new(false));
        let runner = WebRunner::new();
        let holds = held.clone();
        runner
            .start(
                canvas,
                options(held.clone()),
                Box::new(move |creation| {
                    theme::set_up(&creation.egui_ctx);
                    creation.egui_ctx.set_theme(theme_of(dark));
                    Ok(Box::new(App {
                        live: Live::new(&creation.egui_ctx, session),
                        context: creation.egui_ctx.clone(),
                        language,
                        held: holds,
                        lets_go: false,
                        frames: 0,
                    }))
                }),
            )
            .await?;
        Ok(Picture { runner, held })
    }

    /// Whether what is wanted has been drawn, or why it cannot be read.
    pub fn is_drawn(&self) -> bool {
        // The first frame lays out, the second is whole.
        self.with(|app| app.frames > 2).unwrap_or(false)
    }

    /// What is wanted and chosen now, as JSON.
    pub fn session(&self) -> Option<String> {
        self.with(|app| app.live.session.to_json())
    }

    /// Shows another session.
    pub fn set_session(&self, session: &str) -> Result<(), JsValue> {
        let session = Session::from_json(session.as_bytes())
            .map_err(|error| JsValue::from(error.to_string()))?;
        self.with(|app| {
            app.context.memory_mut(|memory| memory.data.clear());
            app.live.session = session;
            app.live.ask();
        });
        Ok(())
    }

    /// Shows it in the light or in the dark.
    pub fn set_dark(&self, dark: bool) {
        self.with(|app| app.context.set_theme(theme_of(dark)));
    }

    /// Shows it in a language: `zh…` in Chinese, all else in English.
    pub fn set_language(&self, language: &str) {
        self.with(|app| app.language = spoken(language));
    }

    /// Whether wheel and fingers are the picture's, and no longer the page's.
    pub fn hold(&self, held: bool) {
        self.held.set(held);
    }

    /// The page has taken the finger from the picture, to scroll.
    pub fn let_go(&self) {
        self.with(|app| app.lets_go = true);
    }

    /// Ends it.
    pub fn end(&self) {
        self.runner.destroy();
    }

    fn with<T>(&self, act: impl FnOnce(&mut App) -> T) -> Option<T> {
        let mut app = self.runner.app_mut::<App>()?;
        app.context.request_repaint();
        Some(act(&mut app))
    }
}

fn spoken(language: &str) -> Language {
    match language.starts_with("zh") {
        true => Language::Chinese,
        false => Language::English,
    }
}

fn theme_of(dark: bool) -> Theme {
    match dark {
        true => Theme::Dark,
        false => Theme::Light,
    }
}

/// The page scrolls under a picture, unless it is held.
fn options(held: Rc<Cell<bool>>) -> WebOptions {
    WebOptions {
        should_prevent_default: Box::new(move |event| match event {
            Event::MouseWheel { .. }
            | Event::Zoom(_)
            | Event::PointerMoved(_)
            | Event::PointerButton { .. }
            | Event::PointerGone => held.get(),
            _ => true,
        }),
        ..WebOptions::default()
    }
}

struct App {
    live: Live,
    context: Context,
    language: Language,
    held: Rc<Cell<bool>>,
    lets_go: bool,
    /// Frames since there is something to see.
    frames: usize,
}

impl eframe::App for App {
    fn ui(&mut self, ui: &mut Ui, _: &mut Frame) {
        self.live.picture(ui, self.language);
        if self.live.is_settled() {
            self.frames = self.frames.saturating_add(1);
        }
        if self.frames < 4 {
            ui.ctx().request_repaint();
        }
    }

    fn raw_input_hook(&mut self, _: &Context, input: &mut RawInput) {
        if !self.held.get() {
            let is_the_pages =
                |event: &Event| matches!(event, Event::MouseWheel { .. } | Event::Zoom(_));
            input.events.retain(|event| !is_the_pages(event));
        }
        if std::mem::take(&mut self.lets_go) {
            let nowhere = Event::PointerButton {
                pos: pos2(-1.0, -1.0),
                button: PointerButton::Primary,
                pressed: false,
                modifiers: Modifiers::NONE,
            };
            input.events.extend([nowhere, Event::PointerGone]);
        }
    }

    fn persist_egui_memory(&self) -> bool {
        false
    }

    fn as_any_mut(&mut self) -> Option<&mut dyn Any> {
        Some(self)
    }
}
