//! Lines between tokens, from those that look to those that are looked at; each head of the layer in its colour.

use super::{Scene, cell};
use crate::{analysis::Analysis, background, theme};
use baichuan2::{attention::Pooling, probe::Head};
use eframe::egui::{
    Align2, Color32, FontId, Id, Rect, Role, ScrollArea, Sense, Stroke, Ui, WidgetInfo, pos2, vec2,
};
use std::{collections::BTreeSet, sync::Arc};

/// Weights that are too thin to be drawn.
const FAINT: f32 = 0.04;
/// Tokens of which all lines are drawn; of more, those of the token that is pointed at.
const ALL_LINES: usize = 80;
const LINE: f32 = 20.0;
const COLUMN: f32 = 130.0;

/// `(query, key, head, weight)` of a layer, those that are not too thin.
type Lines = Vec<(usize, usize, usize, f32)>;

pub fn show(ui: &mut Ui, scene: &mut Scene) {
    let heads = scene.analysis.heads();
    ui.horizontal_wrapped(|ui| {
        ui.weak(scene.tr("Heads of this layer:"));
        for head in 0..heads {
            let mut shown = !scene.session.hidden_heads.contains(&head);
            let text = eframe::egui::RichText::new(format!("■ {head}")).color(theme::head(head));
            let toggle = ui
                .toggle_value(&mut shown, text)
                .on_hover_text(scene.tr("Click: show or hide; double-click: this one alone"));
            toggle.widget_info(|| {
                WidgetInfo::selected(
                    Role::CheckBox,
                    true,
                    shown,
                    scene.format("Lines of head {0}", &[&head]),
                )
            });
            if toggle.double_clicked() {
                scene.session.hidden_heads = (0..heads).filter(|&other| other != head).collect();
                scene.session.head = head;
            } else if toggle.changed() {
                match shown {
                    true => scene.session.hidden_heads.remove(&head),
                    false => scene.session.hidden_heads.insert(head),
                };
            }
        }
        ui.weak(scene.tr(
            "Point at a token for its lines alone; click to keep them, click again to let go.",
        ));
    });
    let tokens = scene.analysis.tokens.len();
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        let width = ui.available_width().min(760.0);
        let (rect, _) =
            ui.allocate_exact_size(vec2(width, LINE * tokens as f32 + 8.0), Sense::hover());
        let y = |i: usize| rect.top() + 4.0 + LINE * (i as f32 + 0.5);
        let clip = ui.clip_rect();
        let in_view: Vec<usize> = (0..tokens)
            .filter(|&i| clip.y_range().contains(y(i)))
            .collect();
        let mut pointed: [Option<usize>; 2] = [None; 2];
        for (side, pointed) in pointed.iter_mut().enumerate() {
            for &i in &in_view {
                let left = if side == 0 {
                    rect.left()
                } else {
                    rect.right() - COLUMN
                };
                let place = Rect::from_min_size(pos2(left, y(i) - LINE / 2.0), vec2(COLUMN, LINE));
                if token(ui, scene, place, side, i) {
                    *pointed = Some(i);
                }
            }
        }
        let query = pointed[0].or(if pointed[1].is_some() {
            None
        } else {
            scene.session.query
        });
        let key = pointed[1];
        let lines = lines(ui, scene);
        let one = query.is_some() || key.is_some();
        if !one && tokens > ALL_LINES {
            return;
        }
        let hidden: &BTreeSet<usize> = &scene.session.hidden_heads;
        let painter = ui.painter_at(rect.expand(2.0));
        for &(i, j, head, weight) in lines.iter() {
            let chosen = query.is_none_or(|query| query == i) && key.is_none_or(|key| key == j);
            if chosen && !hidden.contains(&head) {
                let from = pos2(rect.left() + COLUMN + 4.0, y(i));
                let to = pos2(rect.right() - COLUMN - 4.0, y(j));
                let strength = if one { weight } else { weight * weight };
                let color = theme::head(head).gamma_multiply(strength.clamp(0.05, 1.0));
                painter.line_segment([from, to], Stroke::new(1.0 + 2.0 * weight, color));
            }
        }
    });
}

/// A token of one of the columns: whether it is pointed at.
fn token(ui: &mut Ui, scene: &mut Scene, place: Rect, side: usize, i: usize) -> bool {
    let response = ui.interact(place, Id::unique(("thread", side, i)), Sense::click());
    let label = scene.analysis.tokens[i].label.clone();
    let name = match side {
        0 => scene.format("Query {0}: {1}", &[&i, &label]),
        _ => scene.format("Key {0}: {1}", &[&i, &label]),
    };
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
    let locked = if side == 0 {
        scene.session.query
    } else {
        scene.session.key
    } == Some(i);
    let dark = ui.visuals().dark_mode;
    let (align, at) = match side {
        0 => (Align2::RIGHT_CENTER, place.right_center() - vec2(4.0, 0.0)),
        _ => (Align2::LEFT_CENTER, place.left_center() + vec2(4.0, 0.0)),
    };
    if locked || response.hovered() || response.has_focus() {
        ui.painter()
            .rect_filled(place.shrink(1.0), 3.0, theme::token(i, dark));
    }
    let ink: Color32 = ui.visuals().text_color();
    ui.painter()
        .text(at, align, label, FontId::proportional(13.0), ink);
    if response.clicked() {
        let chosen = if side == 0 {
            &mut scene.session.query
        } else {
            &mut scene.session.key
        };
        *chosen = (*chosen != Some(i)).then_some(i);
    }
    let pointed = response.hovered();
    let (query, head) = (scene.session.query, super::chosen(scene));
    if let (1, Some(query)) = (side, query) {
        response.on_hover_ui(|ui| cell::facts(ui, scene, head, query, i));
    }
    pointed
}

/// The lines of the chosen layer, once they are made.
fn lines(ui: &Ui, scene: &Scene) -> Arc<Lines> {
    let layer = scene.session.layer;
    let of = (scene.analysis.serial, layer);
    let latest = background::latest(ui, Id::unique("threads"), of, || {
        let analysis = scene.analysis.clone();
        move |outdated: &dyn Fn() -> bool| made(&analysis, layer, outdated)
    });
    let answer = latest.answer.filter(|_| latest.is_current);
    answer.unwrap_or_default()
}

fn made(analysis: &Analysis, layer: usize, outdated: &dyn Fn() -> bool) -> Option<Lines> {
    let n = analysis.tokens.len();
    let mut lines = Vec::new();
    for head in 0..analysis.heads() {
        let head = Head { layer, head };
        // A few rows at a time: of a long text the map is not held whole.
        const ROWS: usize = 256;
        for first in (0..n).step_by(ROWS) {
            if outdated() {
                return None;
            }
            let rows = first..(first + ROWS).min(n);
            let size = [rows.len(), n];
            let Ok(weights) = analysis.weights(head, rows, 0..n, size, Pooling::Max) else {
                continue;
            };
            let thick = weights.indexed_iter().filter(|(_, w)| **w >= FAINT);
            lines.extend(thick.map(|((i, j), &w)| (first + i, j, head.head, w)));
        }
    }
    Some(lines)
}
