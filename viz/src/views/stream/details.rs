//! A closer look at the chosen place of the stream.

mod contributions;

pub use contributions::contributions;

use super::{choose_depth, depth, depth_name, position, site};
use crate::{
    analysis::likeliest,
    background,
    course::Topic,
    theme,
    views::{Scene, likely},
};
use baichuan2::{
    probe::{LayerSite, Site},
    tensor::{LinearMap, PrincipalComponents},
};
use eframe::egui::{Align2, Color32, Id, RichText, Role, Ui, WidgetInfo, vec2};
use egui_plot::{
    Corner, GridMark, HoverPosition, Legend, Line, MarkerShape, Plot, PlotPoint, PlotPoints,
    Points, Text, VLine,
};
use ndarray::{Array2, Axis};
use std::collections::BTreeSet;

/// The colour of what attention does, everywhere in this view.
pub fn attention_color() -> Color32 {
    theme::head(0)
}

/// The colour of what the feed-forward layers do.
pub fn mlp_color() -> Color32 {
    theme::head(1)
}

/// How long the stream is after each layer, and what is added to it.
pub fn lengths(ui: &mut Ui, scene: &mut Scene) {
    let position = position(scene);
    let layers = scene.analysis.layers();
    scene.explain(ui, "The stream is a sum: each block adds a vector to it, x ← x + Attention(RMSNorm(x)), then x ← x + SwiGLU(RMSNorm(x)). Here is how long each of these vectors is, √(∑x²).", &Topic::LENGTHS);
    let norm = |site| {
        let rows = scene.analysis.rows(site)?;
        let row = rows.row(position).insert_axis(Axis(0)).to_owned();
        Some(f64::from(row.row_norms()[0]))
    };
    let series = |site: &dyn Fn(usize) -> Site, depths: std::ops::RangeInclusive<usize>| {
        let points = depths.filter_map(|i| Some([i as f64, norm(site(i))?]));
        points.collect::<Vec<[f64; 2]>>()
    };
    let added = |of| move |i: usize| Site::Layer(i - 1, of);
    let lines = [
        (
            scene.tr("the stream").into_owned(),
            series(&site, 0..=layers),
            ui.visuals().strong_text_color(),
            MarkerShape::Circle,
        ),
        (
            scene.tr("attention adds").into_owned(),
            series(&added(LayerSite::SelfAttn), 1..=layers),
            attention_color(),
            MarkerShape::Square,
        ),
        (
            scene.tr("the feed-forward layer adds").into_owned(),
            series(&added(LayerSite::Mlp), 1..=layers),
            mlp_color(),
            MarkerShape::Diamond,
        ),
    ];
    let names: Vec<String> = (0..=layers).map(|i| depth_name(scene, i)).collect();
    let name_of = |x: f64| {
        let i = x.round();
        let near = (x - i).abs() < 1e-6 && i >= 0.0;
        near.then(|| names.get(i as usize).cloned()).flatten()
    };
    let numbers: Vec<String> = lines[0].1.iter().map(|p| format!("{:.3}", p[1])).collect();
    let plot = Plot::new("lengths")
        .height(ui.available_height().clamp(150.0, 360.0))
        .legend(Legend::default().position(Corner::LeftTop))
        .include_y(0.0)
        .include_x(-0.2)
        .include_x(layers as f64 + 0.2)
        .allow_scroll(false)
        .allow_zoom(false)
        .allow_drag(false)
        .allow_boxed_zoom(false)
        .x_grid_spacer(move |_| whole_numbers(layers))
        .x_axis_formatter(|mark, _| name_of(mark.value).unwrap_or_default())
        .label_formatter(|at| match at {
            HoverPosition::NearDataPoint {
                plot_name,
                position,
                ..
            } => {
                let depth = name_of(position.x).unwrap_or_default();
                Some(format!("{plot_name}\n{depth}: {:.4}", position.y))
            }
            HoverPosition::Elsewhere { .. } => None,
        });
    let depth = depth(scene);
    let here = ui.visuals().selection.bg_fill;
    let shown = plot.show(ui, |plot| {
        plot.vline(
            VLine::new("", depth as f64)
                .color(here)
                .width(3.0)
                .allow_hover(false),
        );
        for (name, points, color, shape) in lines {
            let line: PlotPoints = points.clone().into();
            plot.line(
                Line::new(name.clone(), line)
                    .color(color)
                    .width(2.0)
                    .allow_hover(false),
            );
            plot.points(
                Points::new(name, PlotPoints::from(points))
                    .color(color)
                    .shape(shape)
                    .radius(4.0),
            );
        }
        plot.pointer_coordinate()
    });
    let sentence = scene.format(
        "Length of the stream at position {0}, from the embedding to the output: {1}",
        &[&position, &numbers.join(", ")],
    );
    shown
        .response
        .widget_info(|| WidgetInfo::labeled(Role::Image, true, &sentence));
    if let (true, Some(at)) = (shown.response.clicked(), shown.inner) {
        choose_depth(scene, at.x.round().clamp(0.0, layers as f64) as usize);
    }
}

