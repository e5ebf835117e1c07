//! One weight: what it is, and what it is made of.

use super::{Scene, chosen};
use crate::{course::Topic, theme};
use baichuan2::{attention::Terms, probe::Head};
use eframe::egui::{Grid, ScrollArea, Ui};
use egui_plot::{Bar, BarChart, Plot};
use std::fmt::Display;

/// What a query makes of a key, exactly.
pub fn facts(ui: &mut Ui, scene: &Scene, head: Head, query: usize, key: usize) {
    let tokens = &scene.analysis.tokens;
    ui.strong(format!("{} → {}", tokens[query].label, tokens[key].label));
    ui.weak(scene.format("query {0}, key {1}", &[&query, &key]));
    if key > query {
        ui.label(scene.tr("hidden: a token sees no token after it"));
        return;
    }
    match scene.analysis.terms(head, query, key) {
        Ok(terms) => numbers(ui, scene, &terms),
        Err(why) => {
            ui.colored_label(ui.visuals().error_fg_color, why.to_string());
        }
    }
}

fn numbers(ui: &mut Ui, scene: &Scene, terms: &Terms<f32>) {
    Grid::new("terms").num_columns(2).show(ui, |ui| {
        let mut row = |name: &str, value: f32| {
            ui.label(scene.tr(name));
            ui.monospace(value.to_string());
            ui.end_row();
        };
        row("q·k", terms.dot);
        row("× 1/√d", terms.score);
        if terms.bias != 0.0 {
            row("ALiBi's bias m·(j − i)", terms.bias);
            row("score with bias", terms.biased);
        }
        row("log Σ of the row", terms.log_normalizer);
        row("weight", terms.weight);
    });
}

/// The weight that is chosen, element by element.
pub fn taken_apart(ui: &mut Ui, scene: &mut Scene, query: usize, key: usize) {
    let head = chosen(scene);
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.strong(scene.tr("This weight"));
            if ui.button(scene.tr("Unlock")).clicked() {
                scene.session.lock(query, key);
            }
            scene.help(
                ui,
                "One weight of the map: the product of query and key, its terms, and what the softmax of its row makes of it.",
                &Topic::WEIGHT,
            );
        });
        facts(ui, scene, head, query, key);
        let Ok(terms) = scene.analysis.terms(head, query, key) else {
            return;
        };
        ui.add_space(6.0);
        ui.label(scene.tr("q·k, element by element"))
            .on_hover_text(scene.tr("Each bar is qᵢkᵢ of one dimension of the head; together they are q·k"));
        bars(ui, "products", terms.products.iter().copied(), scene.session.head);
        if let Some(planes) = scene.analysis.planes(head, query, key) {
            ui.label(scene.tr("q·k, plane by plane (RoPE)")).on_hover_text(scene.tr(
                "RoPE turns each pair of dimensions by an angle that grows with the position: fast planes on the left, slow ones on the right. Of the two turns only the distance is left.",
            ));
            bars(ui, "planes", planes, scene.session.head);
        }
    });
}

fn bars<T: Copy + Into<f64> + Display>(
    ui: &mut Ui,
    name: &str,
    values: impl IntoIterator<Item = T>,
    head: usize,
) {
    let bar =
        |(i, value): (usize, T)| Bar::new(i as f64, value.into()).name(format!("{i}: {value}"));
    let bars: Vec<Bar> = values.into_iter().enumerate().map(bar).collect();
    Plot::new(name)
        .height(120.0)
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .show_x(false)
        .show(ui, |plot| {
            plot.bar_chart(BarChart::new(name, bars).color(theme::head(head)));
        });
}
