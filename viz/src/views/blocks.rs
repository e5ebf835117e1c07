//! The softmax block by block: what a query keeps while it meets its keys.

use super::{Scene, attention, kept};
use crate::{course::Topic, player::player, theme};
use baichuan2::{
    attention::{Running, attend, fade},
    tensor::softmax,
};
use eframe::egui::{
    self, Align, Align2, Color32, DragValue, FontId, Layout, Mesh, Rect, Response, RichText, Role,
    ScrollArea, Sense, Shape, Slider, Stroke, Ui, WidgetInfo, pos2, vec2,
};
use egui_extras::{Column, TableBuilder};
use ndarray::{Array1, Axis, s};
use std::ops::Range;

/// One query of one head, met block by block, and at once.
struct Met {
    /// Scaled scores with bias, one for each key that the query sees.
    scores: Array1<f32>,
    /// The softmax of all at once.
    weights: Array1<f32>,
    /// The output of attention at once.
    output: Array1<f32>,
    /// The smallest and largest output of all states.
    outputs: [f32; 2],
    /// What is kept before the first block, and after each.
    states: Vec<State>,
}

struct State {
    /// Keys of the block that was met.
    keys: Range<usize>,
    /// $m$.
    max: f32,
    /// $e^{m - m'}$ from the state before.
    fade: f32,
    /// $\ell$.
    sum: f32,
    /// $o$.
    weighted: Array1<f32>,
    /// $o / \ell$.
    output: Array1<f32>,
}

impl Met {
    /// Nothing where the pass saw nothing of the head.
    fn of(scene: &Scene, query: usize, size: usize) -> Option<Met> {
        let (layer, head) = (scene.session.layer, scene.session.head);
        let analysis = scene.analysis;
        let keys = ..=query;
        let q = analysis.queries(layer, head)?;
        let q = q.slice_move(s![query..=query, ..]);
        let k = analysis.keys(layer, head)?.slice_move(s![keys, ..]);
        let v = analysis.values(layer, head)?.slice_move(s![keys, ..]);
        let bias = analysis.model.decoder.config().bias(head, query);
        let whole = attend(q, k, v, &bias);
        let mut running = Running::new(1, v.ncols());
        let state = |keys: Range<usize>, before: f32, running: &Running<f32>| State {
            max: running.max[0],
            fade: fade(before, running.max[0]),
            sum: running.sum[0],
            weighted: running.weighted.row(0).to_owned(),
            output: running.clone().output().remove_axis(Axis(0)),
            keys,
        };
        let mut states = vec![state(0..0, f32::NEG_INFINITY, &running)];
        for start in (0..=query).step_by(size.max(1)) {
            let keys = start..(start + size.max(1)).min(query + 1);
            let before = running.max[0];
            let scores = whole.scores.slice(s![.., keys.clone()]).to_owned();
            running.meet(scores, v.slice(s![keys.clone(), ..]));
            states.push(state(keys, before, &running));
        }
        let outputs = states.iter().flat_map(|state| &state.output);
        let outputs = extent(outputs.chain(&whole.output), 0.0);
        Some(Met {
            outputs,
            scores: whole.scores.row(0).to_owned(),
            weights: whole.weights.row(0).to_owned(),
            output: whole.output.row(0).to_owned(),
            states,
        })
    }

    /// The softmax of the keys that were met up to a state.
    fn weights_at(&self, state: &State) -> Array1<f32> {
        let met = self.scores.slice(s![..state.keys.end]);
        softmax(met.insert_axis(Axis(0))).remove_axis(Axis(0))
    }

    /// The largest difference to the output at once.
    fn difference(&self, state: &State) -> f32 {
        let both = state.output.iter().zip(&self.output);
        both.fold(0.0, |most, (a, b)| most.max((a - b).abs()))
    }
}

