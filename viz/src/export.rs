//! Pictures of the views as SVG and PNG, at print size: what a view draws is drawn again without a window, and its shapes are written down.

use crate::{background, theme};
use base64::{Engine, prelude::BASE64_STANDARD};
use eframe::egui::{
    CentralPanel, Color32, ColorImage, Context, FontFamily, FontId, FullOutput, ImageData, Pos2,
    RawInput, Rect, Shape, Stroke, TextureId, Theme, Ui, Vec2,
    epaint::{
        ColorMode, ImageDelta, Mesh, RectShape, TextShape,
        text::{Glyph, Row},
    },
};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use std::{collections::HashMap, sync::Arc, thread, time::Duration};
use svg::{
    Document, Node,
    node::element::{self, ClipPath, Definitions, Group},
};
use thiserror::Error;

/// A picture that cannot be made.
#[derive(Debug, Error)]
pub enum ExportError {
    /// An image inside it.
    #[error("an image in the picture cannot be written as PNG: {0}")]
    Image(#[from] image::ImageError),
    /// The whole.
    #[error("the picture cannot be drawn: {0}")]
    Drawing(String),
}

/// The fonts that pictures are written with, in the order in which letters are looked for.
const FONTS: [&[u8]; 3] = [
    epaint_default_fonts::UBUNTU_LIGHT,
    epaint_default_fonts::HACK_REGULAR,
    theme::NOTO_SANS_SC,
];

/// Frames that a view may take to settle: one to measure, one for each few of its small maps, and those in which it waits for answers.
const FRAMES: usize = 2000;
/// What is left to other threads between the frames of a view that waits for them.
const ANSWERS: Duration = Duration::from_millis(10);

/// What `view` draws on `size` points, as an SVG.
///
/// # Errors
/// See [`ExportError`].
pub fn svg(size: Vec2, theme: Theme, mut view: impl FnMut(&mut Ui)) -> Result<String, ExportError> {
    window_svg(size, theme, |ui| {
        CentralPanel::default_margins().show(ui, |ui| view(ui));
    })
}

/// What `draw` draws on a window of `size` points, its panels included, as an SVG.
///
/// # Errors
/// See [`ExportError`].
pub fn window_svg(
    size: Vec2,
    theme: Theme,
    mut draw: impl FnMut(&mut Ui),
) -> Result<String, ExportError> {
    let context = Context::default();
    theme::set_up(&context);
    context.set_theme(theme);
    let whole = Rect::from_min_size(Pos2::ZERO, size);
    let mut images = HashMap::new();
    let mut output = FullOutput::default();
    for frame in 0..FRAMES {
        let input = RawInput {
            screen_rect: Some(whole),
            time: Some(frame as f64),
            ..RawInput::default()
        };
        output = context.run_ui(input, &mut draw);
        keep_images(&mut images, &mut output);
        if background::waits(&context) {
            thread::sleep(ANSWERS);
        } else if frame > 1 && !context.has_requested_repaint() {
            break;
        }
    }
    Writer::new(images).write(whole, output)
}

/// An SVG as a PNG, `scale` pixels a point.
///
/// # Errors
/// See [`ExportError`].
pub fn png(svg: &str, scale: f32) -> Result<Vec<u8>, ExportError> {
    let drawing = |error: &dyn std::fmt::Display| ExportError::Drawing(error.to_string());
    let mut options = resvg::usvg::Options::default();
    let fonts = options.fontdb_mut();
    for font in FONTS {
        fonts.load_font_data(font.to_vec());
    }
    let tree = resvg::usvg::Tree::from_str(svg, &options).map_err(|error| drawing(&error))?;
    let size = tree.size().to_int_size().scale_by(scale);
    let size = size.ok_or_else(|| drawing(&"its size is none"))?;
    let mut pixels = resvg::tiny_skia::Pixmap::new(size.width(), size.height())
        .ok_or_else(|| drawing(&"it is too large"))?;
    let transform = resvg::tiny_skia::Transform::from_scale(scale, scale);
    resvg::render(&tree, transform, &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| drawing(&error))
}

/// Textures arrive with the frame that makes them, and may be changed in part.
fn keep_images(images: &mut HashMap<TextureId, ColorImage>, output: &mut FullOutput) {
    for (id, deltas) in output.textures_delta.set.drain() {
        for delta in deltas {
            keep_image(images, id, delta);
        }
    }
}

fn keep_image(images: &mut HashMap<TextureId, ColorImage>, id: TextureId, delta: ImageDelta) {
    let ImageData::Color(image) = delta.image;
    match (delta.pos, images.get_mut(&id)) {
        (Some([x, y]), Some(known)) => {
            for (row, line) in image.pixels.chunks(image.width()).enumerate() {
                let start = (y + row) * known.width() + x;
                known.pixels[start..start + line.len()].copy_from_slice(line);
            }
        }
        _ => {
            images.insert(id, Arc::unwrap_or_clone(image));
        }
    }
}

struct Writer {
    images: HashMap<TextureId, ColorImage>,
    clips: Vec<Rect>,
    definitions: Definitions,
}

impl Writer {
    fn new(images: HashMap<TextureId, ColorImage>) -> Self {
        Writer {
            images,
            clips: Vec::new(),
            definitions: Definitions::new(),
        }
    }

