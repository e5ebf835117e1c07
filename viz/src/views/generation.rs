//! The text goes on, token by token; what each token was chosen from can be seen, and chosen otherwise.

use super::{Scene, likely};
use crate::{
    course::Topic,
    generator::{Alternative, Choice, End, Generator, Settings},
    theme,
};
use baichuan2::{bpe::Specials, generation::Stage};
use eframe::egui::{
    self, Align2, Button, Color32, DragValue, FontId, Grid, Id, PopupCloseBehavior, Rect, RichText,
    Role, ScrollArea, Sense, Slider, Stroke, StrokeKind, Ui, Widget, WidgetInfo,
    containers::menu::{MenuButton, MenuConfig},
    pos2, vec2,
};
use ndarray::Array1;
use std::sync::{Arc, Mutex, PoisonError};

type Shared = Arc<Mutex<Generator>>;

/// Parameters on the left; the text and what its next token is chosen from on the right.
pub fn show(ui: &mut Ui, scene: &mut Scene) {
    let shared = generator(ui);
    let mut generator = shared.lock().unwrap_or_else(PoisonError::into_inner);
    generator.poll();
    generator.follow(scene.analysis);
    buttons(ui, scene, &mut generator);
    scene.explain(ui, "The model gives each token of its vocabulary a probability; filters take out the unlikely, and one of the rest is drawn. Click a new token to see what it was chosen from, and another there to take that instead.", &Topic::GENERATION);
    ui.separator();
    // The table has five columns.
    if ui.available_width() < 760.0 {
        let stay = MenuConfig::new().close_behavior(PopupCloseBehavior::CloseOnClickOutside);
        MenuButton::new(scene.tr("Parameters").as_ref())
            .config(stay)
            .ui(ui, |ui| parameters(ui, scene, &mut generator));
        text(ui, scene, &generator);
        ui.separator();
        alternatives(ui, scene, &mut generator);
        return;
    }
    ui.horizontal_top(|ui| {
        ui.vertical(|ui| {
            ui.set_width(236.0);
            parameters(ui, scene, &mut generator);
        });
        ui.separator();
        ui.vertical(|ui| {
            text(ui, scene, &generator);
            ui.separator();
            alternatives(ui, scene, &mut generator);
        });
    });
}

fn parameters(ui: &mut Ui, scene: &mut Scene, generator: &mut Generator) {
    let before = scene.session.generation.clone();
    settings(ui, scene);
    if scene.session.generation != before {
        generator.change(scene.analysis, &scene.session.generation);
    }
}

/// The generator lives as long as the window, so that a text that was begun goes on while another view is looked at.
fn generator(ui: &Ui) -> Shared {
    let context = ui.ctx().clone();
    let new = || {
        Arc::new(Mutex::new(Generator::new(move || {
            context.request_repaint()
        })))
    };
    let id = Id::unique("generator");
    ui.data_mut(|data| data.get_temp_mut_or_insert_with(id, new).clone())
}

fn buttons(ui: &mut Ui, scene: &mut Scene, generator: &mut Generator) {
    let settings = scene.session.generation.clone();
    let analysis = scene.analysis;
    let added = generator.steps().len();
    let may_go_on = added < settings.most && !generator.is_busy();
    ui.horizontal_wrapped(|ui| {
        let step = Button::new(scene.tr("One token"));
        if ui
            .add_enabled(!generator.is_busy(), step)
            .on_hover_text(scene.tr("Chooses the next token"))
            .clicked()
        {
            generator.go_on(analysis, &settings, 1);
        }
        if generator.is_playing() {
            if ui.button(format!("■ {}", scene.tr("Stop"))).clicked() {
                generator.stop();
                generator.go_on(analysis, &settings, 0);
            }
        } else {
            let play = Button::new(format!("▶ {}", scene.tr("Play")));
            if ui.add_enabled(may_go_on, play).clicked() {
                generator.go_on(analysis, &settings, settings.most - added);
            }
        }
        let some = added > 0;
        if ui
            .add_enabled(some, Button::new(scene.tr("Back")))
            .on_hover_text(scene.tr("Forgets the last new token"))
            .clicked()
        {
            generator.back_to(analysis, &settings, added.saturating_sub(1));
        }
        if ui
            .add_enabled(some, Button::new(scene.tr("From the start")))
            .on_hover_text(scene.tr("Forgets all new tokens"))
            .clicked()
        {
            generator.back_to(analysis, &settings, 0);
        }
        if ui
            .add_enabled(some, Button::new(scene.tr("Use as text")))
            .on_hover_text(
                scene.tr(
                    "Makes the whole the text to read, so that all views show the new tokens too",
                ),
            )
            .clicked()
        {
            use_as_text(scene, generator);
        }
        ui.separator();
        ui.label(scene.format("{0} new, at most {1}", &[&added, &settings.most]));
        state(ui, scene, generator);
    });
}

