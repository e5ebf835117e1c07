//! The window.

use baichuan2_viz::app::Viz;
use eframe::egui::{ViewportBuilder, vec2};

fn main() -> eframe::Result {
    let options = eframe::NativeOptions {
        viewport: ViewportBuilder::default()
            .with_title("baichuan2")
            .with_app_id("baichuan2-viz")
            .with_inner_size(vec2(1280.0, 800.0))
            .with_min_inner_size(vec2(720.0, 480.0)),
        ..Default::default()
    };
    eframe::run_native(
        "baichuan2-viz",
        options,
        Box::new(|creation| Ok(Box::new(Viz::new(creation)))),
    )
}
