//! The residual stream: what it would say after each layer, how long it is, what each block adds to it.

mod details;
mod lens;

use super::{Scene, likely};
use crate::{analysis::Analysis, course::Topic, session::StreamPart};
use baichuan2::probe::{LayerSite, Site};
use eframe::egui::{DragValue, RichText, ScrollArea, Slider, Ui, style::HandleShape};

/// The logit lens, what is likeliest at the chosen place, and a closer look at it below.
pub fn show(ui: &mut Ui, scene: &mut Scene) {
    follow_layer(ui, scene);
    controls(ui, scene);
    scene.explain(ui, "Each cell is the likeliest next token if the model ended there: softmax(NormHead(RMSNorm(x))), brighter the surer it is.", &Topic::LENS);
    let height = lens::height(ui, scene);
    let width = ui.available_width();
    if super::is_narrow(ui) {
        let size = eframe::egui::vec2(width, height);
        let seen = ui.allocate_ui(size, |ui| lens::show(ui, scene)).inner;
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            super::leave_room_for_bar(ui);
            here(ui, scene, &seen);
            ui.separator();
            parts(ui, scene);
            detail(ui, scene);
        });
        return;
    }
    let side = (width * 0.26).clamp(190.0, 280.0);
    let seen = ui
        .horizontal_top(|ui| {
            let seen = ui
                .allocate_ui(eframe::egui::vec2(width - side - 12.0, height), |ui| {
                    lens::show(ui, scene)
                })
                .inner;
            ui.vertical(|ui| {
                ui.set_width(side);
                here(ui, scene, &seen);
            });
            seen
        })
        .inner;
    drop(seen);
    ui.separator();
    parts(ui, scene);
    ScrollArea::vertical()
        .id_salt(("details", scene.session.stream as u8))
        .auto_shrink(false)
        .show(ui, |ui| {
            super::leave_room_for_bar(ui);
            detail(ui, scene);
        });
}

fn parts(ui: &mut Ui, scene: &mut Scene) {
    ui.horizontal_wrapped(|ui| {
        for part in StreamPart::ALL {
            let name = scene.tr(part.name()).into_owned();
            ui.selectable_value(&mut scene.session.stream, part, name);
        }
    });
}

fn detail(ui: &mut Ui, scene: &mut Scene) {
    match scene.session.stream {
        StreamPart::Lengths => details::lengths(ui, scene),
        StreamPart::Contributions => details::contributions(ui, scene),
        StreamPart::NormHead => details::norm_head(ui, scene),
        StreamPart::Embeddings => details::embeddings(ui, scene),
    }
}

/// The position that is looked at: the chosen one, or the last.
pub fn position(scene: &Scene) -> usize {
    let tokens = scene.analysis.tokens.len();
    let chosen = scene.session.query.filter(|&query| query < tokens);
    chosen.unwrap_or(tokens.saturating_sub(1))
}

/// How deep the lens looks: 0 at the embeddings, the number of layers at the output.
pub fn depth(scene: &Scene) -> usize {
    let layers = scene.analysis.layers();
    scene.session.depth.unwrap_or(layers).min(layers)
}

/// Chooses a depth, and with it the layer that other views show.
fn choose_depth(scene: &mut Scene, depth: usize) {
    let layers = scene.analysis.layers();
    scene.session.depth = (depth < layers).then_some(depth);
    if depth > 0 {
        scene.session.layer = depth - 1;
    }
}

/// A layer chosen elsewhere, or with the arrow keys, is looked at here too.
fn follow_layer(ui: &Ui, scene: &mut Scene) {
    let id = eframe::egui::Id::unique("layer before");
    let layer = scene.session.layer;
    let before = ui.data(|data| data.get_temp::<usize>(id));
    if before.is_some_and(|before| before != layer) && depth(scene) != layer + 1 {
        choose_depth(scene, layer + 1);
    }
}

/// Remembers what [`follow_layer`] compares with.
fn remember_layer(ui: &Ui, scene: &Scene) {
    let layer = scene.session.layer;
    ui.data_mut(|data| data.insert_temp(eframe::egui::Id::unique("layer before"), layer));
}

/// What the stream is called at a depth.
pub fn depth_name(scene: &Scene, depth: usize) -> String {
    match depth {
        0 => scene.tr("embedding").into_owned(),
        depth if depth == scene.analysis.layers() => scene.tr("output").into_owned(),
        depth => scene.format("layer {0}", &[&(depth - 1)]),
    }
}

/// Where the stream is seen at a depth.
fn site(depth: usize) -> Site {
    match depth {
        0 => Site::Embed,
        depth => Site::Layer(depth - 1, LayerSite::Out),
    }
}