fn state(ui: &mut Ui, scene: &Scene, generator: &Generator) {
    if let Some((read, of)) = generator.reading() {
        ui.spinner();
        ui.label(scene.format("reading: {0} of {1} tokens", &[&read, &of]));
    } else if generator.is_busy() && !generator.is_playing() {
        ui.spinner();
    }
    let said = match generator.end() {
        None | Some(End::Length) if generator.steps().len() < scene.session.generation.most => {
            return;
        }
        None => return,
        Some(End::Length) => scene.tr("as many as were asked for").into_owned(),
        Some(End::Stop(id)) => {
            let label = scene.analysis.label_of(*id);
            scene.format("The model ended the text with {0}.", &[&label])
        }
        Some(End::Context(context)) => scene.format(
            "The context is full: the model has learned from {0} tokens at a time.",
            &[context],
        ),
        Some(End::Failed(why)) => {
            ui.label(RichText::new(why).color(ui.visuals().error_fg_color));
            return;
        }
    };
    ui.strong(said);
}

/// Puts the prompt as it is written, and the new tokens after it, into the text field.
fn use_as_text(scene: &mut Scene, generator: &Generator) {
    let tokenizer = &scene.analysis.model.tokenizer;
    let prompt = generator.text().len() - generator.steps().len();
    let mut decoder = tokenizer.stream_decoder(Specials::Skip);
    let mut added = String::new();
    for (i, id) in generator.text().into_iter().enumerate() {
        // An id of the vocabulary: it came from the model.
        let text = decoder.push(id).unwrap_or_default();
        if i >= prompt {
            added += &text;
        }
    }
    added += &decoder.finish();
    scene.session.wanted.text = scene.analysis.wanted.text.clone() + &added;
}

fn settings(ui: &mut Ui, scene: &mut Scene) {
    let language = scene.language;
    let s = &mut scene.session.generation;
    ui.checkbox(&mut s.greedy, language.tr("greedy: always the likeliest"))
        .on_hover_text(language.tr("Nothing is drawn; only the penalty counts"));
    ui.spacing_mut().slider_width = 86.0;
    let greedy = s.greedy;
    let row = |ui: &mut Ui,
               name: &str,
               hint: &str,
               on: bool,
               widget: &mut dyn FnMut(&mut Ui) -> egui::Response| {
        let label = ui.label(language.tr(name));
        ui.add_enabled_ui(on, |ui| {
            widget(ui)
                .labelled_by(label.id)
                .on_hover_text(language.tr(hint))
        });
        ui.end_row();
    };
    Grid::new("sampling").num_columns(2).spacing(vec2(8.0, 4.0)).show(ui, |ui| {
        row(ui, "penalty", "Repetition penalty: the logits of what stands in the text already are divided by it where positive, multiplied where negative; 1 does nothing", true, &mut |ui| {
            Slider::new(&mut s.repetition_penalty, 1.0..=2.0).fixed_decimals(2).ui(ui)
        });
        row(ui, "temperature", "Logits are divided by it: below 1 the likely become likelier, above 1 all become alike", !greedy, &mut |ui| {
            Slider::new(&mut s.temperature, 0.05..=3.0).logarithmic(true).fixed_decimals(2).ui(ui)
        });
        row(ui, "top-k", "So many of the likeliest tokens are kept; 0 keeps all", !greedy, &mut |ui| {
            Slider::new(&mut s.top_k, 0..=100).ui(ui)
        });
        row(ui, "top-p", "The fewest of the likeliest tokens that together exceed this probability are kept; 1 keeps all", !greedy, &mut |ui| {
            Slider::new(&mut s.top_p, 0.01..=1.0).fixed_decimals(2).ui(ui)
        });
        row(ui, "seed", "The same seed draws the same text", !greedy, &mut |ui| {
            DragValue::new(&mut s.seed).speed(0.1).ui(ui)
        });
        row(ui, "most tokens", "Playing ends at so many new tokens", true, &mut |ui| {
            DragValue::new(&mut s.most).range(1..=4096).ui(ui)
        });
        row(ui, "tokens a second", "How fast it plays, if the model is as fast", true, &mut |ui| {
            Slider::new(&mut s.pace, 0.5..=100.0).logarithmic(true).fixed_decimals(1).ui(ui)
        });
    });
    if ui
        .button(language.tr("As shipped"))
        .on_hover_text(language.tr("The parameters that Baichuan 2's chat models are shipped with"))
        .clicked()
    {
        let shipped = Settings::default();
        *s = Settings {
            seed: s.seed,
            most: s.most,
            pace: s.pace,
            ..shipped
        };
    }
}