fn whole_numbers(last: usize) -> Vec<GridMark> {
    let step = (last / 12).max(1);
    (0..=last)
        .step_by(step)
        .map(|i| GridMark {
            value: i as f64,
            step_size: step as f64,
        })
        .collect()
}

/// The five likeliest next tokens with NormHead and without.
pub fn norm_head(ui: &mut Ui, scene: &mut Scene) {
    let analysis = scene.analysis;
    let position = position(scene);
    scene.explain(ui, "NormHead divides each row of the output matrix by its length, so that a logit is the stream's length times a cosine: rare tokens with short rows are not drowned.", &Topic::NORM_HEAD);
    let Some(stream) = analysis.rows(Site::FinalNorm) else {
        return;
    };
    let has_norm_head = analysis.model.decoder.config().norm_head;
    let id = Id::unique("norm head");
    let key = (analysis.serial, position);
    let latest = background::latest(ui, id, key, || {
        let x = stream.row(position).insert_axis(Axis(0)).to_owned();
        let model = analysis.model.clone();
        move |_: &dyn Fn() -> bool| {
            let unembedding = model.weights()?.unembedding();
            Some([true, false].map(|norm_head| unembedding.logits_as(x.view(), norm_head)))
        }
    });
    let Some(logits) = latest.current() else {
        ui.horizontal(|ui| {
            background::waiting::<(u64, usize), [Array2<f32>; 2]>(ui, id, scene.language)
        });
        return;
    };
    ui.columns(2, |columns| {
        let titles = ["with NormHead", "without NormHead"];
        for (i, (ui, title)) in columns.iter_mut().zip(titles).enumerate() {
            let is_own = has_norm_head == (i == 0);
            ui.horizontal(|ui| {
                ui.strong(scene.tr(title));
                if is_own {
                    ui.weak(scene.tr("as the model was trained"));
                }
            });
            let list = likeliest(logits[i].view(), 0, 5);
            let chosen = scene.session.token;
            if let Some(id) = likely::tokens(ui, &list, |id| analysis.label_of(id), chosen) {
                super::choose_token(scene, id);
            }
        }
    });
}

/// Where the tokens of the text lie, seen from where they are farthest apart.
#[derive(Clone)]
struct Places {
    ids: Vec<u32>,
    at: Vec<[f64; 2]>,
    /// What of all differences the picture shows.
    share: f64,
}

