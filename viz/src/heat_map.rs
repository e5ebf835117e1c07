//! A map of numbers with a token at each row and column: zoomed with the wheel, moved with the pointer, read by pointing at it.

use crate::{background, language::Language, theme};
use baichuan2::picture::Colors;
use eframe::egui::{
    self, Align2, Color32, ColorImage, FontId, Pos2, Rect, Response, Role, Sense, Stroke,
    StrokeKind, TextureHandle, TextureOptions, Ui, WidgetInfo, epaint::TextShape, pos2, vec2,
};
use ndarray::Array2;
use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash},
    ops::Range,
};

/// The part of a map that is in view, in cells from its upper left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// The upper left corner: row, column.
    from: [f64; 2],
    /// How many rows and columns there are in view.
    size: [f64; 2],
}

impl Window {
    fn whole(rows: usize, columns: usize) -> Self {
        Window {
            from: [0.0; 2],
            size: [rows as f64, columns as f64],
        }
    }

    /// Brings the cell under the pointer nearer, or takes it away, and leaves it under the pointer.
    fn zoom(&mut self, at: [f64; 2], factor: f64, all: [usize; 2]) {
        const NEAREST: f64 = 4.0;
        for (axis, at) in at.into_iter().enumerate() {
            let whole = all[axis] as f64;
            let size = (self.size[axis] / factor).clamp(NEAREST.min(whole), whole);
            self.from[axis] = at - (at - self.from[axis]) * size / self.size[axis];
            self.size[axis] = size;
        }
        self.keep_within(all);
    }

    fn keep_within(&mut self, all: [usize; 2]) {
        for (axis, all) in all.into_iter().enumerate() {
            let last = (all as f64 - self.size[axis]).max(0.0);
            self.from[axis] = self.from[axis].clamp(0.0, last);
        }
    }

    /// The whole cells that are in view, at least in part.
    fn cells(&self, axis: usize, all: usize) -> Range<usize> {
        let end = (self.from[axis] + self.size[axis]).ceil() as usize;
        (self.from[axis].floor() as usize)..end.min(all)
    }
}

/// How numbers become colours.
#[derive(Clone, Copy, PartialEq)]
enum Palette {
    /// Shades from 0 to 1.
    Shades(Colors),
    /// Differences from −1 to 1.
    Signed,
}

impl Palette {
    /// 256 colours are as many as a screen shows.
    fn table(self) -> Vec<Color32> {
        let color = |i: i32| match self {
            Palette::Shades(colors) => {
                let [r, g, b] = colors.rgb(i as f32 / 255.0).expect("a number");
                Color32::from_rgb(r, g, b)
            }
            // 0 is in the middle, at 128 and not at 127.5: what is alike is white.
            Palette::Signed => theme::signed((i - 128) as f32 / 127.0),
        };
        (0..=255).map(color).collect()
    }

    fn index(self, number: f32) -> usize {
        match self {
            Palette::Shades(_) => (number.clamp(0.0, 1.0) * 255.0).round() as usize,
            Palette::Signed => (128.0 + (number.clamp(-1.0, 1.0) * 127.0).round()) as usize,
        }
    }
}

/// A map to be shown.
pub struct HeatMap<'a> {
    /// Its name, for those who hear it, and what tells it from all others.
    pub name: String,
    /// Changes whenever the numbers do.
    pub version: u64,
    /// A label for each row.
    pub rows: &'a [String],
    /// A label for each column.
    pub columns: &'a [String],
    /// How shades become colours.
    pub colors: Colors,
    /// A cell that is marked: row, column.
    pub marked: Option<[usize; 2]>,
}

/// What was pointed at.
pub struct Pointed {
    /// The whole, with its keyboard focus.
    pub response: Response,
    /// The cell under the pointer: row, column.
    pub hovered: Option<[usize; 2]>,
    /// The cell that was clicked.
    pub clicked: Option<[usize; 2]>,
}

