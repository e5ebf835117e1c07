//! The logit lens: depths × positions, in each cell what the stream there would say.

use super::{choose_depth, depth, depth_name, position, site};
use crate::{
    analysis::likeliest,
    background::{self, Latest},
    heat_map::{color_image, version},
    views::{
        Scene,
        likely::{self, probability},
    },
};
use eframe::egui::{
    self, Align2, Color32, EventFilter, FontId, Id, Key, Pos2, Rect, Role, Sense, Stroke,
    StrokeKind, TextureHandle, TextureOptions, Ui, WidgetInfo, pos2, vec2,
};
use ndarray::{Array2, Axis};
use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

/// Tokens shown of each cell.
const TOP: usize = 5;
const HEADER: f32 = 22.0;
const NAMES: f32 = 74.0;
const TEXT: f32 = 12.0;
/// Heights of a row, and widths of a column, between which the grid fits itself.
const ROW: [f32; 2] = [17.0, 26.0];
const COLUMN: [f32; 2] = [50.0, 110.0];

type Likely = Arc<[(u32, f32)]>;
type Key2 = (u64, Vec<usize>, Range<usize>);

/// What was found so far, by depth and position, of one analysis.
#[derive(Clone)]
pub struct Seen {
    serial: u64,
    cells: Arc<Mutex<HashMap<(usize, usize), Likely>>>,
}

impl Seen {
    /// The likeliest tokens at a place, with their probabilities, once they are known.
    pub fn get(&self, depth: usize, position: usize) -> Option<Likely> {
        self.lock().get(&(depth, position)).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(usize, usize), Likely>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is in view.
struct View {
    depths: Vec<usize>,
    columns: Range<usize>,
    cell: egui::Vec2,
    corner: Pos2,
}

impl View {
    fn rect(&self, row: usize, column: usize) -> Rect {
        let at = vec2(
            self.cell.x * (column - self.columns.start) as f32,
            self.cell.y * row as f32,
        );
        Rect::from_min_size(self.corner + at, self.cell)
    }

    /// Depth and position under a point.
    fn at(&self, point: Pos2) -> Option<(usize, usize)> {
        let at = (point - self.corner) / self.cell;
        if at.x < 0.0 || at.y < 0.0 {
            return None;
        }
        let position = self.columns.start + at.x as usize;
        let depth = *self.depths.get(at.y as usize)?;
        self.columns
            .contains(&position)
            .then_some((depth, position))
    }
}

/// The height that the grid takes: all depths where they fit in half of the space.
pub fn height(ui: &Ui, scene: &Scene) -> f32 {
    let rows = (scene.analysis.layers() + 1) as f32;
    let most = (ui.available_height() * 0.5).max(HEADER + 5.0 * ROW[0]);
    // Beside it stand a heading and five rows of bars.
    (HEADER + rows * ROW[1])
        .min(most)
        .max((HEADER + rows * ROW[0]).min(most))
        .max(7.0 * likely::ROW + 8.0)
}

/// The grid. A click chooses depth and position; the wheel moves along a long text.
pub fn show(ui: &mut Ui, scene: &mut Scene) -> Seen {
    let size = ui.available_size();
    let (whole, response) = ui.allocate_exact_size(size, Sense::click_and_drag());
    let columns = columns(ui, scene, &response, whole.width() - NAMES);
    let rows = scene.analysis.layers() + 1;
    let fit = (((whole.height() - HEADER) / ROW[0]) as usize).clamp(2, rows.max(2));
    let row = ((whole.height() - HEADER) / rows.min(fit) as f32).clamp(ROW[0], ROW[1]);
    let width = (whole.width() - NAMES) / columns.len().max(1) as f32;
    let view = View {
        depths: depths(rows, fit, depth(scene)),
        cell: vec2(width.clamp(COLUMN[0] / 2.0, COLUMN[1]), row),
        columns,
        corner: whole.min + vec2(NAMES, HEADER),
    };
    let (seen, latest) = look(ui, scene, &view);
    let painter = ui.painter_at(whole);
    texture(ui, scene, &view, &seen, &painter);
    labels(ui, scene, &view, &seen, &painter);
    marks(ui, scene, &view, &response, &painter);
    choose(ui, scene, &view, &response);
    name(scene, &response, &seen);
    if latest.is_busy {
        let corner = Rect::from_min_size(whole.left_top(), vec2(NAMES, HEADER));
        let mut ui = ui.new_child(egui::UiBuilder::new().max_rect(corner));
        ui.spacing_mut().item_spacing.x = 2.0;
        ui.horizontal(|ui| {
            background::waiting::<Key2, ()>(ui, cells_id(), scene.language);
        });
    }
    let hovered = response.hover_pos().and_then(|pos| view.at(pos));
    if let Some((depth, position)) = hovered {
        response.on_hover_ui_at_pointer(|ui| cell(ui, scene, &seen, depth, position));
    }
    seen
}

/// How a probability is coloured.
pub fn legend(ui: &mut Ui, scene: &Scene) {
    ui.weak("0");
    let (rect, response) = ui.allocate_exact_size(vec2(72.0, 10.0), Sense::hover());
    const STEPS: usize = 24;
    for i in 0..STEPS {
        let [r, g, b] = rgb(scene, i as f32 / (STEPS - 1) as f32);
        let width = rect.width() / STEPS as f32;
        let at = rect.min + vec2(i as f32 * width, 0.0);
        let step = Rect::from_min_size(at, vec2(width + 0.5, rect.height()));
        ui.painter()
            .rect_filled(step, 0.0, Color32::from_rgb(r, g, b));
    }
    ui.weak("1");
    let hint = scene.tr("Colours: the probability of the likeliest token, from 0 to 1");
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &hint));
    response.on_hover_text(hint.clone());
}

