//! All heads of a layer as one map, and all layers as one: `src/attention/aggregate.rs`.

use super::Scene;
use crate::{
    analysis::Analysis,
    heat_map::{HeatMap, version},
    session::Together,
    views::kept,
};
use baichuan2::attention::{MapError, Pooling, Rollout, max_over_heads, mean_over_heads};
use baichuan2::probe::Head;
use eframe::egui::Ui;
use ndarray::{Array2, Array3, Axis, s};
use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

/// Tokens whose rollout is made: it multiplies whole maps.
const ROLLOUT: usize = 512;

pub fn show(ui: &mut Ui, scene: &mut Scene) {
    ui.horizontal_wrapped(|ui| {
        for choice in Together::ALL {
            ui.selectable_value(
                &mut scene.session.together,
                choice,
                scene.language.tr(choice.name()),
            );
        }
        ui.weak(scene.tr(scene.session.together.meaning()));
    });
    let (analysis, together, layer) = (
        scene.analysis.clone(),
        scene.session.together,
        scene.session.layer,
    );
    let tokens = analysis.tokens.len();
    if together == Together::Rollout && tokens > ROLLOUT {
        ui.label(scene.format(
            "A rollout multiplies whole maps: it is made for up to {0} tokens, and these are {1}.",
            &[&ROLLOUT, &tokens],
        ));
        return;
    }
    let shading = scene.session.shading();
    let labels = analysis.labels();
    let name = match together {
        Together::Rollout => scene.format("Rollout through layers 0 to {0}", &[&layer]),
        _ => scene.format(
            "{0} of all heads of layer {1}",
            &[&scene.tr(together.name()), &layer],
        ),
    };
    let heat_map = HeatMap {
        name,
        version: version((analysis.serial, layer, together, shading)),
        rows: &labels,
        columns: &labels,
        colors: scene.session.colors,
        marked: None,
    };
    let values = Values {
        rolled: kept(ui, "rollout", (analysis.serial, layer), OnceLock::new),
        analysis,
        together,
        layer,
    };
    let made = values.clone();
    let pointed = heat_map.show(ui, scene.language, move |rows, columns, size| {
        let first = columns.start;
        shading.of(made.of(rows, columns, size), first)
    });
    if let Some([i, j]) = pointed.hovered {
        let exact = values.of(i..i + 1, j..j + 1, [1, 1]);
        let labels = &scene.analysis.tokens;
        pointed.response.on_hover_ui_at_pointer(|ui| {
            ui.strong(format!("{} → {}", labels[i].label, labels[j].label));
            ui.monospace(match (j > i, exact) {
                (true, _) => scene
                    .tr("hidden: a token sees no token after it")
                    .into_owned(),
                (false, Ok(value)) => value[[0, 0]].to_string(),
                (false, Err(why)) => why.to_string(),
            });
        });
    }
}

/// The weights of all heads as one map.
#[derive(Clone)]
struct Values {
    analysis: Arc<Analysis>,
    together: Together,
    layer: usize,
    /// The rollout, once it was needed.
    rolled: Arc<OnceLock<Result<Array2<f32>, MapError>>>,
}

impl Values {
    fn of(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        size: [usize; 2],
    ) -> Result<Array2<f32>, MapError> {
        let heads = |pooling| {
            let (rows, columns) = (rows.clone(), columns.clone());
            of_layer(&self.analysis, self.layer, rows, columns, size, pooling)
        };
        match self.together {
            Together::Mean => heads(Pooling::Mean).map(|maps| mean_over_heads(maps.view())),
            Together::Largest => heads(Pooling::Max).map(|maps| max_over_heads(maps.view())),
            Together::Rollout => {
                let rolled = self
                    .rolled
                    .get_or_init(|| rolled(&self.analysis, self.layer));
                let all = rolled.as_ref().map_err(Clone::clone)?;
                let part = all.slice(s![rows, columns]);
                Ok(baichuan2::picture::pool_max(part, size[0], size[1]))
            }
        }
    }
}

/// The maps of all heads of a layer, `[H, rows, columns]`.
fn of_layer(
    analysis: &Analysis,
    layer: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    size: [usize; 2],
    pooling: Pooling,
) -> Result<Array3<f32>, MapError> {
    let maps: Vec<Array2<f32>> = (0..analysis.heads())
        .map(|head| {
            analysis.weights(
                Head { layer, head },
                rows.clone(),
                columns.clone(),
                size,
                pooling,
            )
        })
        .collect::<Result<_, _>>()?;
    let views: Vec<_> = maps.iter().map(|map| map.view()).collect();
    Ok(ndarray::stack(Axis(0), &views).expect("maps of one shape"))
}

fn rolled(analysis: &Analysis, layer: usize) -> Result<Array2<f32>, MapError> {
    let n = analysis.tokens.len();
    let mut rollout = Rollout::new(n);
    for layer in 0..=layer {
        let mut maps = of_layer(analysis, layer, 0..n, 0..n, [n, n], Pooling::Max)?;
        // What is hidden counts for nothing.
        maps.mapv_inplace(|w| if w.is_nan() { 0.0 } else { w });
        rollout.layer(maps.view())?;
    }
    Ok(baichuan2::picture::hide_future(rollout.weights().view()))
}