/// Which picture of which part.
#[derive(Clone, PartialEq)]
struct Asked {
    version: u64,
    rows: Range<usize>,
    columns: Range<usize>,
    size: [usize; 2],
    palette: Palette,
    dark: bool,
}

impl Asked {
    /// Whether this is a picture of the same map, if of another part of it.
    fn is_of(&self, other: &Asked) -> bool {
        (self.version, self.palette, self.dark) == (other.version, other.palette, other.dark)
    }
}

/// The newest picture, on its texture.
#[derive(Clone)]
struct Drawn {
    asked: Asked,
    texture: TextureHandle,
}

const LABEL: f32 = 11.0;
const MARGIN: f32 = 110.0;
/// The widest cell: a short text need not fill a large screen.
const CELL: f32 = 72.0;

impl HeatMap<'_> {
    /// Shows the map in the space that is left. `shades` gives a rectangle of it, rows × columns, in at most so many cells, from 0 to 1, NaN where hidden;
    /// it is called beside the window, and until it has answered the part that was seen before is shown where it belongs.
    pub fn show(
        &self,
        ui: &mut Ui,
        language: Language,
        shades: impl FnOnce(Range<usize>, Range<usize>, [usize; 2]) -> Array2<f32> + Send + 'static,
    ) -> Pointed {
        self.show_in(ui, language, Palette::Shades(self.colors), shades)
    }

    /// Shows a map of differences, from −1 to 1, in colours of their own: blue, white, red.
    pub fn show_signed(
        &self,
        ui: &mut Ui,
        language: Language,
        differences: impl FnOnce(Range<usize>, Range<usize>, [usize; 2]) -> Array2<f32> + Send + 'static,
    ) -> Pointed {
        self.show_in(ui, language, Palette::Signed, differences)
    }

    fn show_in(
        &self,
        ui: &mut Ui,
        language: Language,
        palette: Palette,
        shades: impl FnOnce(Range<usize>, Range<usize>, [usize; 2]) -> Array2<f32> + Send + 'static,
    ) -> Pointed {
        let all = [self.rows.len(), self.columns.len()];
        let (whole, response) = ui.allocate_exact_size(
            ui.available_size().max(vec2(120.0, 120.0)),
            Sense::click_and_drag(),
        );
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &self.name));
        if all.contains(&0) {
            return Pointed {
                response,
                hovered: None,
                clicked: None,
            };
        }
        let id = response.id.with("window");
        let known = ui.data(|data| data.get_temp::<([usize; 2], Window)>(id));
        let mut window = match known {
            Some((of, window)) if of == all => window,
            _ => Window::whole(all[0], all[1]),
        };
        let font = FontId::proportional(LABEL);
        let margin = |labels: &[String]| {
            let longest = labels.iter().take(512).map(|l| l.chars().count()).max();
            (longest.unwrap_or(0) as f32 * LABEL * 0.62 + 12.0).min(MARGIN)
        };
        let corner = whole.min + vec2(margin(self.rows), margin(self.columns));
        let space = (whole.max - corner).max(vec2(40.0, 40.0));
        let cell = (space.x / window.size[1] as f32).min(space.y / window.size[0] as f32);
        let cell = vec2(cell.min(CELL), cell.min(CELL));
        let map = Rect::from_min_size(
            corner,
            vec2(
                cell.x * window.size[1] as f32,
                cell.y * window.size[0] as f32,
            ),
        );
        let at = |pos: Pos2| {
            [
                window.from[0] + f64::from((pos.y - map.top()) / cell.y),
                window.from[1] + f64::from((pos.x - map.left()) / cell.x),
            ]
        };
        let pointer = response.hover_pos().filter(|pos| map.contains(*pos));
        let under = pointer.map(at);

        // Look.
        let rows = window.cells(0, all[0]);
        let columns = window.cells(1, all[1]);
        let pixels = ui.pixels_per_point();
        let size = [
            rows.len()
                .min((map.height() * pixels).ceil() as usize)
                .max(1),
            columns
                .len()
                .min((map.width() * pixels).ceil() as usize)
                .max(1),
        ];
        let asked = Asked {
            version: self.version,
            rows: rows.clone(),
            columns: columns.clone(),
            size,
            palette,
            dark: ui.visuals().dark_mode,
        };
        let (drawn, is_busy) = self.drawn(ui, id, asked, shades);
        let place = |row: f64, column: f64| {
            pos2(
                map.left() + ((column - window.from[1]) as f32) * cell.x,
                map.top() + ((row - window.from[0]) as f32) * cell.y,
            )
        };
        let painter = ui.painter_at(whole);
        if let Some(Drawn { asked, texture }) = &drawn {
            let (rows, columns) = (&asked.rows, &asked.columns);
            let image = Rect::from_min_max(
                place(rows.start as f64, columns.start as f64),
                place(rows.end as f64, columns.end as f64),
            );
            painter.with_clip_rect(map.intersect(whole)).image(
                texture.id(),
                image,
                Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0)),
                Color32::WHITE,
            );
        }
        if is_busy {
            let side = 24.0_f32.min(map.width()).min(map.height());
            let corner = Rect::from_center_size(map.center(), egui::Vec2::splat(side));
            egui::Spinner::new().paint_at(ui, corner);
        }
        let ink = ui.visuals().text_color();
        let faint = ui.visuals().weak_text_color();
        let strong = ui.visuals().strong_text_color();
        let hovered = under.map(|at| at.map(|x| x.floor().max(0.0) as usize));
        let hovered = hovered.filter(|cell| cell[0] < all[0] && cell[1] < all[1]);
        let focus = hovered.or(self.marked);
        let every = |cell: f32| (LABEL * 1.15 / cell).ceil().max(1.0) as usize;
        let color = |axis: usize, i: usize| match focus {
            Some(cell) if cell[axis] == i => strong,
            Some(_) => faint,
            None => ink,
        };
        let shown = |axis: usize, i: usize, step: usize| {
            let near = focus.is_some_and(|cell| cell[axis].abs_diff(i) < step && cell[axis] != i);
            let chosen = focus.is_some_and(|cell| cell[axis] == i);
            chosen || (i.is_multiple_of(step) && !near)
        };
        let step = every(cell.y);
        for i in rows.clone().filter(|&i| shown(0, i, step)) {
            let y = place(i as f64 + 0.5, 0.0).y;
            if map.y_range().contains(y) {
                painter.text(
                    pos2(map.left() - 4.0, y),
                    Align2::RIGHT_CENTER,
                    &self.rows[i],
                    font.clone(),
                    color(0, i),
                );
            }
        }
        let step = every(cell.x);
        for j in columns.clone().filter(|&j| shown(1, j, step)) {
            let x = place(0.0, j as f64 + 0.5).x;
            if map.x_range().contains(x) {
                let galley =
                    painter.layout_no_wrap(self.columns[j].clone(), font.clone(), color(1, j));
                let pos = pos2(x - galley.size().y / 2.0, map.top() - 4.0);
                let text = TextShape::new(pos, galley, color(1, j));
                painter.add(text.with_angle(-std::f32::consts::FRAC_PI_2));
            }
        }
        for (cell, stroke) in [
            (self.marked, Stroke::new(2.0, strong)),
            (hovered, Stroke::new(1.5, ink)),
        ] {
            if let Some([i, j]) = cell {
                let rect = Rect::from_min_max(
                    place(i as f64, j as f64),
                    place(i as f64 + 1.0, j as f64 + 1.0),
                );
                painter.rect_stroke(
                    rect,
                    0.0,
                    Stroke::new(stroke.width + 2.0, ui.visuals().panel_fill),
                    StrokeKind::Outside,
                );
                painter.rect_stroke(rect, 0.0, stroke, StrokeKind::Outside);
            }
        }

        // Move.
        if let Some(at) = under {
            let (scroll, pinch) =
                ui.input(|input| (input.smooth_scroll_delta().y, input.zoom_delta()));
            let factor = f64::from(pinch) * f64::from(scroll / 240.0).exp();
            if (factor - 1.0).abs() > 1e-4 {
                window.zoom(at, factor, all);
            }
        }
        if response.dragged() {
            let delta = response.drag_delta();
            window.from[0] -= f64::from(delta.y / cell.y);
            window.from[1] -= f64::from(delta.x / cell.x);
            window.keep_within(all);
        }
        if response.double_clicked() {
            window = Window::whole(all[0], all[1]);
        }
        ui.data_mut(|data| data.insert_temp(id, (all, window)));
        if window != Window::whole(all[0], all[1]) {
            let part = language.format(
                "{0} × {1} of {2} × {3}; double-click for all",
                &[&rows.len(), &columns.len(), &all[0], &all[1]],
            );
            let corner = whole.right_bottom() - vec2(4.0, 4.0);
            painter.text(corner, Align2::RIGHT_BOTTOM, &part, font, faint);
            ui.ctx()
                .accesskit_node_builder(response.id, |node| node.set_value(part));
        }
        let clicked = response.clicked() && !response.double_clicked();
        Pointed {
            hovered,
            clicked: hovered.filter(|_| clicked),
            response,
        }
    }

    /// The newest picture of this map, and whether a newer one is still to come.
    fn drawn(
        &self,
        ui: &Ui,
        id: egui::Id,
        asked: Asked,
        shades: impl FnOnce(Range<usize>, Range<usize>, [usize; 2]) -> Array2<f32> + Send + 'static,
    ) -> (Option<Drawn>, bool) {
        let latest = background::latest(ui, id.with("image"), asked.clone(), || {
            let of = asked.clone();
            move |_: &dyn Fn() -> bool| {
                let shades = shades(of.rows.clone(), of.columns.clone(), of.size);
                let image = image(&shades, of.palette, of.dark);
                Some((of, image))
            }
        });
        let id = id.with("texture");
        let known = ui.data(|data| data.get_temp::<Drawn>(id));
        let drawn = match (latest.answer.as_deref(), known) {
            (Some((of, _)), Some(drawn)) if drawn.asked == *of => Some(drawn),
            (Some((of, image)), known) => {
                let texture = match known {
                    Some(mut drawn) => {
                        drawn.texture.set(image.clone(), TextureOptions::NEAREST);
                        drawn.texture
                    }
                    None => {
                        ui.ctx()
                            .load_texture(&self.name, image.clone(), TextureOptions::NEAREST)
                    }
                };
                let asked = of.clone();
                let drawn = Drawn { asked, texture };
                ui.data_mut(|data| data.insert_temp(id, drawn.clone()));
                Some(drawn)
            }
            (None, known) => known,
        };
        // Another map under the labels of this one would say what is not so.
        let drawn = drawn.filter(|drawn| drawn.asked.is_of(&asked));
        (drawn, latest.is_busy)
    }
}

/// A number that changes whenever one of the parts does.
pub fn version(parts: impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(parts)
}

/// Shades as an image, one pixel a cell.
pub fn color_image(shades: &Array2<f32>, colors: Colors, dark: bool) -> ColorImage {
    image(shades, Palette::Shades(colors), dark)
}

fn image(numbers: &Array2<f32>, palette: Palette, dark: bool) -> ColorImage {
    let table = palette.table();
    let hidden = match palette {
        // No difference is nearly white.
        Palette::Signed if !dark => Color32::from_gray(0xd2),
        _ => theme::hidden(dark),
    };
    let color = |number: &f32| match number.is_nan() {
        true => hidden,
        false => table[palette.index(*number)],
    };
    let (rows, columns) = numbers.dim();
    ColorImage::new([columns, rows], numbers.iter().map(color).collect())
}
