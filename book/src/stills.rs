//! The pictures of the pages where scripts are off: the visualizer's own views, drawn when the book is built.

use crate::{LANGUAGES, root};
use anyhow::{Context as _, Result, bail};
use baichuan2_viz::{
    app::Viz,
    export,
    language::Language,
    save,
    session::{Session, View},
};
use eframe::egui::{Context, Theme, vec2};
use std::{fs, path::Path};

/// As wide as the text of a page.
const WIDTH: f32 = 760.0;

/// How high a picture is, in points: views of several parts need more room.
pub fn height(session: &Session) -> f32 {
    match session.view {
        View::Positions | View::Stream | View::Blocks | View::Generation => 560.0,
        View::Tokens | View::Attention | View::Compare => 420.0,
    }
}

/// The file of a picture.
pub fn name(picture: &str, language: &str, dark: bool) -> String {
    format!(
        "{picture}-{language}-{}.svg",
        if dark { "dark" } else { "light" }
    )
}

/// Draws every session of `pictures/`, in both languages, light and dark, into the folder `out`.
pub fn draw(out: &Path) -> Result<()> {
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    for entry in fs::read_dir(root().join("pictures"))? {
        let path = entry?.path();
        let picture = path.file_stem().unwrap_or_default().to_string_lossy();
        let session = save::open_session(&path).with_context(|| path.display().to_string())?;
        let size = vec2(WIDTH, height(&session));
        let mut viz = Viz::on(Context::default(), None, Some(session));
        viz.settle();
        if let Some(why) = viz.failure() {
            bail!("{}: {why}", path.display());
        }
        for language in LANGUAGES {
            viz.speak(if language == "zh" {
                Language::Chinese
            } else {
                Language::English
            });
            for (theme, dark) in [(Theme::Light, false), (Theme::Dark, true)] {
                let svg = export::window_svg(size, theme, |ui| viz.show_view(ui))
                    .with_context(|| path.display().to_string())?;
                fs::write(out.join(name(&picture, language, dark)), svg)?;
            }
        }
    }
    Ok(())
}