    fn write(mut self, whole: Rect, output: FullOutput) -> Result<String, ExportError> {
        let mut body = Group::new();
        for clipped in output.shapes {
            let clip = clipped.clip_rect.intersect(whole);
            if !clip.is_positive() {
                continue;
            }
            let mut group = Group::new().set("clip-path", format!("url(#{})", self.clip(clip)));
            self.shape(&mut group, clipped.shape)?;
            if !group
                .get_children()
                .is_some_and(|children| children.is_empty())
            {
                body.append(group);
            }
        }
        let document = Document::new()
            .set("width", whole.width())
            .set("height", whole.height())
            .set("viewBox", (0, 0, whole.width(), whole.height()))
            .add(self.definitions)
            .add(body);
        Ok(document.to_string())
    }

    /// The name of a clip, which many shapes share.
    fn clip(&mut self, clip: Rect) -> String {
        let known = self.clips.iter().position(|other| *other == clip);
        let i = known.unwrap_or_else(|| {
            let i = self.clips.len();
            self.clips.push(clip);
            let rect = rectangle(clip);
            self.definitions
                .append(ClipPath::new().set("id", format!("clip{i}")).add(rect));
            i
        });
        format!("clip{i}")
    }

    fn shape(&mut self, to: &mut Group, shape: Shape) -> Result<(), ExportError> {
        match shape {
            Shape::Vec(shapes) => {
                for shape in shapes {
                    self.shape(to, shape)?;
                }
            }
            Shape::Rect(rect) => self.rect(to, rect)?,
            Shape::Text(text) => write_text(to, &text),
            Shape::Circle(circle) => {
                let node = element::Circle::new()
                    .set("cx", circle.center.x)
                    .set("cy", circle.center.y)
                    .set("r", circle.radius);
                to.append(painted(node, circle.fill, circle.stroke));
            }
            Shape::Ellipse(ellipse) => {
                let node = element::Ellipse::new()
                    .set("cx", ellipse.center.x)
                    .set("cy", ellipse.center.y)
                    .set("rx", ellipse.radius.x)
                    .set("ry", ellipse.radius.y);
                to.append(painted(node, ellipse.fill, ellipse.stroke));
            }
            Shape::LineSegment { points, stroke } => {
                to.append(painted(line(&points, false), Color32::TRANSPARENT, stroke));
            }
            Shape::Path(path) => {
                let color = match path.stroke.color {
                    ColorMode::Solid(color) => color,
                    ColorMode::UV(_) => Color32::GRAY,
                };
                let stroke = Stroke::new(path.stroke.width, color);
                to.append(painted(line(&path.points, path.closed), path.fill, stroke));
            }
            Shape::QuadraticBezier(curve) => {
                let stroke = Stroke::new(curve.stroke.width, solid(&curve.stroke.color));
                to.append(painted(
                    line(&curve.flatten(None), curve.closed),
                    curve.fill,
                    stroke,
                ));
            }
            Shape::CubicBezier(curve) => {
                let stroke = Stroke::new(curve.stroke.width, solid(&curve.stroke.color));
                to.append(painted(
                    line(&curve.flatten(None), curve.closed),
                    curve.fill,
                    stroke,
                ));
            }
            Shape::Mesh(mesh) => self.mesh(to, &mesh)?,
            Shape::Band(_) | Shape::Callback(_) | Shape::Noop => {}
        }
        Ok(())
    }