/// The controls, the steps, the pictures, and the table beside them.
pub fn show(ui: &mut Ui, scene: &mut Scene) {
    let last = scene.analysis.tokens.len().saturating_sub(1);
    let query = scene.session.query.unwrap_or(last).min(last);
    controls(ui, scene, query, last);
    let query = scene.session.query.unwrap_or(last).min(last);
    let size = scene.session.blocks.size.clamp(1, query + 1);
    let (layer, head) = (scene.session.layer, scene.session.head);
    let of = (scene.analysis.serial, layer, head, query, size);
    let met = kept(ui, "softmax in blocks", of, || Met::of(scene, query, size));
    let Some(met) = met.as_ref() else {
        ui.label(scene.tr("Nothing was seen of this head."));
        return;
    };
    let blocks = met.states.len() - 1;
    player(
        ui,
        scene.language,
        "Block",
        &mut scene.session.blocks.step,
        blocks,
    );
    let step = scene
        .session
        .blocks
        .step
        .map_or(blocks, |step| step.min(blocks));
    ui.separator();
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        super::leave_room_for_bar(ui);
        scene.explain(ui, "A query meets its keys block by block and keeps three things: the largest score m, the sum ℓ of e^(s−m), and the output o weighted likewise. When m moves to m′, ℓ and o are multiplied by e^(m−m′); in the end o/ℓ is the output.", &Topic::BLOCKS);
        told(ui, scene, met, step);
        if super::is_narrow(ui) {
            scores(ui, scene, met, step);
            weights(ui, scene, met, step);
            output(ui, scene, met, step);
            ScrollArea::horizontal().show(ui, |ui| table(ui, scene, met, step));
            return;
        }
        let table_width = 350.0;
        ui.horizontal_top(|ui| {
            let width = ui.available_width() - table_width - 16.0;
            ui.vertical(|ui| {
                ui.set_width(width.max(260.0));
                scores(ui, scene, met, step);
                weights(ui, scene, met, step);
                output(ui, scene, met, step);
            });
            ui.vertical(|ui| table(ui, scene, met, step));
        });
    });
}

fn controls(ui: &mut Ui, scene: &mut Scene, query: usize, last: usize) {
    ui.horizontal_wrapped(|ui| {
        attention::head(ui, scene);
        ui.separator();
        let mut chosen = query;
        let label = ui.label(scene.tr("Query"));
        let drag = ui
            .add(DragValue::new(&mut chosen).range(0..=last).speed(0.1))
            .labelled_by(label.id)
            .on_hover_text(scene.format("0 to {0}", &[&last]));
        if drag.changed() && chosen != query {
            scene.session.query = Some(chosen);
            scene.session.key = scene.session.key.filter(|&key| key <= chosen);
        }
        let token = scene.analysis.tokens.get(chosen);
        let text = token.map_or("", |token| token.label.as_str());
        ui.monospace(RichText::new(text).strong());
        ui.separator();
        let mut size = scene.session.blocks.size.clamp(1, chosen + 1);
        let label = ui.label(scene.tr("Keys in a block"));
        ui.spacing_mut().slider_width = 120.0;
        let slider = Slider::new(&mut size, 1..=chosen + 1).logarithmic(chosen > 64);
        if ui.add(slider).labelled_by(label.id).changed() {
            scene.session.blocks.size = size;
            scene.session.blocks.step = None;
        }
    });
}

/// What the last step did, in a sentence; at the end, how near it came.
fn told(ui: &mut Ui, scene: &Scene, met: &Met, step: usize) {
    let state = &met.states[step];
    let text = if step == 0 {
        scene
            .tr("Nothing is met yet: m = −∞, ℓ = 0, o = 0.")
            .into_owned()
    } else {
        let before = met.states[step - 1].max;
        let (from, to) = (number(before), number(state.max));
        if step == 1 {
            scene.format(
                "The first block: m = {0}, ℓ = {1}.",
                &[&to, &number(state.sum)],
            )
        } else if state.max > before {
            scene.format(
                "m moves from {0} to {1}: what was gathered so far is multiplied by e^(m−m′) = {2}.",
                &[&from, &to, &number(state.fade)],
            )
        } else {
            scene.format("m stays at {0}: the block is only added.", &[&to])
        }
    };
    ui.label(RichText::new(text).strong());
    let difference = format!("{:.2e}", met.difference(state));
    let text = match step + 1 == met.states.len() {
        true => "All keys are met: o/ℓ differs from attention at once by {0} at the most.",
        false => "So far o/ℓ differs from attention at once by {0} at the most.",
    };
    ui.label(scene.format(text, &[&difference]));
}

/// A number as it fits a table.
fn number(x: f32) -> String {
    if x == f32::NEG_INFINITY {
        return "−∞".into();
    }
    match x.abs() {
        0.0 | 1e-3..1e5 => format!("{x:.4}"),
        _ => format!("{x:.3e}"),
    }
}

/// The frame of a picture of bars: where values lie, and what is pointed at.
struct Chart {
    rect: Rect,
    response: Response,
    least: f32,
    most: f32,
    bars: usize,
}

impl Chart {
    const MARGIN: f32 = 46.0;

