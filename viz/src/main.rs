//! The window.

mod times;

use baichuan2_viz::{app::Viz, export, language::Language, save, session::Session};
use clap::{Parser, ValueEnum};
use eframe::egui::{Context, Theme, Vec2, ViewportBuilder, vec2};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};
use times::Timed;

/// Show what the algorithms of Baichuan 2 do with a text: tokens, attention, positions, the residual stream
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  baichuan2-viz\n  baichuan2-viz --model embedded:alibi --text \"从前\"\n  baichuan2-viz --model Baichuan2-7B-Base\n  baichuan2-viz mine.json\n\nWithout arguments it opens as it was left. In the window, ? lists the keys."
)]
struct Arguments {
    /// A session that was saved, to go on with.
    session: Option<PathBuf>,
    /// A Hugging Face folder, or a small model inside this program: embedded:rope, embedded:alibi.
    #[arg(long, value_name = "DIR|NAME")]
    model: Option<String>,
    /// A text to begin with.
    #[arg(long)]
    text: Option<String>,
    /// Draw the window into a file (.svg or .png) and end, without a screen.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Tell, once the window is closed, how long it took to open, to answer keys, and to draw.
    #[arg(long)]
    times: bool,
    /// In the dark.
    #[arg(long)]
    dark: bool,
    /// The view alone, as the course's pages show it.
    #[arg(long, requires = "picture")]
    view_only: bool,
    /// How large, in points: 720x420.
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    size: Option<Vec2>,
    /// In which language.
    #[arg(long)]
    language: Option<Tongue>,
}

/// A language by its code.
#[derive(Clone, Copy, ValueEnum)]
enum Tongue {
    En,
    Zh,
}

fn size(text: &str) -> Result<Vec2, String> {
    let number = |text: &str| {
        text.parse::<u16>()
            .ok()
            .filter(|n| (100..=10_000).contains(n))
    };
    let (width, height) = text.split_once('x').unzip();
    match (width.and_then(number), height.and_then(number)) {
        (Some(width), Some(height)) => Ok(vec2(width.into(), height.into())),
        _ => Err("write two numbers from 100 to 10000, as in 720x420".into()),
    }
}

impl Arguments {
    /// What to begin with; nothing where the window is to open as it was left.
    fn session(&self) -> Result<Option<Session>, save::SaveError> {
        let mut session = match &self.session {
            Some(path) => save::open_session(path)?,
            None if self.model.is_none() && self.text.is_none() => return Ok(None),
            None => Session::first(),
        };
        if let Some(model) = &self.model {
            session.wanted.model = model.clone().into();
        }
        if let Some(text) = &self.text {
            session.wanted.text = text.clone();
        }
        Ok(Some(session))
    }
}

impl Arguments {
    /// Chooses the language, where one is named.
    fn speak(&self, viz: &mut Viz) {
        match self.language {
            Some(Tongue::En) => viz.speak(Language::English),
            Some(Tongue::Zh) => viz.speak(Language::Chinese),
            None => {}
        }
    }
}

const SIZE: Vec2 = vec2(1280.0, 800.0);

/// The window as it opens, or its view, in a file.
fn picture(arguments: &Arguments, session: Option<Session>, file: &Path) -> Result<(), String> {
    let mut viz = Viz::on(Context::default(), None, session);
    arguments.speak(&mut viz);
    viz.settle();
    if let Some(why) = viz.failure() {
        return Err(why.to_owned());
    }
    let theme = if arguments.dark {
        Theme::Dark
    } else {
        Theme::Light
    };
    let size = arguments.size.unwrap_or(SIZE);
    let svg = export::window_svg(size, theme, |ui| match arguments.view_only {
        true => viz.show_view(ui),
        false => viz.show(ui),
    })
    .map_err(|error| error.to_string())?;
    let extension = file.extension().and_then(|extension| extension.to_str());
    let bytes = match extension {
        Some("svg") => svg.into_bytes(),
        Some("png") => export::png(&svg, 2.0).map_err(|error| error.to_string())?,
        _ => {
            return Err(format!(
                "{}: name a file that ends in .svg or .png",
                file.display()
            ));
        }
    };
    save::write(file, &bytes).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let started = Instant::now();
    let arguments = Arguments::parse();
    let failed = |error: &dyn std::fmt::Display| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    };
    let session = match arguments.session() {
        Ok(session) => session,
        Err(error) => return failed(&error),
    };
    if let Some(file) = &arguments.picture {
        return match picture(&arguments, session, file) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        };
    }
    let options = eframe::NativeOptions {
        viewport: ViewportBuilder::default()
            .with_title("baichuan2")
            .with_app_id("baichuan2-viz")
            .with_inner_size(arguments.size.unwrap_or(SIZE))
            .with_min_inner_size(vec2(720.0, 480.0)),
        ..Default::default()
    };
    let run = eframe::run_native(
        "baichuan2-viz",
        options,
        Box::new(move |creation| {
            let mut viz = Viz::new(creation, session);
            arguments.speak(&mut viz);
            if arguments.dark {
                creation.egui_ctx.set_theme(Theme::Dark);
            }
            Ok(match arguments.times {
                true => Box::new(Timed::new(viz, started)),
                false => Box::new(viz),
            })
        }),
    );
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "error: no window can be opened: {error}\nOn a machine without a screen, xvfb-run gives it one."
            );
            ExitCode::FAILURE
        }
    }
}
