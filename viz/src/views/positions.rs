//! How the model knows what stands where: rotation, or a bias by distance; and which heads share their keys.

mod dials;

use super::{Scene, attention, kept};
use crate::{course::Topic, heat_map::color_image, language::Language, theme};
use baichuan2::{
    alibi,
    attention::{Bias, Visibility, attend},
    dtransformer::Position,
    picture::hide_future,
    rope::{self, Plane},
};
use eframe::egui::{
    self, Align, Align2, Color32, DragValue, FontId, Layout, Pos2, Rect, RichText, Role,
    ScrollArea, Sense, Slider, Stroke, StrokeKind, TextureHandle, TextureOptions, Ui, Vec2,
    WidgetInfo, pos2, vec2,
};
use egui_plot::{AxisHints, HoverPosition, Line, LineStyle, Plot, PlotPoints, Points, VLine};
use ndarray::{Array1, Array2, Axis};

/// A query and a key, and how far apart they are put.
struct Pair {
    layer: usize,
    head: usize,
    query: usize,
    key: usize,
    /// How far apart they stand in the text.
    actual: usize,
    /// How far apart they are put.
    distance: usize,
    /// How far apart they may be put.
    far: usize,
    /// The query before any rotation, `[head_dim]`.
    q: Array1<f32>,
    /// The key before any rotation, `[head_dim]`.
    k: Array1<f32>,
}

/// The controls; both schemes side by side, the model's own first; the sharing of keys.
pub fn show(ui: &mut Ui, scene: &mut Scene) {
    controls(ui, scene);
    let Some(pair) = pair(scene) else {
        ui.label(scene.tr("Nothing was seen of this head."));
        return;
    };
    distance(ui, scene, &pair);
    ui.separator();
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        super::leave_room_for_bar(ui);
        let position = scene.analysis.model.decoder.config().position;
        let side_by_side = if ui.available_width() < 760.0 { 1 } else { 2 };
        ui.columns(side_by_side, |columns| {
            for i in 0..2 {
                let ui = &mut columns[i.min(side_by_side - 1)];
                ui.with_layout(Layout::top_down(Align::LEFT), |ui| match position {
                    Position::Rope { base } if i == 0 => rotation(ui, scene, &pair, base, true),
                    Position::Alibi if i == 1 => rotation(ui, scene, &pair, BASE, false),
                    _ => bias(ui, scene, &pair, i == 0),
                });
            }
        });
        ui.separator();
        ui.horizontal(|ui| {
            ui.strong(scene.tr("Queries and the keys that they meet"));
            scene.help(
                ui,
                "With grouped queries several query heads share one head of keys and values: the cache is smaller by as much.",
                &Topic::GROUPED,
            );
        });
        let heads = scene.analysis.heads();
        let key_heads = heads / scene.analysis.group();
        let chosen = scene.session.head;
        if let Some(head) = sharing(ui, scene.language, heads, key_heads, chosen) {
            scene.session.head = head;
        }
    });
}

/// The base of Baichuan 2 7B, for a model that has none.
const BASE: f64 = 1e4;

fn controls(ui: &mut Ui, scene: &mut Scene) {
    let labels = scene.analysis.labels();
    let last = labels.len().saturating_sub(1);
    let mut query = scene.session.query.unwrap_or(last).min(last);
    let mut key = scene.session.key.unwrap_or(0).min(query);
    let before = (query, key);
    ui.horizontal_wrapped(|ui| {
        attention::head(ui, scene);
        ui.separator();
        for (name, value, last) in [("Query", &mut query, last), ("Key", &mut key, before.0)] {
            let label = ui.label(scene.tr(name));
            ui.add(DragValue::new(value).range(0..=last).speed(0.1))
                .labelled_by(label.id)
                .on_hover_text(scene.format("0 to {0}", &[&last]));
            let text = labels.get(*value).map_or("", String::as_str);
            ui.monospace(RichText::new(text).strong());
        }
    });
    if (query, key) != before {
        scene.session.query = Some(query);
        scene.session.key = Some(key.min(query));
        scene.session.positions.distance = None;
    }
}