    fn new(ui: &mut Ui, title: &str, height: f32, range: [f32; 2], bars: usize) -> Self {
        ui.label(title);
        let size = vec2(ui.available_width(), height);
        let (whole, response) = ui.allocate_exact_size(size, Sense::hover());
        let [least, mut most] = range.map(|x| if x.is_finite() { x } else { 0.0 });
        if most - least < 1e-6 {
            most = least + 1.0;
        }
        let rect = whole
            .with_min_x(whole.left() + Self::MARGIN)
            .shrink2(vec2(0.0, 5.0));
        let chart = Chart {
            rect,
            response,
            least,
            most,
            bars,
        };
        let painter = ui.painter();
        painter.rect_filled(rect, 2.0, theme::hidden(ui.visuals().dark_mode));
        for (value, align) in [(least, Align2::RIGHT_BOTTOM), (most, Align2::RIGHT_TOP)] {
            let y = chart.y(value)
                + if align == Align2::RIGHT_TOP {
                    -4.0
                } else {
                    4.0
                };
            let font = FontId::proportional(11.0);
            let color = ui.visuals().weak_text_color();
            painter.text(
                pos2(rect.left() - 4.0, y),
                align,
                format!("{value:.3}"),
                font,
                color,
            );
        }
        chart
    }

    fn y(&self, value: f32) -> f32 {
        let share = (value - self.least) / (self.most - self.least);
        self.rect.bottom() - share * self.rect.height()
    }

    fn width(&self) -> f32 {
        self.rect.width() / self.bars as f32
    }

    fn x(&self, bar: usize) -> f32 {
        self.rect.left() + bar as f32 * self.width()
    }

    /// The rectangle of a bar from `from` to `to`.
    fn bar(&self, bar: usize, from: f32, to: f32) -> Rect {
        let gap = if self.width() > 4.0 { 1.0 } else { 0.0 };
        Rect::from_two_pos(
            pos2(self.x(bar) + gap, self.y(from)),
            pos2(self.x(bar) + self.width() - gap, self.y(to)),
        )
    }

    /// A line across a bar.
    fn tick(&self, bar: usize, value: f32, thick: f32) -> Rect {
        let tile = self.bar(bar, value, value);
        Rect::from_center_size(tile.center(), vec2(tile.width().max(1.0), thick))
    }

    fn pointed(&self) -> Option<usize> {
        let pos = self
            .response
            .hover_pos()
            .filter(|pos| self.rect.contains(*pos))?;
        let bar = ((pos.x - self.rect.left()) / self.width()) as usize;
        (bar < self.bars).then_some(bar)
    }
}

fn mesh(ui: &Ui, rects: impl IntoIterator<Item = (Rect, Color32)>) {
    let mut mesh = Mesh::default();
    for (rect, color) in rects {
        mesh.add_colored_rect(rect, color);
    }
    ui.painter().add(Shape::mesh(mesh));
}

fn extent<'a>(values: impl IntoIterator<Item = &'a f32>, with: f32) -> [f32; 2] {
    values.into_iter().fold([with, with], |[least, most], &x| {
        [least.min(x), most.max(x)]
    })
}

fn named(response: &Response, name: &str) {
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, name));
}

