//! All layers and heads, small: where to look closer.

use super::Scene;
use crate::{
    background,
    heat_map::{color_image, version},
    session::AttentionForm,
};
use baichuan2::probe::Head;
use eframe::egui::{
    Color32, ColorImage, Context, Id, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind,
    TextureHandle, TextureOptions, Ui, WidgetInfo, pos2, vec2,
};
use std::sync::{Arc, Mutex, PoisonError};

/// Cells of a small map, at the most.
const CELLS: usize = 96;

/// The small maps that are made.
#[derive(Clone, Default)]
struct Made {
    version: u64,
    maps: Vec<Option<TextureHandle>>,
    /// Those that are no textures yet.
    images: Arc<Mutex<Vec<(Head, ColorImage)>>>,
}

pub fn show(ui: &mut Ui, scene: &mut Scene) {
    let (layers, heads) = (scene.analysis.layers(), scene.analysis.heads());
    let made = made(ui, scene, layers * heads);
    const LABEL: f32 = 28.0;
    const GAP: f32 = 6.0;
    // All in view where that leaves something to see.
    let wide = (ui.available_width() - LABEL) / heads as f32 - GAP;
    let high = ui.available_height() / layers as f32 - GAP;
    let side = wide.min(high).clamp(40.0, 200.0);
    ScrollArea::both().auto_shrink(false).show(ui, |ui| {
        ui.spacing_mut().item_spacing = vec2(GAP, GAP);
        for layer in 0..layers {
            ui.horizontal(|ui| {
                ui.add_sized([LABEL, side], eframe::egui::Label::new(layer.to_string()))
                    .on_hover_text(scene.format("Layer {0}", &[&layer]));
                for head in 0..heads {
                    let map = made.maps[layer * heads + head].as_ref();
                    small(ui, scene, Head { layer, head }, side, map);
                }
            });
        }
    });
}

fn small(ui: &mut Ui, scene: &mut Scene, head: Head, side: f32, map: Option<&TextureHandle>) {
    let (rect, response) = ui.allocate_exact_size(vec2(side, side), Sense::click());
    let off = scene.session.wanted.switched_off.contains(&head);
    let name = scene.format("Layer {0}, head {1}", &[&head.layer, &head.head]);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
    if let Some(map) = map {
        let all = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
        let tint = if off {
            Color32::from_gray(70)
        } else {
            Color32::WHITE
        };
        ui.painter().image(map.id(), rect, all, tint);
    }
    let chosen = (scene.session.layer, scene.session.head) == (head.layer, head.head);
    let stroke = match (chosen, response.hovered() || response.has_focus()) {
        (true, _) => Stroke::new(2.0, ui.visuals().strong_text_color()),
        (_, true) => Stroke::new(1.5, ui.visuals().text_color()),
        _ => Stroke::NONE,
    };
    ui.painter()
        .rect_stroke(rect, 0.0, stroke, StrokeKind::Outside);
    if response.clicked() {
        (scene.session.layer, scene.session.head) = (head.layer, head.head);
        scene.session.form = AttentionForm::Map;
    }
    response.on_hover_text(match off {
        true => scene.format("{0}, switched off", &[&name]),
        false => name,
    });
}

/// Those that are made by now, one after another beside the window.
fn made(ui: &Ui, scene: &Scene, n: usize) -> Made {
    let shading = scene.session.shading();
    let (colors, dark) = (scene.session.colors, ui.visuals().dark_mode);
    let version = version((scene.analysis.serial, shading, colors, dark));
    let id = Id::unique("small maps");
    let known = ui.data(|data| data.get_temp::<Made>(id));
    let mut made = known
        .filter(|known| known.version == version)
        .unwrap_or_else(|| Made {
            version,
            maps: vec![None; n],
            images: Arc::default(),
        });
    let heads = scene.analysis.heads();
    background::latest(ui, id.with("images"), version, || {
        let missing: Vec<Head> = (0..n)
            .filter(|&i| made.maps[i].is_none())
            .map(|i| Head {
                layer: i / heads,
                head: i % heads,
            })
            .collect();
        let (analysis, images) = (scene.analysis.clone(), made.images.clone());
        let context = ui.ctx().clone();
        move |outdated: &dyn Fn() -> bool| {
            for head in missing {
                if outdated() {
                    return None;
                }
                let weights = analysis.thumbnail(head, [CELLS; 2]);
                let image = color_image(&shading.of(weights, 0), colors, dark);
                let mut images = images.lock().unwrap_or_else(PoisonError::into_inner);
                images.push((head, image));
                context.request_repaint();
            }
            Some(())
        }
    });
    let images = std::mem::take(&mut *made.images.lock().unwrap_or_else(PoisonError::into_inner));
    for (head, image) in images {
        made.maps[head.layer * heads + head.head] = Some(texture(ui.ctx(), head, image));
    }
    ui.data_mut(|data| data.insert_temp(id, made.clone()));
    made
}

fn texture(context: &Context, head: Head, image: ColorImage) -> TextureHandle {
    context.load_texture(format!("small map {head}"), image, TextureOptions::NEAREST)
}