fn rgb(scene: &Scene, shade: f32) -> [u8; 3] {
    let hidden = baichuan2::picture::Colors::BACKGROUND;
    scene.session.colors.rgb(shade).unwrap_or(hidden)
}

/// The depths in view: around the chosen one where not all fit, and always the output.
fn depths(rows: usize, fit: usize, chosen: usize) -> Vec<usize> {
    if rows <= fit {
        return (0..rows).collect();
    }
    let window = fit - 1;
    let first = chosen.saturating_sub(window / 2).min(rows - 1 - window);
    (first..first + window).chain([rows - 1]).collect()
}

/// The positions in view. They follow the chosen one, and the wheel.
fn columns(ui: &Ui, scene: &Scene, response: &egui::Response, width: f32) -> Range<usize> {
    let tokens = scene.analysis.tokens.len();
    let fit = ((width / COLUMN[0]) as usize).clamp(1, tokens.max(1));
    let id = cells_id().with("first position");
    let chosen = position(scene);
    // Where the window was, for which chosen position, and what of a column the pointer has moved beside that.
    let known = ui.data(|data| data.get_temp::<(usize, usize, usize, f32)>(id));
    let mut first = match known {
        Some((first, of, n, _)) if (of, n) == (chosen, tokens) => first,
        Some((first, _, n, _)) if n == tokens && (first..first + fit).contains(&chosen) => first,
        _ => chosen.saturating_sub(fit / 2),
    };
    let mut rest = known.map_or(0.0, |known| known.3);
    if response.dragged() {
        rest -= response.drag_delta().x / COLUMN[0];
    }
    if response.hovered() && fit < tokens {
        let scroll = ui.input(|input| input.smooth_scroll_delta());
        rest -= (scroll.x + scroll.y) / COLUMN[0];
    }
    let moved = rest.trunc();
    first = first.saturating_add_signed(moved as isize);
    first = first.min(tokens.saturating_sub(fit));
    ui.data_mut(|data| data.insert_temp(id, (first, chosen, tokens, rest - moved)));
    first..(first + fit).min(tokens)
}

fn cells_id() -> Id {
    Id::unique("logit lens")
}

/// Has the cells in view computed, those that are not known; what is known is there at once.
fn look(ui: &Ui, scene: &Scene, view: &View) -> (Seen, Latest<()>) {
    let analysis = scene.analysis;
    let id = cells_id().with("seen");
    let known = ui.data(|data| data.get_temp::<Seen>(id));
    let seen = known
        .filter(|seen| seen.serial == analysis.serial)
        .unwrap_or_else(|| {
            let seen = Seen {
                serial: analysis.serial,
                cells: Arc::default(),
            };
            ui.data_mut(|data| data.insert_temp(id, seen.clone()));
            seen
        });
    let key: Key2 = (analysis.serial, view.depths.clone(), view.columns.clone());
    let latest = background::latest(ui, cells_id(), key, || {
        let missing = missing(scene, view, &seen);
        let (seen, model, context) = (seen.clone(), analysis.model.clone(), ui.ctx().clone());
        move |outdated: &dyn Fn() -> bool| {
            for Missing {
                depth,
                positions,
                rows,
            } in missing
            {
                if outdated() {
                    return None;
                }
                let logits = model.weights()?.logit_lens(rows.view());
                for (i, position) in positions.into_iter().enumerate() {
                    let found = likeliest(logits.view(), i, TOP).into();
                    seen.lock().insert((depth, position), found);
                }
                context.request_repaint();
            }
            Some(())
        }
    });
    (seen, latest)
}

/// Places of one depth that are still to be looked at.
struct Missing {
    depth: usize,
    positions: Vec<usize>,
    /// The stream at those positions.
    rows: Array2<f32>,
}