/// The scores, coloured by block, and the largest so far.
fn scores(ui: &mut Ui, scene: &Scene, met: &Met, step: usize) {
    let title = scene.tr("scores s, coloured by block; the line is the largest so far, m");
    let range = extent(&met.scores, met.scores[0]);
    // The lowest has a bar too.
    let below = (range[1] - range[0]).max(1e-3) * 0.06;
    let range = [range[0] - below, range[1]];
    let chart = Chart::new(ui, &title, 140.0, range, met.scores.len());
    named(
        &chart.response,
        &scene.format(
            "Scores of {0} keys in {1} blocks, {2} of them met",
            &[&met.scores.len(), &(met.states.len() - 1), &step],
        ),
    );
    let unmet = ui.visuals().weak_text_color().gamma_multiply(0.35);
    mesh(
        ui,
        met.states.iter().enumerate().flat_map(|(block, state)| {
            let chart = &chart;
            let color = if block <= step {
                theme::head(block.wrapping_sub(1))
            } else {
                unmet
            };
            state
                .keys
                .clone()
                .map(move |key| (chart.bar(key, chart.least, met.scores[key]), color))
        }),
    );
    tokens(ui, scene, &chart);
    // The largest so far, as steps.
    let mut line = Vec::new();
    for state in &met.states[1..=step] {
        let y = chart.y(state.max);
        line.push(pos2(chart.x(state.keys.start), y));
        line.push(pos2(chart.x(state.keys.end), y));
    }
    let painter = ui.painter();
    let strong = ui.visuals().strong_text_color();
    painter.line(line, Stroke::new(2.0, strong));
    if step > 1 && met.states[step].max > met.states[step - 1].max {
        let (before, now) = (&met.states[step - 1], &met.states[step]);
        let x = chart.x(now.keys.start);
        let text = format!("×{}", number(now.fade));
        let (low, high) = (chart.y(before.max), chart.y(now.max));
        let font = FontId::proportional(12.0);
        let label = painter.layout_no_wrap(text, font, strong);
        // Between the two lines, or above them, or below.
        let room = label.size().y + 8.0;
        let y = match low - high > room {
            true => (low + high) / 2.0,
            false if high - chart.rect.top() > room => high - room / 2.0 - 1.0,
            false => low + room / 2.0 + 1.0,
        };
        let tile = Rect::from_min_size(
            pos2(x - label.size().x - 8.0, y - label.size().y / 2.0),
            label.size(),
        );
        let tile = tile.translate(vec2((chart.rect.left() + 2.0 - tile.left()).max(0.0), 0.0));
        painter.rect_filled(tile.expand(3.0), 3.0, ui.visuals().panel_fill);
        painter.galley(tile.min, label, strong);
    }
    if let Some(key) = chart.pointed() {
        let block = met
            .states
            .iter()
            .position(|state| state.keys.contains(&key));
        hover(
            ui,
            scene,
            chart,
            key,
            &[
                (scene.format("block {0}", &[&block.unwrap_or(0)]), None),
                ("s".into(), Some(met.scores[key])),
            ],
        );
    }
}

/// The tokens below their bars, where there is space.
fn tokens(ui: &mut Ui, scene: &Scene, chart: &Chart) {
    const NARROWEST: f32 = 26.0;
    if chart.width() < NARROWEST {
        return;
    }
    let (row, _) = ui.allocate_exact_size(vec2(ui.available_width(), 12.0), Sense::hover());
    let color = ui.visuals().text_color();
    for (key, token) in scene.analysis.tokens.iter().take(chart.bars).enumerate() {
        let across = chart.x(key)..=chart.x(key) + chart.width();
        let cell = Rect::from_x_y_ranges(across, row.y_range());
        let painter = ui.painter_at(cell.expand2(vec2(0.0, 3.0)));
        let font = FontId::proportional(11.0);
        let label = painter.layout_no_wrap(token.label.clone(), font, color);
        // What is too long shows its beginning.
        let spare = (cell.width() - label.size().x).max(0.0);
        painter.galley(cell.min + vec2(spare / 2.0, -2.0), label, color);
    }
}

/// What a bar is, exactly.
fn hover(ui: &Ui, scene: &Scene, chart: Chart, key: usize, rows: &[(String, Option<f32>)]) {
    let around = Rect::from_x_y_ranges(
        chart.x(key)..=chart.x(key) + chart.width().max(1.0),
        chart.rect.y_range(),
    );
    let stroke = ui.visuals().widgets.hovered.bg_stroke;
    ui.painter()
        .rect_stroke(around, 0.0, stroke, egui::StrokeKind::Inside);
    chart.response.on_hover_ui_at_pointer(|ui| {
        let label = scene
            .analysis
            .tokens
            .get(key)
            .map_or("", |token| &token.label);
        ui.strong(format!("{}  {label}", scene.format("key {0}", &[&key])));
        for (name, value) in rows {
            ui.label(match value {
                Some(value) => format!("{name} = {value}"),
                None => name.clone(),
            });
        }
    });
}

/// The weights of what is met so far, and those of all at once.
fn weights(ui: &mut Ui, scene: &Scene, met: &Met, step: usize) {
    let title = scene.tr("weights so far, e^(s−m)/ℓ; the ticks are the full softmax");
    let so_far = met.weights_at(&met.states[step]);
    let most = extent(so_far.iter().chain(&met.weights), 0.0)[1];
    let chart = Chart::new(ui, &title, 100.0, [0.0, most], met.weights.len());
    named(
        &chart.response,
        &scene.format(
            "Weights of {0} of {1} keys, beside the full softmax",
            &[&so_far.len(), &met.weights.len()],
        ),
    );
    let block_of = |key: usize| met.states.partition_point(|state| state.keys.end <= key);
    let bars = so_far.iter().enumerate();
    mesh(
        ui,
        bars.map(|(key, &weight)| (chart.bar(key, 0.0, weight), theme::head(block_of(key) - 1))),
    );
    let strong = ui.visuals().strong_text_color();
    let ticks = met.weights.iter().enumerate();
    mesh(
        ui,
        ticks.map(|(key, &weight)| (chart.tick(key, weight, 2.0), strong)),
    );
    if let Some(key) = chart.pointed() {
        let mut rows = vec![(
            scene.tr("full softmax").into_owned(),
            Some(met.weights[key]),
        )];
        match so_far.get(key).copied() {
            Some(weight) => rows.insert(0, (scene.tr("so far").into_owned(), Some(weight))),
            None => rows.insert(0, (scene.tr("not met yet").into_owned(), None)),
        }
        hover(ui, scene, chart, key, &rows);
    }
}