fn pair(scene: &Scene) -> Option<Pair> {
    let analysis = scene.analysis;
    let (layer, head) = (scene.session.layer, scene.session.head);
    let tokens = analysis.tokens.len();
    let last = tokens.checked_sub(1)?;
    let query = scene.session.query.unwrap_or(last).min(last);
    let key = scene.session.key.unwrap_or(0).min(query);
    let q = analysis
        .unrotated_queries(layer, head)?
        .row(query)
        .to_owned();
    let k = analysis.unrotated_keys(layer, head)?.row(key).to_owned();
    let actual = query - key;
    let far = (2 * tokens).clamp(64, 2048).max(actual);
    let distance = scene.session.positions.distance;
    Some(Pair {
        layer,
        head,
        query,
        key,
        actual,
        distance: distance.map_or(actual, |distance| distance.min(far)),
        far,
        q,
        k,
    })
}

fn distance(ui: &mut Ui, scene: &mut Scene, pair: &Pair) {
    ui.horizontal_wrapped(|ui| {
        let label = ui.label(scene.tr("Distance"));
        let mut distance = pair.distance;
        ui.spacing_mut().slider_width = (ui.available_width() - 330.0).clamp(120.0, 480.0);
        let slider = ui
            .add(Slider::new(&mut distance, 0..=pair.far))
            .labelled_by(label.id)
            .on_hover_text(
                scene.tr("Moves the query away from the key, and leaves both what they are"),
            );
        if slider.changed() {
            scene.session.positions.distance = (distance != pair.actual).then_some(distance);
        }
        let there = scene.format("where they stand: {0}", &[&pair.actual]);
        if ui
            .add_enabled(pair.distance != pair.actual, egui::Button::new(there))
            .clicked()
        {
            scene.session.positions.distance = None;
        }
    });
}

fn heading(ui: &mut Ui, scene: &Scene, name: &str, own: bool) {
    ui.horizontal(|ui| {
        ui.heading(name);
        match own {
            true => ui.strong(scene.tr("● this model")),
            false => ui.weak(scene.tr("○ what the other would do with the same queries and keys")),
        };
    });
}

/// The score of a query and a key over distance; the same plot for both schemes.
fn plot<'a>(id: &str, scene: &Scene) -> Plot<'a> {
    let distance = scene.tr("distance").into_owned();
    Plot::new(id)
        .height(180.0)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_drag(false)
        .allow_boxed_zoom(false)
        .custom_x_axes(vec![
            AxisHints::new_x()
                .label(distance.clone())
                .label_spacing(10.0..=30.0),
        ])
        .label_formatter(move |at| match at {
            HoverPosition::NearDataPoint {
                plot_name,
                position,
                ..
            } => Some(format!(
                "{plot_name}\n{distance} {:.0}\n{:.5}",
                position.x, position.y
            )),
            HoverPosition::Elsewhere { .. } => None,
        })
}

/// Marks where the pair stands, and where it is put.
fn marks(plot: &mut egui_plot::PlotUi, pair: &Pair, names: &[String; 2], colors: [Color32; 2]) {
    let line = |name: &String, x: usize| VLine::new(name.clone(), x as f64);
    plot.vline(line(&names[0], pair.actual).color(colors[0]).width(1.5));
    if pair.distance != pair.actual {
        let style = LineStyle::dashed_dense();
        plot.vline(line(&names[1], pair.distance).color(colors[1]).style(style));
    }
}

/// Planes that have a curve of their own: more cannot be told apart.
const CURVES: usize = 6;

struct Curves {
    /// The score at each distance.
    score: Vec<[f64; 2]>,
    /// The number of a plane, its θ, and what it adds at each distance.
    planes: Vec<(usize, f64, Vec<[f64; 2]>)>,
}

fn curves(pair: &Pair, base: f64) -> Curves {
    let root = (pair.q.len() as f64).sqrt();
    let distances = || (0..=pair.far).map(|distance| distance as f64);
    let score = rope::score_by_distance(pair.q.view(), pair.k.view(), base, distances());
    let planes = rope::planes(pair.q.view(), pair.k.view(), base);
    let mut strongest: Vec<(usize, &Plane)> = planes.iter().enumerate().collect();
    strongest.sort_by(|(_, a), (_, b)| (b.query * b.key).total_cmp(&(a.query * a.key)));
    strongest.truncate(CURVES);
    strongest.sort_by_key(|(i, _)| *i);
    Curves {
        score: distances()
            .zip(score)
            .map(|(x, score)| [x, score / root])
            .collect(),
        planes: strongest
            .into_iter()
            .map(|(i, plane)| {
                let curve = distances().map(|x| [x, plane.score(x) / root]).collect();
                (i, plane.theta, curve)
            })
            .collect(),
    }
}