    fn rect(&mut self, to: &mut Group, shape: RectShape) -> Result<(), ExportError> {
        if let Some(brush) = &shape.brush {
            return self.image(to, brush.fill_texture_id, shape.rect, brush.uv);
        }
        let grow = match shape.stroke_kind {
            eframe::egui::StrokeKind::Inside => -0.5,
            eframe::egui::StrokeKind::Middle => 0.0,
            eframe::egui::StrokeKind::Outside => 0.5,
        };
        let rect = shape.rect.expand(grow * shape.stroke.width);
        if rect.is_positive() {
            let node = rectangle(rect).set("rx", shape.corner_radius.average());
            to.append(painted(node, shape.fill, shape.stroke));
        }
        Ok(())
    }

    /// Triangles of one colour each; of a picture, its image.
    fn mesh(&mut self, to: &mut Group, mesh: &Mesh) -> Result<(), ExportError> {
        if self.images.contains_key(&mesh.texture_id) && mesh.texture_id != TextureId::default() {
            let uv = mesh
                .vertices
                .iter()
                .fold(Rect::NOTHING, |all, v| all.union(Rect::from_pos(v.uv)));
            return self.image(to, mesh.texture_id, mesh.calc_bounds(), uv);
        }
        for triangle in mesh.indices.chunks_exact(3) {
            let corners =
                [triangle[0], triangle[1], triangle[2]].map(|i| mesh.vertices[i as usize]);
            let points = corners.map(|corner| corner.pos);
            // Without smooth edges, between which the background would shine through.
            let node = line(&points, true).set("shape-rendering", "crispEdges");
            to.append(painted(node, corners[0].color, Stroke::NONE));
        }
        Ok(())
    }

