//! Who looks at whom: `src/attention/`.

mod all_heads;
mod cell;
mod map;
mod threads;
mod together;

use super::Scene;
use crate::{course::Topic, language::Language, session::AttentionForm};
use baichuan2::{
    picture::{Colors, Scale},
    probe::Head,
};
use eframe::egui::{
    Align, Color32, ComboBox, DragValue, Layout, Panel, Rect, Role, Sense, Ui, WidgetInfo, vec2,
};

/// The controls, one of the forms, and beside it the weight that is chosen, taken apart.
pub fn show(ui: &mut Ui, scene: &mut Scene) {
    controls(ui, scene);
    ui.separator();
    if let (Some(query), Some(key)) = (scene.session.query, scene.session.key)
        && matches!(
            scene.session.form,
            AttentionForm::Map | AttentionForm::Threads
        )
    {
        let part = match super::is_narrow(ui) {
            true => Panel::bottom("cell below").default_size(ui.available_height() * 0.45),
            false => Panel::right("cell").default_size(300.0).min_size(240.0),
        };
        part.show(ui, |ui| cell::taken_apart(ui, scene, query, key));
    }
    match scene.session.form {
        AttentionForm::Map => map::show(ui, scene),
        AttentionForm::Threads => threads::show(ui, scene),
        AttentionForm::All => all_heads::show(ui, scene),
        AttentionForm::Together => together::show(ui, scene),
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
        if scene.session.form != AttentionForm::Threads {
            ui.separator();
            shades(ui, scene);
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            scene.help(
                ui,
                "Each row is a token that looks (a query), each column a token that is looked at (a key). A row's weights are the softmax of q·k/√d, with ALiBi plus m·(j − i), and sum to 1. A token sees no token after it.",
                &Topic::ATTENTION,
            );
        });
    });
}

/// How weights become colours.
fn shades(ui: &mut Ui, scene: &mut Scene) {
    let language = scene.language;
    let session = &mut *scene.session;
    let scales = ComboBox::from_id_salt("scale")
        .selected_text(language.tr(scale(session.scale)))
        .width(150.0)
        .show_ui(ui, |ui| {
            for choice in [Scale::Row, Scale::Linear, Scale::Log] {
                ui.selectable_value(&mut session.scale, choice, language.tr(scale(choice)));
            }
        });
    scales
        .response
        .accessible_name(language.tr("How a weight becomes a shade"))
        .on_hover_text(language.tr("How a weight becomes a shade"));
    let colors = ComboBox::from_id_salt("colours")
        .selected_text(format!("{:?}", session.colors))
        .width(70.0)
        .show_ui(ui, |ui| {
            for choice in [Colors::Viridis, Colors::Cividis, Colors::Magma] {
                ui.selectable_value(&mut session.colors, choice, format!("{choice:?}"));
            }
        });
    colors
        .response
        .accessible_name(language.tr("Colours"))
        .on_hover_text(language.tr("Colours"));
    legend(ui, session.scale, session.colors, language);
    ui.checkbox(&mut session.hide_first, language.tr("without the first token"))
        .on_hover_text(language.tr(
            "A head with nothing to do looks at the first token, so brightly that the rest cannot be seen",
        ));
}

/// Which shade is which weight.
fn legend(ui: &mut Ui, scale: Scale, colors: Colors, language: Language) {
    let [least, _, most] = scale.ticks();
    ui.weak(least);
    let (rect, bar) = ui.allocate_exact_size(vec2(64.0, 10.0), Sense::hover());
    const STEPS: usize = 64;
    for i in 0..STEPS {
        let [r, g, b] = colors.rgb(i as f32 / (STEPS - 1) as f32).expect("a number");
        let x = |i: usize| rect.left() + rect.width() * i as f32 / STEPS as f32;
        let part = Rect::from_x_y_ranges(x(i)..=x(i + 1), rect.y_range());
        ui.painter()
            .rect_filled(part, 0.0, Color32::from_rgb(r, g, b));
    }
    let meaning = language.tr(match scale {
        Scale::Linear => "the weight itself",
        Scale::Log => "the weight, from 0.0001 to 1 by its logarithm",
        Scale::Row => "the weight ÷ the largest of its row, of what is in view",
    });
    bar.widget_info(|| WidgetInfo::labeled(Role::Image, true, &meaning));
    bar.on_hover_text(meaning.as_ref());
    ui.weak(most);
}

/// Chooses a layer and a head, and switches the head off.
pub fn head(ui: &mut Ui, scene: &mut Scene) {
    let language = scene.language;
    let (layers, heads) = (scene.analysis.layers(), scene.analysis.heads());
    let session = &mut *scene.session;
    let mut stepper = |name: &str, value: &mut usize, n: usize| {
        let label = ui.label(language.tr(name));
        let last = n.saturating_sub(1);
        ui.add(DragValue::new(value).range(0..=last).speed(0.05))
            .labelled_by(label.id)
            .on_hover_text(language.format("0 to {0}; or the arrow keys", &[&last]));
    };
    stepper("Layer", &mut session.layer, layers);
    stepper("Head", &mut session.head, heads);
    let head = chosen(scene);
    let mut on = !scene.session.wanted.switched_off.contains(&head);
    let switch = ui.checkbox(&mut on, language.tr("on"));
    if switch
        .on_hover_text(language.tr("Switched off, the head adds nothing to the stream"))
        .changed()
    {
        let off = &mut scene.session.wanted.switched_off;
        match on {
            true => off.remove(&head),
            false => off.insert(head),
        };
    }
}

/// The head that is looked at.
pub fn chosen(scene: &Scene) -> Head {
    Head {
        layer: scene.session.layer,
        head: scene.session.head,
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