/// Which new token is looked at: none for the one that comes next.
fn looked_at(ui: &Ui, generator: &Generator) -> Option<usize> {
    let chosen = ui.data(|data| data.get_temp::<Option<usize>>(looked_at_id()));
    chosen.flatten().filter(|&i| i < generator.steps().len())
}

fn looked_at_id() -> Id {
    Id::unique("new token")
}

fn look_at(ui: &Ui, step: Option<usize>) {
    ui.data_mut(|data| data.insert_temp(looked_at_id(), step));
}

/// The prompt in plain ink, the new tokens in colour.
fn text(ui: &mut Ui, scene: &Scene, generator: &Generator) {
    let looked_at = looked_at(ui, generator);
    let dark = ui.visuals().dark_mode;
    let height = (ui.available_height() * 0.32).max(64.0);
    ScrollArea::vertical()
        .id_salt("generated")
        .max_height(height)
        .min_scrolled_height(height)
        .stick_to_bottom(true)
        .auto_shrink([false, true])
        .show(ui, |ui| {
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing = vec2(1.0, 3.0);
                for token in &scene.analysis.tokens {
                    let none = Color32::TRANSPARENT;
                    let response = piece(ui, &token.label, none, false, Sense::hover());
                    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &token.label));
                    if token.label.ends_with("\\n") {
                        ui.end_row();
                    }
                }
                for (i, step) in generator.steps().iter().enumerate() {
                    let label = scene.analysis.label_of(step.id);
                    let chosen = looked_at == Some(i);
                    // By hand in another hue, and underlined for those who cannot tell them apart.
                    let color = theme::token(if step.by_hand { 1 } else { 0 }, dark);
                    let response = piece(ui, &label, color, chosen, Sense::click());
                    if step.by_hand {
                        let line = Stroke::new(2.0, ui.visuals().strong_text_color());
                        ui.painter()
                            .hline(response.rect.x_range(), response.rect.bottom(), line);
                    }
                    let name = scene.format("new token {0}: {1}", &[&(i + 1), &label]);
                    response
                        .widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, &name));
                    if response.on_hover_ui(|ui| origin(ui, scene, step)).clicked() {
                        look_at(ui, (!chosen).then_some(i));
                    }
                    if label.ends_with("\\n") {
                        ui.end_row();
                    }
                }
                let next = RichText::new(" … ").monospace().size(16.0);
                let next = ui
                    .selectable_label(looked_at.is_none(), next)
                    .on_hover_text(scene.tr("The token that comes next"));
                next.widget_info(|| {
                    WidgetInfo::selected(
                        Role::Button,
                        true,
                        looked_at.is_none(),
                        scene.tr("The token that comes next"),
                    )
                });
                if next.clicked() {
                    look_at(ui, None);
                }
            });
        });
}

/// A piece of text, as wide as it is: a line ends before it and not within it.
fn piece(ui: &mut Ui, label: &str, color: Color32, chosen: bool, sense: Sense) -> egui::Response {
    let ink = ui.visuals().strong_text_color();
    let font = FontId::monospace(16.0);
    let galley = ui.painter().layout_no_wrap(label.to_owned(), font, ink);
    let margin = vec2(2.0, 1.0);
    let (rect, response) = ui.allocate_exact_size(galley.size() + 2.0 * margin, sense);
    let painter = ui.painter();
    painter.rect_filled(rect, 3.0, color);
    if chosen || response.has_focus() {
        let stroke = ui.visuals().selection.stroke;
        painter.rect_stroke(rect, 3.0, stroke, StrokeKind::Inside);
    }
    painter.galley(rect.min + margin, galley, ink);
    response
}

