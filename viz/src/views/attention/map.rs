//! One head's map, large.

use super::{Scene, cell, chosen};
use crate::heat_map::{HeatMap, version};
use baichuan2::attention::Pooling;
use eframe::egui::Ui;

pub fn show(ui: &mut Ui, scene: &mut Scene) {
    let head = chosen(scene);
    let off = scene.session.wanted.switched_off.contains(&head);
    let name = if off {
        "Attention, layer {0}, head {1} (switched off)"
    } else {
        "Attention, layer {0}, head {1}"
    };
    let analysis = scene.analysis.clone();
    let shading = scene.session.shading();
    let labels = analysis.labels();
    let heat_map = HeatMap {
        name: scene.format(name, &[&head.layer, &head.head]),
        version: version((analysis.serial, head, shading)),
        rows: &labels,
        columns: &labels,
        colors: scene.session.colors,
        marked: scene
            .session
            .query
            .zip(scene.session.key)
            .map(|(i, j)| [i, j]),
    };
    let pointed = heat_map.show(ui, scene.language, move |rows, columns, size| {
        let weights = analysis.weights(head, rows, columns.clone(), size, Pooling::Max);
        shading.of(weights, columns.start)
    });
    if let Some([query, key]) = pointed.clicked {
        scene.session.lock(query, key);
    }
    if let Some([query, key]) = pointed.hovered {
        pointed
            .response
            .on_hover_ui_at_pointer(|ui| cell::facts(ui, scene, head, query, key));
    }
}