/// The output first, then from the last layer up.
fn missing(scene: &Scene, view: &View, seen: &Seen) -> Vec<Missing> {
    let known = seen.lock();
    let of_depth = |&depth: &usize| {
        let is_missing = |position: &usize| !known.contains_key(&(depth, *position));
        let positions: Vec<usize> = view.columns.clone().filter(is_missing).collect();
        let rows = scene
            .analysis
            .rows(site(depth))?
            .select(Axis(0), &positions);
        (!positions.is_empty()).then_some(Missing {
            depth,
            positions,
            rows,
        })
    };
    view.depths.iter().rev().filter_map(of_depth).collect()
}

fn texture(ui: &Ui, scene: &Scene, view: &View, seen: &Seen, painter: &egui::Painter) {
    let known = seen.lock();
    let dark = ui.visuals().dark_mode;
    let version = version((
        (scene.analysis.serial, known.len(), dark),
        (&view.depths, &view.columns, scene.session.colors),
    ));
    let id = cells_id().with("texture");
    let drawn = ui.data(|data| data.get_temp::<(u64, TextureHandle)>(id));
    let texture = match drawn {
        Some((of, texture)) if of == version => texture,
        drawn => {
            let size = (view.depths.len(), view.columns.len());
            let shades = Array2::from_shape_fn(size, |(i, j)| {
                let cell = known.get(&(view.depths[i], view.columns.start + j));
                let likeliest = cell.and_then(|cell| cell.first());
                likeliest.map_or(f32::NAN, |(_, p)| *p)
            });
            let image = color_image(&shades, scene.session.colors, dark);
            let texture = match drawn {
                Some((_, mut texture)) => {
                    texture.set(image, TextureOptions::NEAREST);
                    texture
                }
                None => ui
                    .ctx()
                    .load_texture("logit lens", image, TextureOptions::NEAREST),
            };
            ui.data_mut(|data| data.insert_temp(id, (version, texture.clone())));
            texture
        }
    };
    if view.columns.is_empty() || view.depths.is_empty() {
        return;
    }
    let last = view.rect(view.depths.len() - 1, view.columns.end - 1);
    let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
    painter.image(
        texture.id(),
        Rect::from_min_max(view.corner, last.max),
        whole,
        Color32::WHITE,
    );
    // Cells stand apart, so that their labels do.
    let gap = Stroke::new(1.0, ui.visuals().panel_fill);
    let (across, down) = (view.corner.x..=last.max.x, view.corner.y..=last.max.y);
    for i in 1..view.depths.len() {
        painter.hline(across.clone(), view.rect(i, view.columns.start).top(), gap);
    }
    for j in view.columns.clone().skip(1) {
        painter.vline(view.rect(0, j).left(), down.clone(), gap);
    }
}

/// Black or white, whichever is read on a colour.
fn ink_on([r, g, b]: [u8; 3]) -> Color32 {
    let grey = 0.2126 * f32::from(r) + 0.7152 * f32::from(g) + 0.0722 * f32::from(b);
    if grey > 128.0 {
        Color32::BLACK
    } else {
        Color32::WHITE
    }
}

fn labels(ui: &Ui, scene: &Scene, view: &View, seen: &Seen, painter: &egui::Painter) {
    let font = FontId::proportional(TEXT);
    let (ink, strong) = (ui.visuals().text_color(), ui.visuals().strong_text_color());
    let (depth, position) = (depth(scene), position(scene));
    let fitting = |text: String, color: Color32, rect: Rect| {
        let galley = painter.layout_no_wrap(text, font.clone(), color);
        if galley.size().x <= rect.width() - 4.0 {
            let at = rect.center() - galley.size() / 2.0;
            painter.galley(at, galley, color);
        }
    };
    for j in view.columns.clone() {
        let rect = view.rect(0, j).translate(vec2(0.0, -HEADER));
        let rect = rect.with_max_y(view.corner.y);
        let clipped = painter.with_clip_rect(rect.shrink2(vec2(1.0, 0.0)));
        let color = if j == position { strong } else { ink };
        let label = scene.analysis.tokens[j].label.clone();
        let galley = painter.layout_no_wrap(label, font.clone(), color);
        let left = (rect.center().x - galley.size().x / 2.0).max(rect.left() + 2.0);
        clipped.galley(
            pos2(left, rect.center().y - galley.size().y / 2.0),
            galley,
            color,
        );
    }
    for (i, &d) in view.depths.iter().enumerate() {
        let row = view.rect(i, view.columns.start);
        painter.text(
            pos2(view.corner.x - 6.0, row.center().y),
            Align2::RIGHT_CENTER,
            depth_name(scene, d),
            font.clone(),
            if d == depth { strong } else { ink },
        );
        for j in view.columns.clone() {
            let Some((id, p)) = seen.get(d, j).and_then(|cell| cell.first().copied()) else {
                continue;
            };
            let color = ink_on(rgb(scene, p));
            fitting(scene.analysis.label_of(id), color, view.rect(i, j));
        }
    }
}