/// How a new token came to be.
fn origin(ui: &mut Ui, scene: &Scene, step: &crate::generator::Step) {
    ui.strong(scene.analysis.label_of(step.id));
    let found = step.choice.alternatives.iter().find(|a| a.id == step.id);
    if let Some(found) = found {
        let plain = likely::probability(found.probabilities[0]);
        let last = found.probabilities[found.probabilities.len() - 1];
        ui.label(scene.format(
            "probability {0}, after the filters {1}",
            &[&plain, &likely::probability(last)],
        ));
    }
    if step.by_hand {
        ui.label(scene.tr("chosen by hand"));
    }
}

/// What came next is chosen from, or what a new token was.
fn alternatives(ui: &mut Ui, scene: &mut Scene, generator: &mut Generator) {
    let at = looked_at(ui, generator);
    let settings = scene.session.generation.clone();
    let (choice, taken) = match at.map(|i| &generator.steps()[i]) {
        Some(step) => (Some(step.choice.clone()), Some(step.id)),
        None => match (generator.next().cloned(), generator.steps().last()) {
            (Some(logits), _) => (Some(next_choice(ui, generator, &settings, &logits)), None),
            // While it plays: what the newest token was chosen from.
            (None, Some(step)) => (Some(step.choice.clone()), Some(step.id)),
            (None, None) => (None, None),
        },
    };
    let title = match (at, taken) {
        (Some(i), _) => scene.format("What new token {0} was chosen from", &[&(i + 1)]),
        (None, None) => scene.tr("What the next token is chosen from").into_owned(),
        (None, Some(_)) => scene.format(
            "What new token {0} was chosen from",
            &[&generator.steps().len()],
        ),
    };
    ui.horizontal(|ui| {
        ui.strong(title);
        ui.weak(scene.tr("click a token to take it"));
    });
    let Some(choice) = choice else {
        ui.spinner();
        return;
    };
    if let Some(id) = table(ui, scene, &choice, taken) {
        let place = at.unwrap_or(match taken {
            Some(_) => generator.steps().len() - 1,
            None => generator.steps().len(),
        });
        generator.take(scene.analysis, &settings, place, id);
        look_at(ui, None);
    }
}

/// Made once for each text and setting.
fn next_choice(
    ui: &Ui,
    generator: &Generator,
    settings: &Settings,
    logits: &Arc<Array1<f32>>,
) -> Arc<Choice> {
    // The logits are held, so that no others can come to lie where these do.
    type Known = (Arc<Array1<f32>>, Settings, Arc<Choice>);
    let id = Id::unique("next choice");
    let known = ui.data(|data| data.get_temp::<Known>(id));
    if let Some((of, with, choice)) = known
        && Arc::ptr_eq(&of, logits)
        && with == *settings
    {
        return choice;
    }
    let choice = Choice::of(logits.view(), &generator.text(), settings.sampling(), None);
    let choice = Arc::new(choice);
    let known: Known = (logits.clone(), settings.clone(), choice.clone());
    ui.data_mut(|data| data.insert_temp(id, known));
    choice
}

const LABEL: f32 = 112.0;

/// A row a token, a column a stage. Returns the token that was clicked.
fn table(ui: &mut Ui, scene: &Scene, choice: &Choice, taken: Option<u32>) -> Option<u32> {
    const NARROWEST: f32 = 64.0;
    let width = ui.available_width() - LABEL - 12.0;
    // Where not all stages have room: the model's own, and the last.
    let all = choice.stages.len();
    let fit = ((width / NARROWEST) as usize).clamp(1, all.max(1));
    let stages: Vec<usize> = (0..all).filter(|&i| i == 0 || i > all - fit).collect();
    let column = (width / stages.len() as f32).min(170.0);
    header(ui, scene, choice, &stages, column);
    let mut clicked = None;
    ScrollArea::vertical()
        .id_salt("alternatives")
        .auto_shrink([false, true])
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 1.0;
            for alternative in &choice.alternatives {
                let is_taken = taken == Some(alternative.id);
                if row(ui, scene, alternative, &stages, column, is_taken).clicked() {
                    clicked = Some(alternative.id);
                }
            }
        });
    clicked
}

