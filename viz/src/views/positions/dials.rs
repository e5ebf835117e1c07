//! The planes of RoPE as dials.

use super::{Pair, Scene, named, theme};
use baichuan2::rope::{self, Plane, Rotation};
use eframe::egui::{
    self, Align2, Color32, FontId, Pos2, Rect, Sense, Stroke, StrokeKind, Ui, Vec2, pos2, vec2,
};
use ndarray::{Array1, Axis};

/// A vector turned as at `position`, `[head_dim]`.
fn turned(x: &Array1<f32>, base: f64, position: usize) -> Array1<f64> {
    let mut x = x.mapv(f64::from).insert_axis(Axis(0));
    Rotation::new(x.ncols(), base, position, 1).rotate(x.view_mut());
    x.remove_axis(Axis(0))
}

/// The planes as dials, the fastest first: where the query and the key point after rotation, and what the plane adds to the score.
pub fn dials(ui: &mut Ui, scene: &Scene, pair: &Pair, base: f64) {
    let planes = rope::planes(pair.q.view(), pair.k.view(), base);
    let (i, j) = (pair.key + pair.distance, pair.key);
    let (q, k) = (turned(&pair.q, base, i), turned(&pair.k, base, j));
    let (of_query, of_key) = (theme::head(0), theme::head(1));
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.colored_label(of_query, "■");
        ui.label(scene.format("query, turned to position {0}", &[&i]));
        ui.colored_label(of_key, "■");
        ui.label(scene.format("key, at position {0}", &[&j]));
    });
    ui.weak(scene.tr(
        "Below each dial what its plane adds to q·k; arrows as long as the vectors are in it.",
    ));
    let half = planes.len();
    let dial = if half > 24 { 44.0 } else { 58.0 };
    let size = vec2(dial, dial + 24.0);
    let per_row = ((ui.available_width() / size.x).floor() as usize).clamp(1, half);
    let rows = half.div_ceil(per_row);
    let (rect, response) = ui.allocate_exact_size(
        vec2(per_row as f32 * size.x, rows as f32 * size.y),
        Sense::hover(),
    );
    let scores: Vec<f64> = planes
        .iter()
        .map(|plane| plane.score(pair.distance as f64))
        .collect();
    let sum: f64 = scores.iter().sum();
    named(
        &response,
        &scene.format(
            "{0} planes of rotation; at distance {1} they add up to q·k = {2}",
            &[&half, &pair.distance, &format!("{sum:.4}")],
        ),
    );
    let longest = |of: fn(&Plane) -> f64| planes.iter().map(of).fold(f64::MIN_POSITIVE, f64::max);
    let longest = [longest(|plane| plane.query), longest(|plane| plane.key)];
    let most = scores
        .iter()
        .fold(f64::MIN_POSITIVE, |most, s| most.max(s.abs()));
    let painter = ui.painter_at(rect);
    let visuals = ui.visuals();
    let mut pointed = None;
    for (n, score) in scores.iter().enumerate() {
        let corner = rect.min + vec2((n % per_row) as f32, (n / per_row) as f32) * size;
        let cell = Rect::from_min_size(corner, size);
        let center = corner + Vec2::splat(dial / 2.0);
        let radius = dial / 2.0 - 4.0;
        painter.circle(
            center,
            radius,
            theme::hidden(visuals.dark_mode),
            Stroke::NONE,
        );
        for (x, longest, color) in [(&k, longest[1], of_key), (&q, longest[0], of_query)] {
            // Angles grow against the clock, as in mathematics.
            let arrow = vec2(x[n] as f32, -x[n + half] as f32) / longest as f32 * radius;
            arrow_to(&painter, center, arrow, color);
        }
        let y = corner.y + dial + 1.0;
        let (middle, reach) = (center.x, dial / 2.0 - 4.0);
        let end = middle + (*score / most) as f32 * reach;
        let bar = Rect::from_two_pos(pos2(middle, y), pos2(end, y + 4.0));
        painter.rect_filled(bar, 1.0, visuals.text_color());
        painter.vline(
            middle,
            y - 1.0..=y + 5.0,
            Stroke::new(1.0, visuals.weak_text_color()),
        );
        painter.text(
            pos2(middle, y + 5.0),
            Align2::CENTER_TOP,
            format!("{score:+.2}"),
            FontId::proportional(10.0),
            visuals.text_color(),
        );
        if response.hover_pos().is_some_and(|pos| cell.contains(pos)) {
            painter.rect_stroke(
                cell.shrink(1.0),
                3.0,
                visuals.widgets.hovered.bg_stroke,
                StrokeKind::Inside,
            );
            pointed = Some(n);
        }
    }
    if let Some(n) = pointed {
        let plane = planes[n];
        let score = scores[n];
        response.on_hover_ui_at_pointer(|ui| {
            ui.strong(scene.format("plane {0}: dimensions {0} and {1}", &[&n, &(n + half)]));
            let number = |x: f64| format!("{x:.5}");
            ui.label(scene.format(
                "θ = {0} a token: once around in {1} tokens",
                &[
                    &number(plane.theta),
                    &format!("{:.1}", std::f64::consts::TAU / plane.theta),
                ],
            ));
            ui.label(format!(
                "|q| = {}   |k| = {}",
                number(plane.query),
                number(plane.key)
            ));
            ui.label(format!("φ = {}", number(plane.angle)));
            ui.label(format!(
                "|q| |k| cos(φ + {} θ) = {}",
                pair.distance,
                number(score)
            ));
        });
    }
}

fn arrow_to(painter: &egui::Painter, from: Pos2, arrow: Vec2, color: Color32) {
    let to = from + arrow;
    painter.line_segment([from, to], Stroke::new(2.0, color));
    painter.circle_filled(to, 2.5, color);
}
