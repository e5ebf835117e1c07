//! Tokens with numbers, as rows of bars: probabilities, and what is added to a logit.

use crate::theme;
use eframe::egui::{
    self, Align2, Color32, FontId, Rect, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2,
};

/// The height of a row.
pub const ROW: f32 = 20.0;
const TEXT: f32 = 13.0;

/// A row of a list of bars.
pub struct Bar<'a> {
    /// What it is of.
    pub label: &'a str,
    /// The same for those who hear it, where the place alone tells what it is of.
    pub name: &'a str,
    /// How far the bar reaches: a share from 0 to 1, or from −1 to 1 where bars go both ways.
    pub share: f32,
    /// The number, as it is to be read.
    pub number: String,
    /// The colour of the bar.
    pub color: Color32,
    /// Whether the row is the chosen one.
    pub chosen: bool,
}

impl Bar<'_> {
    /// Draws the row in the width that is left: label, bar, number. It can be clicked, and heard: name, number.
    pub fn show(&self, ui: &mut Ui, both_ways: bool) -> Response {
        let size = vec2(ui.available_width().max(120.0), ROW);
        let (rect, response) = ui.allocate_exact_size(size, Sense::click());
        response.widget_info(|| {
            let name = format!("{}, {}", self.name, self.number);
            WidgetInfo::selected(Role::Button, true, self.chosen, name)
        });
        let painter = ui.painter_at(rect);
        if response.hovered() || response.has_focus() || self.chosen {
            let fill = match self.chosen {
                true => ui.visuals().selection.bg_fill.gamma_multiply(0.4),
                false => ui.visuals().widgets.hovered.weak_bg_fill,
            };
            painter.rect_filled(rect, 3.0, fill);
        }
        let ink = ui.visuals().text_color();
        let font = FontId::proportional(TEXT);
        let middle = rect.center().y;
        let (label, number) = ((rect.width() * 0.34).min(130.0), 62.0);
        let clip = Rect::from_min_max(rect.min, pos2(rect.left() + label, rect.bottom()));
        painter.with_clip_rect(clip).text(
            pos2(rect.left() + 4.0, middle),
            Align2::LEFT_CENTER,
            self.label,
            font.clone(),
            ui.visuals().strong_text_color(),
        );
        let track = Rect::from_min_max(
            pos2(rect.left() + label + 4.0, rect.top() + 4.0),
            pos2(rect.right() - number, rect.bottom() - 4.0),
        );
        painter.rect_filled(track, 2.0, theme::hidden(ui.visuals().dark_mode));
        let zero = if both_ways {
            track.center().x
        } else {
            track.left()
        };
        let reach = track.width() * if both_ways { 0.5 } else { 1.0 };
        let end = zero + reach * self.share.clamp(-1.0, 1.0);
        let bar = Rect::from_min_max(
            pos2(zero.min(end), track.top()),
            pos2(zero.max(end), track.bottom()),
        );
        painter.rect_filled(bar, 2.0, self.color);
        if both_ways {
            painter.vline(zero, track.y_range(), egui::Stroke::new(1.0, ink));
        }
        painter.text(
            pos2(rect.right() - 4.0, middle),
            Align2::RIGHT_CENTER,
            &self.number,
            FontId::monospace(TEXT - 1.0),
            ink,
        );
        response
    }
}

/// A probability as it is written everywhere.
pub fn probability(p: f32) -> String {
    match p {
        p if p > 0.0 && p < 5e-5 => format!("{p:.0e}"),
        p => format!("{p:.4}"),
    }
}

/// Tokens and their probabilities, one a row. Returns the one that was clicked.
pub fn tokens(
    ui: &mut Ui,
    list: &[(u32, f32)],
    label: impl Fn(u32) -> String,
    chosen: Option<u32>,
) -> Option<u32> {
    let mut clicked = None;
    ui.spacing_mut().item_spacing.y = 1.0;
    for &(id, p) in list {
        let label = label(id);
        let bar = Bar {
            label: &label,
            name: &label,
            share: p,
            number: probability(p),
            color: theme::head(0),
            chosen: chosen == Some(id),
        };
        let response = bar
            .show(ui, false)
            .on_hover_text(format!("{label}   id {id}   {p:e}"));
        if response.clicked() {
            clicked = Some(id);
        }
    }
    clicked
}