/// The output so far, and that of all at once.
fn output(ui: &mut Ui, scene: &Scene, met: &Met, step: usize) {
    let title = scene.tr("output so far, o/ℓ, by dimension; the ticks are attention at once");
    let state = &met.states[step];
    let chart = Chart::new(ui, &title, 100.0, met.outputs, met.output.len());
    named(
        &chart.response,
        &scene.format(
            "Output of {0} dimensions, {1} from that of attention at once",
            &[&met.output.len(), &format!("{:.2e}", met.difference(state))],
        ),
    );
    let bars = state.output.iter().enumerate();
    let color = theme::head(9);
    mesh(
        ui,
        bars.map(|(i, &value)| (chart.bar(i, 0.0, value), color)),
    );
    let strong = ui.visuals().strong_text_color();
    let ticks = met.output.iter().enumerate();
    mesh(
        ui,
        ticks.map(|(i, &value)| (chart.tick(i, value, 2.0), strong)),
    );
    if let Some(i) = chart.pointed() {
        let (now, whole, o) = (state.output[i], met.output[i], state.weighted[i]);
        chart.response.on_hover_ui_at_pointer(|ui| {
            ui.strong(scene.format("dimension {0}", &[&i]));
            ui.label(format!("o = {o}"));
            ui.label(format!("o/ℓ = {now}"));
            ui.label(format!("{} {whole}", scene.tr("at once:")));
        });
    }
}

/// What is kept after each block. A click goes there.
fn table(ui: &mut Ui, scene: &mut Scene, met: &Met, step: usize) {
    let seen = ui.scope_id().with("seen");
    let moved = ui.data(|data| data.get_temp(seen)) != Some(step);
    ui.data_mut(|data| data.insert_temp(seen, step));
    let mut table = TableBuilder::new(ui)
        .id_salt("blocks")
        .striped(true)
        .vscroll(true)
        .max_scroll_height(340.0)
        .animate_scrolling(false)
        .cell_layout(Layout::left_to_right(Align::Center))
        .column(Column::exact(40.0))
        .column(Column::exact(60.0))
        .column(Column::exact(52.0))
        .column(Column::exact(64.0))
        .columns(Column::exact(52.0), 2);
    if moved {
        table = table.scroll_to_row(step, None);
    }
    table
        .header(20.0, |mut header| {
            for name in ["block", "keys", "m", "e^(m−m′)", "ℓ", "o₀"] {
                header.col(|ui| {
                    ui.strong(scene.tr(name));
                });
            }
        })
        .body(|body| {
            body.rows(20.0, met.states.len(), |mut row| {
                let block = row.index();
                row.col(|ui| {
                    let cell = ui
                        .selectable_label(block == step, block.to_string())
                        .accessible_name(scene.format("After block {0}", &[&block]));
                    if cell.clicked() {
                        let last = met.states.len() - 1;
                        scene.session.blocks.step = (block < last).then_some(block);
                    }
                });
                for text in cells(block, &met.states[block]) {
                    row.col(|ui| {
                        let text = RichText::new(text).monospace().size(12.0);
                        ui.label(if block > step { text.weak() } else { text });
                    });
                }
            });
        });
    ui.weak(scene.tr("o₀: the first dimension of o; hover the pictures for all."));
}

/// What the table says of a block, but its number.
fn cells(block: usize, state: &State) -> [String; 5] {
    let keys = match state.keys.len() {
        0 => "–".to_owned(),
        1 => state.keys.start.to_string(),
        _ => format!("{}–{}", state.keys.start, state.keys.end - 1),
    };
    // Before the first block there is nothing to multiply.
    let fade = match block < 2 {
        true => "–".to_owned(),
        false => number(state.fade),
    };
    let o = state.weighted.first().copied().unwrap_or(0.0);
    [keys, number(state.max), fade, number(state.sum), number(o)]
}