    fn image(
        &mut self,
        to: &mut Group,
        id: TextureId,
        rect: Rect,
        uv: Rect,
    ) -> Result<(), ExportError> {
        let Some(image) = self.images.get(&id) else {
            return Ok(());
        };
        let [width, height] = image.size;
        let part = |from: f32, n: usize| ((from * n as f32).round() as usize).min(n);
        let (left, right) = (part(uv.left(), width), part(uv.right(), width));
        let (top, bottom) = (part(uv.top(), height), part(uv.bottom(), height));
        let mut bytes = Vec::new();
        for y in top..bottom {
            for color in &image.pixels[y * width + left..y * width + right] {
                bytes.extend(color.to_srgba_unmultiplied());
            }
        }
        let size = [
            right.saturating_sub(left) as u32,
            bottom.saturating_sub(top) as u32,
        ];
        if bytes.is_empty() {
            return Ok(());
        }
        let mut file = Vec::new();
        PngEncoder::new(&mut file).write_image(
            &bytes,
            size[0],
            size[1],
            ExtendedColorType::Rgba8,
        )?;
        let data = format!("data:image/png;base64,{}", BASE64_STANDARD.encode(file));
        to.append(
            element::Image::new()
                .set("x", rect.left())
                .set("y", rect.top())
                .set("width", rect.width())
                .set("height", rect.height())
                .set("preserveAspectRatio", "none")
                // A cell of a map is a rectangle, and not a stain.
                .set("image-rendering", "pixelated")
                .set("style", "image-rendering: pixelated")
                .set("href", data),
        );
        Ok(())
    }
}

fn rectangle(rect: Rect) -> element::Rectangle {
    element::Rectangle::new()
        .set("x", rect.left())
        .set("y", rect.top())
        .set("width", rect.width())
        .set("height", rect.height())
}

fn line(points: &[Pos2], closed: bool) -> element::Path {
    let mut path = String::new();
    for (i, point) in points.iter().enumerate() {
        path += &format!(
            "{}{:.2} {:.2}",
            if i == 0 { "M" } else { "L" },
            point.x,
            point.y
        );
    }
    if closed {
        path.push('Z');
    }
    element::Path::new().set("d", path)
}

fn solid(mode: &ColorMode) -> Color32 {
    match mode {
        ColorMode::Solid(color) => *color,
        ColorMode::UV(_) => Color32::GRAY,
    }
}

fn painted<N: Node>(mut node: N, fill: Color32, stroke: Stroke) -> N {
    color(&mut node, "fill", fill);
    if stroke.width > 0.0 && stroke.color != Color32::TRANSPARENT {
        color(&mut node, "stroke", stroke.color);
        node.assign("stroke-width", stroke.width);
    }
    node
}

fn color(node: &mut impl Node, name: &str, color: Color32) {
    if color == Color32::TRANSPARENT {
        node.assign(name, "none");
        return;
    }
    let [r, g, b, a] = color.to_srgba_unmultiplied();
    node.assign(name, format!("#{r:02x}{g:02x}{b:02x}"));
    if a < 255 {
        node.assign(
            format!("{name}-opacity"),
            format!("{:.3}", f32::from(a) / 255.0),
        );
    }
}

/// A text, each word of one colour and one alphabet an element of its own, where the layout put it.
fn write_text(to: &mut Group, text: &TextShape) {
    let mut group = Group::new();
    if text.angle != 0.0 {
        let degrees = text.angle.to_degrees();
        group.assign(
            "transform",
            format!("rotate({degrees} {} {})", text.pos.x, text.pos.y),
        );
    }
    let mut byte = 0;
    for row in &text.galley.rows {
        let mut word: Option<(Written, String)> = None;
        for glyph in &row.row.glyphs {
            let at = text.pos + row.pos.to_vec2() + glyph.pos.to_vec2();
            let written = Written {
                ink: ink(text, &row.row, glyph),
                font: font_at(text, byte),
                at,
                right: at.x + glyph.advance_width,
            };
            byte += glyph.chr.len_utf8();
            if glyph.chr.is_whitespace() {
                finish(&mut group, word.take());
                continue;
            }
            match &mut word {
                Some((first, letters))
                    if first.goes_on(&written) && letters.is_ascii() == glyph.chr.is_ascii() =>
                {
                    letters.push(glyph.chr);
                    first.right = written.right;
                }
                _ => {
                    finish(&mut group, word.take());
                    word = Some((written, glyph.chr.to_string()));
                }
            }
        }
        finish(&mut group, word);
        byte += usize::from(row.ends_with_newline);
    }
    to.append(group);
}

/// How a letter is written, and where.
struct Written {
    ink: Color32,
    font: FontId,
    at: Pos2,
    /// Where its last letter ends.
    right: f32,
}

impl Written {
    fn goes_on(&self, next: &Written) -> bool {
        (self.ink, &self.font, self.at.y) == (next.ink, &next.font, next.at.y)
    }
}

fn ink(text: &TextShape, row: &Row, glyph: &Glyph) -> Color32 {
    let vertex = row.visuals.mesh.vertices.get(glyph.first_vertex as usize);
    let laid = vertex.map(|vertex| vertex.color);
    let laid = laid.filter(|color| *color != Color32::PLACEHOLDER);
    let color = text.override_text_color.or(laid);
    color
        .unwrap_or(text.fallback_color)
        .gamma_multiply(text.opacity_factor)
}

fn font_at(text: &TextShape, byte: usize) -> FontId {
    let sections = &text.galley.job.sections;
    let section = sections
        .iter()
        .rfind(|section| section.byte_range.start.0 <= byte);
    section.map_or_else(FontId::default, |section| section.format.font_id.clone())
}

fn finish(group: &mut Group, word: Option<(Written, String)>) {
    let Some((written, letters)) = word else {
        return;
    };
    let family = match written.font.family {
        FontFamily::Monospace => "Hack, 'Noto Sans CJK SC', monospace",
        _ => "Ubuntu, 'Noto Sans CJK SC', sans-serif",
    };
    let mut node = element::Text::new(letters)
        .set("x", format!("{:.2}", written.at.x))
        .set("y", format!("{:.2}", written.at.y))
        .set("font-family", family)
        .set("font-size", written.font.size)
        // A reader without these fonts has others, of other widths: words must not run into each other.
        .set("textLength", format!("{:.2}", written.right - written.at.x))
        .set("lengthAdjust", "spacingAndGlyphs");
    color(&mut node, "fill", written.ink);
    group.append(node);
}