fn rotation(ui: &mut Ui, scene: &mut Scene, pair: &Pair, base: f64, own: bool) {
    heading(ui, scene, "RoPE", own);
    let head_dim = pair.q.len();
    if head_dim < 2 || !head_dim.is_multiple_of(2) {
        ui.label(scene.format(
            "RoPE turns pairs; a head of {0} has none for its last dimension.",
            &[&head_dim],
        ));
        return;
    }
    let explanation = scene.format(
        "A head of {0} is {1} planes. Plane i turns by θ = {2}^(−2i/{0}) a token, so that q·k is a sum of cosines of the distance.",
        &[&head_dim, &(head_dim / 2), &base],
    );
    scene.explained(ui, &explanation, &Topic::ROPE);
    let of = (
        scene.analysis.serial,
        (pair.layer, pair.head),
        (pair.query, pair.key),
        (pair.far, base.to_bits()),
    );
    let curves = kept(ui, "RoPE curves", of, || curves(pair, base));
    let score = |distance: usize| curves.score[distance.min(pair.far)][1];
    score_line(ui, scene, pair, score);
    let name = scene.tr("q·k/√d after rotation").into_owned();
    let names = mark_names(scene);
    let by_plane = scene.session.positions.by_plane;
    let colors = mark_colors(ui);
    let shown = plot("RoPE score", scene).show(ui, |plot| {
        if by_plane {
            for (n, (i, theta, curve)) in curves.planes.iter().enumerate() {
                let line = Line::new(plane_name(*i, *theta), PlotPoints::from(curve.clone()));
                plot.line(line.color(theme::head(n + 1)).width(1.0));
            }
        }
        let line = Line::new(name.clone(), PlotPoints::from(curves.score.clone()));
        plot.line(line.color(theme::head(0)).width(2.0));
        marks(plot, pair, &names, colors);
        let at = [pair.distance as f64, score(pair.distance)];
        let point = Points::new(name.clone(), vec![at]).radius(4.0);
        plot.points(point.color(theme::head(0)));
    });
    let said = scene.format(
        "RoPE score by distance: {0} at {1}",
        &[&format!("{:.4}", score(pair.distance)), &pair.distance],
    );
    named(&shown.response, &said);
    let text = scene.format(
        "curves of the {0} strongest planes",
        &[&curves.planes.len()],
    );
    ui.checkbox(&mut scene.session.positions.by_plane, text);
    if by_plane {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            for (n, (i, theta, _)) in curves.planes.iter().enumerate() {
                ui.colored_label(theme::head(n + 1), "■");
                ui.label(plane_name(*i, *theta));
            }
        });
    }
    ui.add_space(4.0);
    dials::dials(ui, scene, pair, base);
}

fn plane_name(i: usize, theta: f64) -> String {
    match theta < 0.001 {
        true => format!("{i}: θ = {theta:.1e}"),
        false => format!("{i}: θ = {theta:.3}"),
    }
}

fn mark_names(scene: &Scene) -> [String; 2] {
    ["where they stand", "where they are put"].map(|name| scene.tr(name).into_owned())
}

fn mark_colors(ui: &Ui) -> [Color32; 2] {
    [ui.visuals().strong_text_color(), ui.visuals().text_color()]
}

fn named(response: &egui::Response, name: &str) {
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, name));
}

/// The score where the pair stands, and where it is put.
fn score_line(ui: &mut Ui, scene: &Scene, pair: &Pair, score: impl Fn(usize) -> f64) {
    let number = |distance| format!("{:.4}", score(distance));
    let mut text = scene.format(
        "score {0} at distance {1}, where they stand",
        &[&number(pair.actual), &pair.actual],
    );
    if pair.distance != pair.actual {
        text += " · ";
        text += &scene.format("{0} at {1}", &[&number(pair.distance), &pair.distance]);
    }
    ui.label(text);
}