/// The chosen cell, and the one that is pointed at.
fn marks(ui: &Ui, scene: &Scene, view: &View, response: &egui::Response, painter: &egui::Painter) {
    let chosen = (depth(scene), position(scene));
    let hovered = response.hover_pos().and_then(|pos| view.at(pos));
    let strong = ui.visuals().strong_text_color();
    let width = if response.has_focus() { 3.0 } else { 2.0 };
    for (cell, width) in [(Some(chosen), width), (hovered, 1.0)] {
        let Some((depth, position)) = cell else {
            continue;
        };
        let row = view.depths.iter().position(|&d| d == depth);
        if let (Some(row), true) = (row, view.columns.contains(&position)) {
            let rect = view.rect(row, position);
            let around = Stroke::new(width + 2.0, ui.visuals().panel_fill);
            painter.rect_stroke(rect, 0.0, around, StrokeKind::Middle);
            painter.rect_stroke(rect, 0.0, Stroke::new(width, strong), StrokeKind::Middle);
        }
    }
    // Where a long text goes on.
    let tokens = scene.analysis.tokens.len();
    if view.columns.len() < tokens {
        let along = |i: usize| {
            view.corner.x + view.cell.x * view.columns.len() as f32 * i as f32 / tokens as f32
        };
        let y = view.corner.y - 1.5;
        let faint = ui.visuals().weak_text_color();
        painter.hline(along(0)..=along(tokens), y, Stroke::new(1.0, faint));
        let seen = along(view.columns.start)..=along(view.columns.end);
        painter.hline(seen, y, Stroke::new(3.0, faint));
    }
}

fn choose(ui: &Ui, scene: &mut Scene, view: &View, response: &egui::Response) {
    if response.clicked() {
        response.request_focus();
        if let Some((depth, position)) = response.interact_pointer_pos().and_then(|p| view.at(p)) {
            choose_depth(scene, depth);
            scene.session.query = Some(position);
        }
    }
    if !response.has_focus() {
        return;
    }
    let arrows = EventFilter {
        horizontal_arrows: true,
        vertical_arrows: true,
        ..EventFilter::default()
    };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
    let pressed = |key| ui.input(|input| input.key_pressed(key) && input.modifiers.is_none());
    let (layers, last) = (scene.analysis.layers(), scene.analysis.tokens.len() - 1);
    let (d, p) = (depth(scene), position(scene));
    if pressed(Key::ArrowUp) {
        choose_depth(scene, d.saturating_sub(1));
    }
    if pressed(Key::ArrowDown) {
        choose_depth(scene, (d + 1).min(layers));
    }
    if pressed(Key::ArrowLeft) {
        scene.session.query = Some(p.saturating_sub(1));
    }
    if pressed(Key::ArrowRight) {
        scene.session.query = Some((p + 1).min(last));
    }
}

/// What the picture shows, in a sentence.
fn name(scene: &Scene, response: &egui::Response, seen: &Seen) {
    let (depth, position) = (depth(scene), position(scene));
    let (rows, tokens) = (scene.analysis.layers() + 1, scene.analysis.tokens.len());
    let likeliest = seen.get(depth, position);
    let likeliest = likeliest.and_then(|cell| cell.first().copied());
    let (label, p) = likeliest.map_or_else(
        || ("…".into(), "…".into()),
        |(id, p)| (scene.analysis.label_of(id), probability(p)),
    );
    let text = scene.format(
        "Logit lens, {0} depths by {1} tokens. At {2}, after {3}: {4}, {5}",
        &[
            &rows,
            &tokens,
            &depth_name(scene, depth),
            &scene.analysis.tokens[position].label,
            &label,
            &p,
        ],
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &text));
}

/// The five likeliest of a cell, exactly.
fn cell(ui: &mut Ui, scene: &Scene, seen: &Seen, depth: usize, position: usize) {
    let token = &scene.analysis.tokens[position].label;
    ui.strong(scene.format("{0}, after {1}:", &[&depth_name(scene, depth), token]));
    ui.weak(scene.format("position {0}", &[&position]));
    let Some(list) = seen.get(depth, position) else {
        ui.label(scene.tr("computing…"));
        return;
    };
    egui::Grid::new("cell").show(ui, |ui| {
        for (id, p) in list.iter() {
            ui.label(scene.analysis.label_of(*id));
            ui.weak(format!("id {id}"));
            ui.monospace(format!("{p:.6}"));
            ui.end_row();
        }
    });
}
