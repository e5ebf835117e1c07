//! Two side by side: prompts, models, or checkpoints of one; and what is different in their attention.

mod difference;

use super::{Scene, attention, likely, tokens};
use crate::{
    analysis::Analysis,
    background,
    course::Topic,
    heat_map::{HeatMap, version},
    model::{Source, count, short},
    theme,
};
use baichuan2::{attention::Pooling, embedded::EmbeddedModel, heads::Head};
use difference::Difference;
use eframe::egui::{
    self, ComboBox, Grid, Id, Label, Rect, RichText, Role, ScrollArea, Sense, Slider, TextEdit, Ui,
    WidgetInfo, style::HandleShape, vec2,
};
use ndarray::Array2;
use std::sync::Arc;

/// What is compared, then the two and their difference.
pub fn show(ui: &mut Ui, scene: &mut Scene) {
    prepare(scene);
    scene.explain(ui, "The first is what stands above; the second is chosen here. Where both have the same tokens, the difference of their attention is the second's weight minus the first's.", &Topic::COMPARE);
    second(ui, scene);
    ui.horizontal_wrapped(|ui| heads(ui, scene));
    ui.separator();
    if super::is_narrow(ui) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            super::leave_room_for_bar(ui);
            below_each_other(ui, scene);
        });
        return;
    }
    let width = (ui.available_width() - 2.0 * ui.spacing().item_spacing.x) / 3.0;
    let height = ui.available_height();
    ui.horizontal_top(|ui| {
        let mut column = |add: &mut dyn FnMut(&mut Ui)| {
            ui.allocate_ui_with_layout(
                vec2(width, height),
                egui::Layout::top_down(egui::Align::Min),
                |ui| {
                    ui.set_width(width);
                    add(ui);
                },
            );
        };
        column(&mut |ui| side(ui, scene, "First"));
        column(&mut |ui| other_side(ui, scene));
        column(&mut |ui| difference(ui, scene));
    });
}

/// The two and their difference where there is little width.
fn below_each_other(ui: &mut Ui, scene: &mut Scene) {
    const HEIGHT: f32 = 420.0;
    for part in 0..3 {
        ui.push_id(part, |ui| {
            let size = vec2(ui.available_width(), HEIGHT);
            ui.allocate_ui(size, |ui| {
                ui.set_max_size(size);
                match part {
                    0 => side(ui, scene, "First"),
                    1 => other_side(ui, scene),
                    _ => difference(ui, scene),
                }
            });
        });
    }
}

fn other_side(ui: &mut Ui, scene: &mut Scene) {
    match scene.second.filter(|second| !second.tokens.is_empty()) {
        Some(analysis) => {
            let mut other = Scene::new(analysis, scene.session, scene.language);
            side(ui, &mut other, "Second");
        }
        None => nothing(ui, scene),
    }
}

/// At first the second is the same text with the same model as it was when it had only begun to learn; where nobody kept that, with another.
fn prepare(scene: &mut Scene) {
    let session = &mut *scene.session;
    let checkpoint = scene.analysis.model.history.first().copied();
    let other = EmbeddedModel::ALL
        .map(Source::Embedded)
        .into_iter()
        .find(|other| *other != session.wanted.model);
    let second = session.second.get_or_insert_with(|| {
        let mut second = session.wanted.clone();
        match (checkpoint, other) {
            (None, Some(other)) => second.model = other,
            _ => second.checkpoint = checkpoint,
        }
        second
    });
    if !session.second_text {
        second.text.clone_from(&session.wanted.text);
        second.most_tokens = session.wanted.most_tokens;
    }
}

/// Which model, which checkpoint, which text.
fn second(ui: &mut Ui, scene: &mut Scene) {
    let language = scene.language;
    let known = scene.second.map(|second| second.model.clone());
    let first = scene.session.wanted.model.clone();
    ui.horizontal_wrapped(|ui| {
        let Some(second) = &mut scene.session.second else {
            return;
        };
        let label = ui.label(language.tr("Second"));
        let mut source = second.model.clone();
        ComboBox::from_id_salt("second model")
            .width(150.0)
            .selected_text(short(&source))
            .show_ui(ui, |ui| {
                let embedded = EmbeddedModel::ALL.map(Source::Embedded).into_iter();
                let folder = Some(first.clone()).filter(|first| matches!(first, Source::Folder(_)));
                for offered in embedded.chain(folder) {
                    let name = short(&offered);
                    ui.selectable_value(&mut source, offered, name);
                }
                folder_field(ui, &mut source, &language.tr("or a folder"));
            })
            .response
            .labelled_by(label.id)
            .on_hover_text(second.model.to_string());
        if source != second.model {
            second.model = source;
            second.checkpoint = None;
            second.switched_off.clear();
        }
        if let Some(model) = known.filter(|model| model.source == second.model) {
            checkpoint(ui, &model.history, &mut second.checkpoint, language);
        }
        ui.checkbox(
            &mut scene.session.second_text,
            language.tr("a text of its own"),
        );
        if scene.session.second_text {
            ui.add(TextEdit::singleline(&mut second.text).desired_width(220.0))
                .accessible_name(language.tr("Text of the second"));
        }
        if ui
            .button(language.tr("Swap"))
            .on_hover_text(language.tr("Makes the first the second, and the second the first"))
            .clicked()
        {
            std::mem::swap(&mut scene.session.wanted, second);
        }
        if scene.second_is_busy {
            ui.spinner();
            ui.label(language.tr("reading…"));
        }
    });
}