fn header(ui: &mut Ui, scene: &Scene, choice: &Choice, stages: &[usize], column: f32) {
    let s = &choice.sampling;
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 34.0), Sense::hover());
    for (place, &i) in stages.iter().enumerate() {
        let name = match choice.stages[i] {
            Stage::Model => scene.tr("the model's own").into_owned(),
            Stage::RepetitionPenalty => scene.format("penalty {0}", &[&s.repetition_penalty]),
            Stage::Temperature => scene.format("temperature {0}", &[&s.temperature]),
            Stage::TopK => scene.format("top-k {0}", &[&s.top_k]),
            Stage::TopP => scene.format("top-p {0}", &[&s.top_p]),
        };
        let at = rect.min + vec2(LABEL + place as f32 * column, 0.0);
        let cell = Rect::from_min_size(at, vec2(column, rect.height()));
        let painter = ui.painter_at(cell);
        let (ink, weak) = (
            ui.visuals().strong_text_color(),
            ui.visuals().weak_text_color(),
        );
        painter.text(
            cell.min,
            Align2::LEFT_TOP,
            &name,
            FontId::proportional(13.0),
            ink,
        );
        let left = scene.format("{0} left", &[&choice.left[i]]);
        painter.text(
            cell.min + vec2(0.0, 17.0),
            Align2::LEFT_TOP,
            &left,
            FontId::proportional(11.0),
            weak,
        );
        let response = ui.interact(cell, ui.scope_id().with(("stage", i)), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{name}: {left}")));
    }
}

fn row(
    ui: &mut Ui,
    scene: &Scene,
    alternative: &Alternative,
    stages: &[usize],
    column: f32,
    is_taken: bool,
) -> egui::Response {
    let size = vec2(ui.available_width(), likely::ROW);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let label = scene.analysis.label_of(alternative.id);
    let number = |i: usize| match alternative.is_out(i) {
        true => scene.tr("taken out").into_owned(),
        false => likely::probability(alternative.probabilities[i]),
    };
    let numbers: Vec<String> = (0..alternative.probabilities.len()).map(number).collect();
    response.widget_info(|| {
        let name = format!("{label}: {}", numbers.join(", "));
        WidgetInfo::selected(Role::Button, true, is_taken, name)
    });
    let painter = ui.painter_at(rect);
    if is_taken || response.hovered() || response.has_focus() {
        let fill = match is_taken {
            true => ui.visuals().selection.bg_fill.gamma_multiply(0.4),
            false => ui.visuals().widgets.hovered.weak_bg_fill,
        };
        painter.rect_filled(rect, 3.0, fill);
    }
    let middle = rect.center().y;
    let (strong, weak) = (
        ui.visuals().strong_text_color(),
        ui.visuals().weak_text_color(),
    );
    let name = Rect::from_min_max(rect.min, pos2(rect.left() + LABEL - 6.0, rect.bottom()));
    let shown = if is_taken {
        format!("● {label}")
    } else {
        label.clone()
    };
    painter.with_clip_rect(name).text(
        pos2(rect.left() + 4.0, middle),
        Align2::LEFT_CENTER,
        shown,
        FontId::proportional(13.0),
        strong,
    );
    for (place, &i) in stages.iter().enumerate() {
        let (p, number) = (alternative.probabilities[i], &numbers[i]);
        let left = rect.left() + LABEL + place as f32 * column;
        let track = Rect::from_min_max(
            pos2(left, rect.top() + 3.0),
            pos2(left + column - 8.0, rect.bottom() - 3.0),
        );
        if !alternative.is_out(i) {
            painter.rect_filled(track, 2.0, theme::hidden(ui.visuals().dark_mode));
            let bar = track.with_max_x(track.left() + track.width() * p.min(1.0));
            painter.rect_filled(bar, 2.0, theme::token(0, ui.visuals().dark_mode));
        }
        painter.text(
            pos2(track.left() + 4.0, middle),
            Align2::LEFT_CENTER,
            number,
            FontId::monospace(11.0),
            if p > 0.0 { strong } else { weak },
        );
    }
    response.on_hover_text(format!(
        "{}   id {}   {:e}",
        label, alternative.id, alternative.probabilities[0]
    ))
}