fn bias(ui: &mut Ui, scene: &mut Scene, pair: &Pair, own: bool) {
    heading(ui, scene, "ALiBi", own);
    scene.explain(ui, "Each head takes its slope m times the distance from the score, q·k/√d + m·(j−i): steep heads look near, flat ones far.", &Topic::ALIBI);
    let slopes = alibi::slopes(scene.analysis.heads());
    let slope = slopes[pair.head];
    let score = |distance: usize| score_with_bias(pair, distance, Some(slope));
    score_line(ui, scene, pair, score);
    let names = mark_names(scene);
    let colors = mark_colors(ui);
    let shown = plot("ALiBi bias", scene).show(ui, |plot| {
        // The chosen one lies over the others.
        let others = (0..slopes.len()).filter(|&head| head != pair.head);
        for head in others.chain([pair.head]) {
            let far = alibi::relative_bias::<f64>(slopes[head], pair.far, 1, 1)[[0, 0]];
            let name = scene.format("head {0}: m = {1}", &[&head, &slopes[head]]);
            let line = Line::new(name, PlotPoints::from(segment(pair.far, far)));
            let width = if head == pair.head { 3.0 } else { 1.0 };
            plot.line(line.color(theme::head(head)).width(width));
        }
        marks(plot, pair, &names, colors);
    });
    let at = alibi::relative_bias::<f64>(slope, pair.distance, 1, 1)[[0, 0]];
    let said = scene.format(
        "ALiBi bias by distance, head {0}: slope {1}, {2} at {3}",
        &[&pair.head, &slope, &format!("{at:.4}"), &pair.distance],
    );
    named(&shown.response, &said);
    ui.label(&said);
    triangle(ui, scene, pair, slope);
}

/// A straight line in as many points as can be pointed at.
fn segment(far: usize, end: f64) -> Vec<[f64; 2]> {
    let point = |x: usize| [x as f64, end * x as f64 / far as f64];
    let step = far.div_ceil(256);
    (0..=far).step_by(step).map(point).collect()
}

/// The score of the pair with the key `distance` tokens before the query, without rotation.
fn score_with_bias(pair: &Pair, distance: usize, alibi_slope: Option<f64>) -> f64 {
    let row = |x: &Array1<f32>| x.mapv(f64::from).insert_axis(Axis(0));
    let (q, k) = (row(&pair.q), row(&pair.k));
    let bias = Bias {
        visibility: Visibility::Causal { first: distance },
        alibi_slope,
    };
    attend(q.view(), k.view(), k.view(), &bias).scores[[0, 0]]
}

/// Tokens of the triangle: more are smaller than a pixel.
const TRIANGLE: usize = 160;

struct Triangle {
    bias: Array2<f32>,
    texture: TextureHandle,
}

/// What a head's bias is for every query and key.
fn triangle(ui: &mut Ui, scene: &Scene, pair: &Pair, slope: f64) {
    let tokens = scene.analysis.tokens.len().min(TRIANGLE);
    let (colors, dark) = (scene.session.colors, ui.visuals().dark_mode);
    let context = ui.ctx().clone();
    let of = (slope.to_bits(), tokens, format!("{colors:?}"), dark);
    let made = kept(ui, "ALiBi triangle", of, || {
        let bias = alibi::relative_bias::<f32>(slope, 0, tokens, tokens);
        let least = bias.iter().copied().fold(-f32::MIN_POSITIVE, f32::min);
        let shades = hide_future(bias.mapv(|bias| 1.0 - bias / least).view());
        let image = color_image(&shades, colors, dark);
        let texture = context.load_texture("ALiBi triangle", image, TextureOptions::NEAREST);
        Triangle { bias, texture }
    });
    const SIDE: f32 = 190.0;
    let cell = (SIDE / tokens as f32).min(24.0);
    ui.horizontal_top(|ui| {
        let (rect, response) =
            ui.allocate_exact_size(Vec2::splat(cell * tokens as f32), Sense::hover());
        let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
        let painter = ui.painter();
        painter.image(made.texture.id(), rect, uv, Color32::WHITE);
        let of_cell = |i: usize, j: usize| {
            Rect::from_min_size(
                rect.min + vec2(j as f32, i as f32) * cell,
                Vec2::splat(cell),
            )
        };
        if pair.query < tokens {
            let around = of_cell(pair.query, pair.key).expand(1.0);
            let stroke = Stroke::new(2.0, ui.visuals().strong_text_color());
            painter.rect_stroke(around, 0.0, stroke, StrokeKind::Outside);
        }
        let name = scene.format(
            "Bias of head {0}, queries down, keys across, {1} tokens",
            &[&pair.head, &tokens],
        );
        named(&response, &name);
        if let Some(at) = response.hover_pos() {
            let at = (at - rect.min) / cell;
            let (i, j) = (at.y as usize, at.x as usize);
            if i < tokens && j < tokens {
                response.on_hover_ui_at_pointer(|ui| {
                    let labels = &scene.analysis.tokens;
                    ui.strong(format!("{} → {}", labels[i].label, labels[j].label));
                    match j > i {
                        true => ui.label(scene.tr("hidden: a token sees no token after it")),
                        false => ui.label(format!("m (j − i) = {}", made.bias[[i, j]])),
                    };
                });
            }
        }
        ui.vertical(|ui| {
            ui.weak(name);
            ui.weak(scene.tr("bright: 0; the darker, the more is taken away"));
            if tokens < scene.analysis.tokens.len() {
                ui.weak(scene.format("the first {0} tokens", &[&tokens]));
            }
        });
    });
}