/// Where another model lies, as it is typed.
fn folder_field(ui: &mut Ui, source: &mut Source, hint: &str) {
    let id = Id::unique("second folder");
    let mut folder = ui
        .data(|data| data.get_temp::<String>(id))
        .unwrap_or_default();
    let field = ui.add(
        TextEdit::singleline(&mut folder)
            .desired_width(220.0)
            .hint_text(hint),
    );
    let entered = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
    if entered && !folder.trim().is_empty() {
        *source = Source::from(folder.trim().to_owned());
        ui.close();
    }
    ui.data_mut(|data| data.insert_temp(id, folder));
}

fn checkpoint(
    ui: &mut Ui,
    history: &[u64],
    chosen: &mut Option<u64>,
    language: crate::language::Language,
) {
    if history.is_empty() {
        return;
    }
    let last = history.len();
    let now = chosen.and_then(|tokens| history.iter().position(|n| *n == tokens));
    let mut place = now.unwrap_or(last);
    let label = ui.label(language.tr("Tokens seen"));
    let all = language.tr("all");
    ui.spacing_mut().slider_width = 110.0;
    let slider = ui
        .add(
            Slider::new(&mut place, 0..=last)
                .custom_formatter(|i, _| {
                    let tokens = history.get(i as usize);
                    tokens.map_or_else(|| all.to_string(), |&n| count(n))
                })
                .handle_shape(HandleShape::Circle),
        )
        .labelled_by(label.id);
    if slider.changed() {
        *chosen = history.get(place).copied();
    }
}

/// The head of both, and whether it is on in each.
fn heads(ui: &mut Ui, scene: &mut Scene) {
    attention::head(ui, scene);
    let language = scene.language;
    let head = Head {
        layer: scene.session.layer,
        head: scene.session.head,
    };
    let Some(second) = &mut scene.session.second else {
        return;
    };
    let mut on = !second.switched_off.contains(&head);
    let switch = ui.checkbox(&mut on, language.tr("on in the second"));
    if switch
        .on_hover_text(language.tr("Switched off, the head adds nothing to the stream"))
        .changed()
    {
        match on {
            true => second.switched_off.remove(&head),
            false => second.switched_off.insert(head),
        };
    }
}

/// What there is instead of the second.
fn nothing(ui: &mut Ui, scene: &Scene) {
    ui.strong(scene.tr("Second"));
    match scene.second_failure {
        Some(why) => ui.label(RichText::new(why).color(ui.visuals().error_fg_color)),
        None if scene.second.is_some() => ui.weak(scene.tr("Its text is empty.")),
        None => ui.weak(scene.tr("reading…")),
    };
}

const PIECES: f32 = 46.0;

/// Whether a map is so small that what is said next has to give it its place.
fn is_short(ui: &Ui) -> bool {
    ui.available_height() < 280.0
}

/// The height of a map: what pieces, headings and bars leave of the column.
fn map_size(ui: &Ui) -> egui::Vec2 {
    let bars = match is_short(ui) {
        true => 0.0,
        false => 5.0 * (likely::ROW + 1.0) + 30.0,
    };
    let height = (ui.available_height() - bars).max(120.0);
    vec2(ui.available_width(), height)
}

/// One of the two: its pieces, its map, what it says next.
fn side(ui: &mut Ui, scene: &mut Scene, name: &str) {
    let analysis = scene.analysis;
    let model = &analysis.model;
    let seen = model.checkpoint.map(|tokens| {
        let seen = count(tokens);
        scene.format(", {0} tokens seen", &[&seen])
    });
    ui.horizontal(|ui| {
        ui.strong(scene.tr(name));
        let name = format!("{}{}", short(&model.source), seen.unwrap_or_default());
        ui.add(Label::new(RichText::new(name).weak()).truncate());
    });
    ui.allocate_ui(vec2(ui.available_width(), PIECES), |ui| {
        ScrollArea::vertical()
            .id_salt((name, "pieces"))
            .max_height(PIECES)
            .min_scrolled_height(PIECES)
            .auto_shrink(false)
            .show(ui, |ui| tokens::pieces(ui, scene, 12.0));
    });
    let (size, is_short) = (map_size(ui), is_short(ui));
    ui.allocate_ui(size, |ui| {
        ui.set_min_size(size);
        map(ui, scene, name);
    });
    if !is_short {
        next(ui, scene);
    }
}

