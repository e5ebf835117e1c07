//! The text as coloured pieces.

use super::Scene;
use crate::{analysis::Token, theme};
use eframe::egui::{Color32, FontId, Margin, Response, RichText, ScrollArea, Sense, Ui};

/// The pieces, with what each is made of; then the counts.
pub fn show(ui: &mut Ui, scene: &mut Scene) {
    counts(ui, scene);
    ui.separator();
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        pieces(ui, scene, 18.0);
    });
}

/// Every piece of the text, side by side. A click chooses it as the query that is looked at.
pub fn pieces(ui: &mut Ui, scene: &mut Scene, size: f32) {
    let dark = ui.visuals().dark_mode;
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = eframe::egui::vec2(2.0, 3.0);
        for (i, token) in scene.analysis.tokens.iter().enumerate() {
            let chosen = scene.session.query == Some(i);
            let response = piece(ui, token, theme::token(i, dark), chosen, size);
            let response = response.on_hover_ui(|ui| facts(ui, scene, i));
            if response.clicked() {
                scene.session.query = (!chosen).then_some(i);
            }
            // A line break in the text is one on the screen.
            if token.label.ends_with("\\n") {
                ui.end_row();
            }
        }
    });
}

fn piece(ui: &mut Ui, token: &Token, color: Color32, chosen: bool, size: f32) -> Response {
    let stroke = if chosen {
        ui.visuals().selection.stroke
    } else {
        eframe::egui::Stroke::NONE
    };
    let text = RichText::new(&token.label)
        .font(FontId::monospace(size))
        .color(ui.visuals().strong_text_color());
    let frame = eframe::egui::Frame::new()
        .fill(color)
        .stroke(stroke)
        .inner_margin(Margin::symmetric(2, 1))
        .corner_radius(3.0);
    let inner = frame.show(ui, |ui| {
        ui.add(
            eframe::egui::Label::new(text)
                .selectable(false)
                .sense(Sense::click()),
        )
    });
    inner.inner
}

/// What a piece is: id, bytes, kind, score.
pub fn facts(ui: &mut Ui, scene: &Scene, i: usize) {
    let token = &scene.analysis.tokens[i];
    let bytes: Vec<String> = token.bytes.iter().map(|b| format!("{b:02X}")).collect();
    ui.strong(format!("{}  {}", i, token.label));
    let mut row = |name: &str, value: String| {
        ui.horizontal(|ui| {
            ui.weak(scene.tr(name));
            ui.monospace(value);
        });
    };
    row("id", token.id.to_string());
    row("bytes", bytes.join(" "));
    if let Ok(piece) = scene.analysis.model.tokenizer.piece(token.id) {
        row("kind", scene.tr(kind(piece.kind)).into_owned());
        row("score", piece.score.to_string());
    }
}

fn kind(kind: baichuan2::bpe::Kind) -> &'static str {
    use baichuan2::bpe::Kind;
    match kind {
        Kind::Normal => "ordinary",
        Kind::Byte(_) => "a single byte",
        Kind::UserDefined => "a symbol of its own, never merged",
        Kind::Control => "control",
        Kind::Unknown => "unknown",
    }
}

fn counts(ui: &mut Ui, scene: &Scene) {
    let text = &scene.analysis.wanted.text;
    let tokens = scene.analysis.tokens.len() + scene.analysis.left_out;
    let (characters, bytes) = (text.chars().count(), text.len());
    let per = |n: usize| n as f64 / tokens.max(1) as f64;
    ui.label(scene.format(
        "{0} tokens · {1} characters ({2} a token) · {3} bytes ({4} a token)",
        &[
            &tokens,
            &characters,
            &format!("{:.2}", per(characters)),
            &bytes,
            &format!("{:.2}", per(bytes)),
        ],
    ));
}
