//! Who looks at whom.

use super::Scene;
use crate::{heat_map::HeatMap, session::AttentionForm};
use baichuan2::{
    heads::Head,
    picture::{Colors, Scale},
};
use eframe::egui::{ComboBox, Ui};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// The controls, and one of the forms.
pub fn show(ui: &mut Ui, scene: &mut Scene) {
    controls(ui, scene);
    ui.separator();
    match scene.session.form {
        AttentionForm::Map => map(ui, scene),
        _ => {
            ui.label(scene.tr("Not here yet."));
        }
    }
}

fn controls(ui: &mut Ui, scene: &mut Scene) {
    let language = scene.language;
    ui.horizontal_wrapped(|ui| {
        for form in AttentionForm::ALL {
            ui.selectable_value(&mut scene.session.form, form, language.tr(form.name()));
        }
        ui.separator();
        head(ui, scene);
        ui.separator();
        let session = &mut *scene.session;
        ComboBox::from_id_salt("scale")
            .selected_text(language.tr(scale(session.scale)))
            .show_ui(ui, |ui| {
                for choice in [Scale::Row, Scale::Linear, Scale::Log] {
                    ui.selectable_value(&mut session.scale, choice, language.tr(scale(choice)));
                }
            })
            .response
            .on_hover_text(language.tr("How a weight becomes a shade"));
        ComboBox::from_id_salt("colours")
            .selected_text(format!("{:?}", session.colors))
            .width(70.0)
            .show_ui(ui, |ui| {
                for choice in [Colors::Viridis, Colors::Cividis, Colors::Magma] {
                    ui.selectable_value(&mut session.colors, choice, format!("{choice:?}"));
                }
            })
            .response
            .on_hover_text(language.tr("Colours"));
        ui.checkbox(&mut session.hide_first, language.tr("without the first token"))
            .on_hover_text(language.tr(
                "A head with nothing to do looks at the first token, so brightly that the rest cannot be seen",
            ));
    });
}

/// Chooses a layer and a head, and switches the head off.
pub fn head(ui: &mut Ui, scene: &mut Scene) {
    let language = scene.language;
    let (layers, heads) = (scene.analysis.layers(), scene.analysis.heads());
    let session = &mut *scene.session;
    let mut stepper = |name: &str, value: &mut usize, n: usize| {
        let label = ui.label(language.tr(name));
        ui.add(
            eframe::egui::DragValue::new(value)
                .range(0..=n.saturating_sub(1))
                .speed(0.05),
        )
        .labelled_by(label.id)
        .on_hover_text(language.format("0 to {0}; or the arrow keys", &[&n.saturating_sub(1)]));
    };
    stepper("Layer", &mut session.layer, layers);
    stepper("Head", &mut session.head, heads);
    let head = Head {
        layer: session.layer,
        head: session.head,
    };
    let mut on = !session.wanted.switched_off.contains(&head);
    let switch = ui.checkbox(&mut on, language.tr("on"));
    if switch
        .on_hover_text(language.tr("Switched off, the head adds nothing to the stream"))
        .changed()
    {
        match on {
            true => session.wanted.switched_off.remove(&head),
            false => session.wanted.switched_off.insert(head),
        };
    }
}

/// A scale's name, in English.
fn scale(scale: Scale) -> &'static str {
    match scale {
        Scale::Linear => "linear",
        Scale::Log => "logarithmic",
        Scale::Row => "each row by its largest",
    }
}

/// A number that changes whenever one of the parts does.
pub fn version(parts: impl std::hash::Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(parts)
}

fn map(ui: &mut Ui, scene: &mut Scene) {
    let labels = scene.analysis.labels();
    let (layer, head) = (scene.session.layer, scene.session.head);
    let (scale, hide_first) = (scene.session.scale, scene.session.hide_first);
    let heat_map = HeatMap {
        name: scene.format("Attention, layer {0}, head {1}", &[&layer, &head]),
        version: version((scene.analysis.serial, layer, head, scale as u8, hide_first)),
        rows: &labels,
        columns: &labels,
        colors: scene.session.colors,
        marked: scene
            .session
            .query
            .zip(scene.session.key)
            .map(|(i, j)| [i, j]),
    };
    let analysis = scene.analysis;
    let pointed = heat_map.show(ui, scene.language, |rows, columns, size| {
        analysis.shades(layer, head, rows, columns, size, scale, hide_first)
    });
    if let Some([i, j]) = pointed.clicked {
        let locked = (scene.session.query, scene.session.key) == (Some(i), Some(j));
        (scene.session.query, scene.session.key) = match locked {
            true => (None, None),
            false => (Some(i), Some(j)),
        };
    }
    if let Some([i, j]) = pointed.hovered {
        pointed
            .response
            .on_hover_ui_at_pointer(|ui| cell(ui, scene, i, j));
    }
}

/// What query `i` makes of key `j`, exactly.
pub fn cell(ui: &mut Ui, scene: &Scene, i: usize, j: usize) {
    let labels = &scene.analysis.tokens;
    ui.strong(format!("{} → {}", labels[i].label, labels[j].label));
    ui.weak(scene.format("query {0}, key {1}", &[&i, &j]));
    if j > i {
        ui.label(scene.tr("hidden: a token sees no token after it"));
    }
}