fn map(ui: &mut Ui, scene: &mut Scene, name: &str) {
    let analysis = scene.analysis;
    let (layer, head) = (scene.session.layer, scene.session.head);
    if layer >= analysis.layers() || head >= analysis.heads() {
        ui.label(scene.format(
            "This model has no layer {0} with a head {1}: it has {2} layers of {3} heads.",
            &[&layer, &head, &analysis.layers(), &analysis.heads()],
        ));
        return;
    }
    let labels = analysis.labels();
    let (head, shading) = (Head { layer, head }, scene.session.shading());
    let side = scene.tr(name);
    let heat_map = HeatMap {
        name: scene.format(
            "{0}: attention, layer {1}, head {2}",
            &[&side, &layer, &head.head],
        ),
        version: version((analysis.serial, head, shading)),
        rows: &labels,
        columns: &labels,
        colors: scene.session.colors,
        marked: marked(scene, labels.len()),
    };
    let made = analysis.clone();
    let pointed = heat_map.show(ui, scene.language, move |rows, columns, size| {
        let first = columns.start;
        shading.of(made.weights(head, rows, columns, size, Pooling::Max), first)
    });
    choose(scene, pointed.clicked);
    if let Some([i, j]) = pointed.hovered {
        pointed.response.on_hover_ui_at_pointer(|ui| {
            cell(ui, scene, i, j, &[(name, &**analysis)], None);
        });
    }
}

fn marked(scene: &Scene, tokens: usize) -> Option<[usize; 2]> {
    let chosen = scene.session.query.zip(scene.session.key)?;
    (chosen.0 < tokens && chosen.1 < tokens).then_some([chosen.0, chosen.1])
}

fn choose(scene: &mut Scene, clicked: Option<[usize; 2]>) {
    if let Some([i, j]) = clicked {
        let locked = (scene.session.query, scene.session.key) == (Some(i), Some(j));
        (scene.session.query, scene.session.key) = match locked {
            true => (None, None),
            false => (Some(i), Some(j)),
        };
    }
}

/// What each weighs at a cell, exactly.
fn cell(
    ui: &mut Ui,
    scene: &Scene,
    i: usize,
    j: usize,
    of: &[(&str, &Analysis)],
    difference: Option<f32>,
) {
    let tokens = &of[0].1.tokens;
    ui.strong(format!("{} → {}", tokens[i].label, tokens[j].label));
    ui.weak(scene.format("query {0}, key {1}", &[&i, &j]));
    if j > i {
        ui.label(scene.tr("hidden: a token sees no token after it"));
        return;
    }
    let (layer, head) = (scene.session.layer, scene.session.head);
    let head = Head { layer, head };
    Grid::new("weights").show(ui, |ui| {
        for (name, analysis) in of {
            ui.label(scene.tr(name));
            let weight = analysis.terms(head, i, j).map(|terms| terms.weight);
            ui.monospace(weight.map_or_else(|why| why.to_string(), |w| format!("{w:.6}")));
            ui.end_row();
        }
        if let Some(difference) = difference {
            ui.label(scene.tr("Difference"));
            ui.monospace(format!("{difference:+.6}"));
            ui.end_row();
        }
    });
}

/// The five likeliest next tokens.
fn next(ui: &mut Ui, scene: &mut Scene) {
    let analysis = scene.analysis;
    let last = analysis.tokens.len() - 1;
    let position = scene.session.query.unwrap_or(last).min(last);
    ui.label(scene.format("Next, after {0}:", &[&analysis.tokens[position].label]));
    let list = analysis.next(position, 5);
    likely::tokens(ui, &list, |id| analysis.label_of(id), None);
}

/// Why two have no difference, in words.
fn incomparable(scene: &Scene, second: &Analysis) -> Option<String> {
    let first = scene.analysis;
    let (layer, head) = (scene.session.layer, scene.session.head);
    if first.tokens != second.tokens {
        return Some(scene.format(
            "There is no difference map: the two do not have the same tokens ({0} and {1} of them), so that their cells do not belong together.",
            &[&first.tokens.len(), &second.tokens.len()],
        ));
    }
    let is_there = |of: &Analysis| layer < of.layers() && head < of.heads();
    if !(is_there(first) && is_there(second)) {
        return Some(scene.format(
            "There is no difference map: not both have a layer {0} with a head {1}.",
            &[&layer, &head],
        ));
    }
    None
}