/// Which query heads share which key heads; a click chooses one.
pub fn sharing(
    ui: &mut Ui,
    language: Language,
    heads: usize,
    key_heads: usize,
    chosen: usize,
) -> Option<usize> {
    let group = heads / key_heads;
    let said = match (group, key_heads) {
        (1, _) => language.format(
            "Each of the {0} query heads has keys and values of its own (multi-head attention), as in both sizes of Baichuan 2.",
            &[&heads],
        ),
        (_, 1) => language.format(
            "All {0} query heads share one head of keys and values (multi-query attention); in Baichuan 2 each has its own.",
            &[&heads],
        ),
        _ => language.format(
            "{0} query heads share {1} heads of keys and values, {2} to each (grouped-query attention); in Baichuan 2 each has its own.",
            &[&heads, &key_heads, &group],
        ),
    };
    ui.label(&said);
    let width = ui.available_width();
    let step = (width / heads as f32).min(56.0);
    let radius = (step * 0.42).min(14.0);
    let height = 2.0 * radius + 46.0;
    let (rect, response) = ui.allocate_exact_size(
        vec2(step * heads as f32, height + 2.0 * radius),
        Sense::click(),
    );
    named(
        &response,
        &language.format("{0} Chosen: query head {1}.", &[&said, &chosen]),
    );
    let query = |head: usize| {
        pos2(
            rect.left() + (head as f32 + 0.5) * step,
            rect.top() + radius + 1.0,
        )
    };
    let key = |of: usize| {
        let (first, last) = (query(of * group), query((of + 1) * group - 1));
        pos2((first.x + last.x) / 2.0, rect.bottom() - radius - 1.0)
    };
    let painter = ui.painter();
    let visuals = ui.visuals();
    let same = |head: usize| head / group == chosen / group;
    for head in 0..heads {
        let stroke = match head == chosen {
            true => Stroke::new(2.5, visuals.strong_text_color()),
            false => Stroke::new(1.0, visuals.weak_text_color()),
        };
        painter.line_segment([query(head), key(head / group)], stroke);
    }
    let node = |at: Pos2, name: String, color: Color32, chosen: bool| {
        let edge = match chosen {
            true => Stroke::new(2.5, visuals.strong_text_color()),
            false => Stroke::new(1.0, visuals.weak_text_color()),
        };
        painter.circle(at, radius, color, edge);
        if radius >= 7.0 {
            let font = FontId::proportional((radius * 0.8).min(11.0));
            let ink = visuals.strong_text_color();
            painter.text(at, Align2::CENTER_CENTER, name, font, ink);
        }
    };
    let dark = visuals.dark_mode;
    for head in 0..heads {
        let color = theme::token(head / group, dark);
        node(query(head), format!("q{head}"), color, head == chosen);
    }
    for of in 0..key_heads {
        let name = format!("k{of}");
        node(key(of), name, theme::token(of, dark), same(of * group));
    }
    let at = response.hover_pos()?;
    let head = ((at.x - rect.left()) / step) as usize;
    if head >= heads {
        return None;
    }
    let clicked = response.clicked();
    response.on_hover_text_at_pointer(language.format(
        "query head {0} meets key head {1}",
        &[&head, &(head / group)],
    ));
    clicked.then_some(head)
}