/// The embeddings of the text's tokens along their two principal components.
pub fn embeddings(ui: &mut Ui, scene: &mut Scene) {
    let analysis = scene.analysis;
    let id = Id::unique("embeddings");
    let latest = background::latest(ui, id, analysis.serial, || {
        let mut known = BTreeSet::new();
        let first: Vec<usize> = (0..analysis.tokens.len())
            .filter(|&i| known.insert(analysis.tokens[i].id))
            .collect();
        let ids = first.iter().map(|&i| analysis.tokens[i].id).collect();
        let rows = analysis.rows(Site::Embed);
        let rows = rows.map(|rows| rows.select(Axis(0), &first).mapv(f64::from));
        move |_: &dyn Fn() -> bool| {
            Some(
                rows.ok_or_else(String::new)
                    .and_then(|rows| places(ids, &rows)),
            )
        }
    });
    scene.explain(ui, "Each token of the text where its embedding lies, from the side from which they differ most (the first two principal components). Nothing of the text is in it yet: the same token is always at the same place.", &Topic::EMBEDDINGS);
    let places = match latest.current() {
        Some(Ok(places)) => places,
        Some(Err(why)) => {
            ui.label(RichText::new(why).color(ui.visuals().error_fg_color));
            return;
        }
        None => {
            ui.horizontal(|ui| {
                background::waiting::<u64, Result<Places, String>>(ui, id, scene.language);
            });
            return;
        }
    };
    ui.label(scene.format(
        "{0} different tokens; the picture shows {1} % of the variance",
        &[&places.ids.len(), &format!("{:.1}", places.share * 100.0)],
    ));
    scatter(ui, scene, places);
}

fn places(ids: Vec<u32>, rows: &Array2<f64>) -> Result<Places, String> {
    let k = 2.min(rows.ncols());
    let found = PrincipalComponents::of(rows.view(), k).map_err(|error| error.to_string())?;
    let along = found.project(rows.view());
    let of_row = |row: ndarray::ArrayView1<f64>| [row[0], *row.get(1).unwrap_or(&0.0)];
    let share = found.variances.sum() / found.total;
    Ok(Places {
        ids,
        at: along.rows().into_iter().map(of_row).collect(),
        // One token differs from nothing.
        share: if share.is_nan() { 1.0 } else { share },
    })
}

fn scatter(ui: &mut Ui, scene: &mut Scene, places: &Places) {
    /// More labels than these cannot be read.
    const LABELS: usize = 300;
    let analysis = scene.analysis;
    let chosen = analysis.tokens[position(scene)].id;
    let (ink, strong) = (ui.visuals().text_color(), ui.visuals().strong_text_color());
    let labels: Vec<String> = places.ids.iter().map(|&id| analysis.label_of(id)).collect();
    let plot = Plot::new("embeddings")
        .height(ui.available_height().clamp(200.0, 600.0))
        .data_aspect(1.0)
        .allow_scroll(false)
        .show_grid(false)
        .set_margin_fraction(vec2(0.1, 0.12))
        .label_formatter(|at| match at {
            HoverPosition::NearDataPoint { position, .. } => {
                let near = |p: &[f64; 2]| (p[0] - position.x).abs() + (p[1] - position.y).abs();
                let nearest = (0..places.at.len())
                    .min_by(|&a, &b| near(&places.at[a]).total_cmp(&near(&places.at[b])))?;
                let [x, y] = places.at[nearest];
                Some(format!("{}\n{x:.4}, {y:.4}", labels[nearest]))
            }
            HoverPosition::Elsewhere { .. } => None,
        });
    let shown = plot.show(ui, |plot| {
        plot.points(
            Points::new("", PlotPoints::from(places.at.clone()))
                .color(attention_color())
                .radius(3.0),
        );
        for ((id, at), label) in places.ids.iter().zip(&places.at).zip(&labels).take(LABELS) {
            let is_chosen = *id == chosen;
            // Off its point.
            let text =
                RichText::new(format!("  {label}")).size(if is_chosen { 15.0 } else { 12.0 });
            let text = if is_chosen { text.strong() } else { text };
            plot.text(
                Text::new("", PlotPoint::new(at[0], at[1]), text)
                    .anchor(Align2::LEFT_CENTER)
                    .color(if is_chosen { strong } else { ink })
                    .allow_hover(false),
            );
        }
    });
    let sentence = scene.format(
        "The embeddings of {0} tokens, along two principal components",
        &[&places.ids.len()],
    );
    shown
        .response
        .widget_info(|| WidgetInfo::labeled(Role::Image, true, &sentence));
}