fn difference(ui: &mut Ui, scene: &mut Scene) {
    // As high as the headings beside it.
    ui.horizontal(|ui| ui.strong(scene.tr("Difference")));
    let Some(second) = scene.second.filter(|second| !second.tokens.is_empty()) else {
        return;
    };
    if let Some(why) = incomparable(scene, second) {
        ui.label(why);
        return;
    }
    let first = scene.analysis;
    let (layer, head) = (scene.session.layer, scene.session.head);
    type Asked = (u64, u64, usize, usize);
    type Found = Result<Arc<Difference>, String>;
    let key: Asked = (first.serial, second.serial, layer, head);
    let id = Id::unique("difference");
    let latest = background::latest(ui, id, key, || {
        let both = [first.clone(), second.clone()];
        move |outdated: &dyn Fn() -> bool| {
            let difference = Difference::of(both, Head { layer, head }, outdated)?;
            Some(difference.map(Arc::new))
        }
    });
    match latest.current() {
        Some(Ok(difference)) => difference_map(ui, scene, second, difference, key),
        Some(Err(why)) => {
            ui.label(RichText::new(why).color(ui.visuals().error_fg_color));
        }
        None => {
            ui.horizontal(|ui| background::waiting::<Asked, Found>(ui, id, scene.language));
        }
    }
}

fn difference_map(
    ui: &mut Ui,
    scene: &mut Scene,
    second: &Arc<Analysis>,
    difference: &Arc<Difference>,
    key: impl std::hash::Hash,
) {
    ui.allocate_ui(vec2(ui.available_width(), PIECES), |ui| {
        ui.set_min_height(PIECES);
        legend(ui, scene, difference);
    });
    let labels = scene.analysis.labels();
    let (layer, head) = (scene.session.layer, scene.session.head);
    let heat_map = HeatMap {
        name: scene.format(
            "Difference of attention, layer {0}, head {1}",
            &[&layer, &head],
        ),
        version: version(key),
        rows: &labels,
        columns: &labels,
        colors: scene.session.colors,
        marked: marked(scene, labels.len()),
    };
    let size = map_size(ui);
    let pointed = ui
        .allocate_ui(size, |ui| {
            ui.set_min_size(size);
            let difference = difference.clone();
            heat_map.show_signed(ui, scene.language, move |rows, columns, size| {
                let cells = difference.cells(rows, columns, size);
                cells.unwrap_or_else(|_| Array2::from_elem((1, 1), f32::NAN))
            })
        })
        .inner;
    choose(scene, pointed.clicked);
    let first = scene.analysis;
    let both = [("First", &**first), ("Second", &**second)];
    if let Some([i, j]) = pointed.hovered {
        let exact = difference.at(i, j);
        pointed
            .response
            .on_hover_ui_at_pointer(|ui| cell(ui, scene, i, j, &both, Some(exact)));
    }
    if let Some([i, j]) = marked(scene, labels.len()) {
        cell(ui, scene, i, j, &both, Some(difference.at(i, j)));
    } else {
        ui.weak(scene.tr("Click a cell to keep its numbers here."));
    }
}

/// Which colour is which difference.
fn legend(ui: &mut Ui, scene: &Scene, difference: &Difference) {
    let [least, most] = difference.range;
    let reach = difference.reach();
    if reach == 0.0 {
        ui.label(scene.tr("The two maps are the same."));
        return;
    }
    ui.horizontal(|ui| {
        ui.monospace(format!("{:+.4}", -reach));
        let width = (ui.available_width() - 70.0).clamp(40.0, 160.0);
        let (rect, response) = ui.allocate_exact_size(vec2(width, 10.0), Sense::hover());
        const STEPS: usize = 33;
        for i in 0..STEPS {
            let step = rect.width() / STEPS as f32;
            let at = rect.min + vec2(i as f32 * step, 0.0);
            let color = theme::signed(2.0 * i as f32 / (STEPS - 1) as f32 - 1.0);
            let cell = Rect::from_min_size(at, vec2(step + 0.5, rect.height()));
            ui.painter().rect_filled(cell, 0.0, color);
        }
        let text = scene.tr("Blue: the second looks less; white: as much; red: more");
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &text));
        response.on_hover_text(text.clone());
        ui.monospace(format!("{reach:+.4}"));
    });
    ui.weak(scene.format(
        "from {0} to {1}",
        &[&format!("{least:+.6}"), &format!("{most:+.6}")],
    ));
}