fn controls(ui: &mut Ui, scene: &mut Scene) {
    let layers = scene.analysis.layers();
    ui.horizontal_wrapped(|ui| {
        let mut chosen = depth(scene);
        let label = ui.label(scene.tr("After"));
        let names: Vec<String> = (0..=layers).map(|i| depth_name(scene, i)).collect();
        ui.spacing_mut().slider_width = 150.0;
        let slider = ui
            .add(
                Slider::new(&mut chosen, 0..=layers)
                    .custom_formatter(|i, _| names[(i as usize).min(layers)].clone())
                    .handle_shape(HandleShape::Circle),
            )
            .labelled_by(label.id)
            .on_hover_text(
                scene.tr("How far the text has come through the model; or the arrow keys ↑ ↓"),
            );
        if slider.changed() {
            choose_depth(scene, chosen);
        }
        play(ui, scene);
        ui.separator();
        let label = ui.label(scene.tr("Position"));
        let mut chosen = position(scene);
        let last = scene.analysis.tokens.len().saturating_sub(1);
        let value = ui
            .add(DragValue::new(&mut chosen).range(0..=last).speed(0.1))
            .labelled_by(label.id)
            .on_hover_text(scene.format("0 to {0}; or click in the grid", &[&last]));
        if value.changed() {
            scene.session.query = Some(chosen);
        }
        if let Some(token) = scene.analysis.tokens.get(position(scene)) {
            ui.label(RichText::new(&token.label).monospace().strong());
        }
        ui.separator();
        lens::legend(ui, scene);
    });
    remember_layer(ui, scene);
}

/// Goes through the layers, from the embeddings to the output.
fn play(ui: &mut Ui, scene: &mut Scene) {
    const PAUSE: f64 = 0.6;
    let id = eframe::egui::Id::unique("play layers");
    let due = ui.data(|data| data.get_temp::<Option<f64>>(id)).flatten();
    let time = ui.input(|input| input.time);
    let layers = scene.analysis.layers();
    let (sign, hint) = match due {
        Some(_) => ("■", "Stop"),
        None => ("▶", "Play through the layers"),
    };
    let button = ui.button(sign).on_hover_text(scene.tr(hint));
    button.widget_info(|| {
        eframe::egui::WidgetInfo::labeled(eframe::egui::Role::Button, true, scene.tr(hint))
    });
    let mut next = due;
    if button.clicked() {
        next = match due {
            Some(_) => None,
            None => {
                if depth(scene) == layers {
                    choose_depth(scene, 0);
                }
                Some(time + PAUSE)
            }
        };
    } else if let Some(due) = due {
        if time >= due {
            choose_depth(scene, (depth(scene) + 1).min(layers));
            next = (depth(scene) < layers).then_some(time + PAUSE);
        }
        ui.ctx().request_repaint_after_secs(0.1);
    }
    ui.data_mut(|data| data.insert_temp(id, next));
}

/// The five likeliest tokens at the chosen place. A click on one takes its logit apart.
fn here(ui: &mut Ui, scene: &mut Scene, seen: &lens::Seen) {
    let (depth, position) = (depth(scene), position(scene));
    let Some(token) = scene.analysis.tokens.get(position) else {
        return;
    };
    ui.label(
        RichText::new(scene.format(
            "{0}, after {1}:",
            &[&depth_name(scene, depth), &token.label],
        ))
        .strong(),
    );
    let Some(list) = seen.get(depth, position) else {
        ui.weak(scene.tr("computing…"));
        return;
    };
    let chosen = scene.session.token;
    let analysis = scene.analysis;
    if let Some(id) = likely::tokens(ui, &list, |id| analysis.label_of(id), chosen) {
        choose_token(scene, id);
    }
    let rest = 1.0 - list.iter().map(|(_, p)| p).sum::<f32>();
    ui.weak(scene.format(
        "all other tokens together {0}",
        &[&likely::probability(rest.max(0.0))],
    ));
}

/// Whose logit is taken apart; a second click on it lets it go.
fn choose_token(scene: &mut Scene, id: u32) {
    scene.session.token = (scene.session.token != Some(id)).then_some(id);
    scene.session.stream = StreamPart::Contributions;
}

/// The token whose logit is taken apart: the chosen one, or the likeliest.
fn token(scene: &Scene) -> u32 {
    let vocab_size = scene.analysis.model.decoder.config().vocab_size;
    let chosen = scene.session.token.filter(|&id| (id as usize) < vocab_size);
    let likeliest = |analysis: &Analysis| {
        let next = analysis.next(position(scene), 1);
        next.first().map_or(0, |(id, _)| *id)
    };
    chosen.unwrap_or_else(|| likeliest(scene.analysis))
}
