//! Figures as SVG: labels as text, each weight under the pointer.

use super::{Colors, Figure, Panel, png::bare_png, pool_max};
use base64::{Engine, prelude::BASE64_STANDARD};
use image::ImageError;
use ndarray::Array2;
use svg::{
    Document,
    node::element::{Definitions, Group, Image, LinearGradient, Rectangle, Stop, Text, Title},
};
use unicode_width::UnicodeWidthStr;

/// Tokens up to which every cell is a shape of its own, with its weight as a tool-tip.
const CELLS: usize = 64;
/// Shapes up to which viewers stay quick.
const SHAPES: usize = 20_000;
/// Cells across an embedded picture, beyond which it is pooled.
const EMBEDDED: usize = 2048;
/// Half an em: the width of a narrow character of the labels.
const HALF_EM: f64 = 6.5;
const MARGIN: f64 = 16.0;
const FONT: &str =
    "ui-monospace, 'DejaVu Sans Mono', 'Noto Sans Mono CJK SC', 'Noto Sans CJK SC', monospace";

/// The figure as an SVG file.
///
/// One map of up to 64 tokens has its tokens at both sides, and each weight as a tool-tip; longer maps are an embedded picture with
/// positions at their sides; several maps have a title each.
///
/// ```
/// # use baichuan2::picture::{Figure, Panel, Scale, Colors, svg};
/// # let figure = Figure {
/// #     title: "one head".into(), labels: vec!["a".into(), "b".into()],
/// #     panels: vec![Panel { title: String::new(), weights: ndarray::array![[1.0, 0.0], [0.5, 0.5]] }],
/// #     columns: 1, scale: Scale::Linear, colors: Colors::Viridis, hide_first: false,
/// # };
/// assert!(svg(&figure)?.contains("<title>1 “b” → 0 “a”: 0.5</title>"));
/// # Ok::<(), image::ImageError>(())
/// ```
///
/// # Errors
/// An embedded picture too large for PNG.
pub fn svg(figure: &Figure) -> Result<String, ImageError> {
    let [queries, keys] = figure.size();
    let columns = figure.columns.clamp(1, figure.panels.len().max(1));
    let rows = figure.panels.len().div_ceil(columns);
    let longest = queries.max(keys).max(1);
    let single = figure.panels.len() == 1;
    // Attributes are not escaped against quotes, so that tokens and titles go into text alone.
    let label = |j: usize| format!("{j} {}", figure.label(j));
    let named = single && longest <= CELLS;

    let cell = if single {
        let cell = (960.0 / longest as f64).min(22.0);
        if cell > 1.0 { cell.floor() } else { cell }
    } else {
        (1600.0 / columns as f64).clamp(60.0, 240.0) / longest as f64
    };
    let [height, width] = [queries, keys].map(|n| n as f64 * cell);
    let side = if named {
        let widest = (0..keys).map(|j| label(j).width()).max().unwrap_or(0);
        (widest as f64 * HALF_EM + 10.0).min(260.0)
    } else if single {
        48.0
    } else {
        0.0
    };
    let title_height = 40.0;
    let (gap, head) = if single { (0.0, 0.0) } else { (14.0, 16.0) };
    let left = MARGIN + side;
    let top = MARGIN + title_height + if single { side } else { 0.0 };
    let inner_width = columns as f64 * (width + gap) - gap;
    let inner_height = rows as f64 * (height + head + gap);
    let legend_left = left + inner_width.max(0.0) + 24.0;
    let room = (EMBEDDED / columns).max(CELLS);
    let meaning = match longest > room {
        true => format!("{}; each cell is the largest of several", figure.meaning()),
        false => figure.meaning(),
    };
    let titles = [figure.title.width(), meaning.width()].map(|w| w as f64 * 8.0);
    let total_width = (legend_left + 100.0).max(titles[0].max(titles[1]) + 2.0 * MARGIN);
    let total_height = top + inner_height.max(140.0) + MARGIN;

    let mut body = Group::new()
        .set("font-family", FONT)
        .set("font-size", 12)
        .set("fill", "#222222")
        .add(
            text(&figure.title, MARGIN, MARGIN + 12.0)
                .set("font-size", 15)
                .set("font-weight", "bold"),
        )
        .add(text(
            &format!("{meaning}; rows are queries, columns are keys"),
            MARGIN,
            MARGIN + 30.0,
        ));

    for (i, panel) in figure.panels.iter().enumerate() {
        let x = left + (i % columns) as f64 * (width + gap);
        let y = top + (i / columns) as f64 * (height + head + gap) + head;
        let vector =
            longest <= CELLS && figure.panels.len().saturating_mul(queries * keys) <= SHAPES;
        let mut group = Group::new();
        if !single {
            group = group.add(text(&panel.title, x, y - 4.0).set("font-size", 11));
        }
        group = if vector {
            group.add(cells(figure, panel, [x, y], cell))
        } else {
            let shades = figure.shades(panel);
            let shades = pool_max(shades.view(), room, room);
            group.add(picture(figure, shades, [x, y], [width, height])?)
        };
        body = body.add(group);
    }
    if single {
        let step = if named { 1 } else { nice_step(longest) };
        let name = |j: usize| if named { label(j) } else { j.to_string() };
        for j in (0..keys).step_by(step) {
            let x = left + (j as f64 + 0.5) * cell + 4.0;
            let turned = format!("rotate(-90 {x:.2} {:.2})", top - 6.0);
            body = body.add(text(&name(j), x, top - 6.0).set("transform", turned));
        }
        for i in (0..queries).step_by(step) {
            let y = top + (i as f64 + 0.5) * cell + 4.0;
            let name = text(&name(figure.first_query() + i), left - 6.0, y);
            body = body.add(name.set("text-anchor", "end"));
        }
    }
    body = body.add(legend(figure, legend_left, top + head));

    let paper = Rectangle::new()
        .set("width", "100%")
        .set("height", "100%")
        .set("fill", "#ffffff");
    let mut gradient = LinearGradient::new()
        .set("id", "shades")
        .set("x1", 0)
        .set("y1", 1)
        .set("x2", 0)
        .set("y2", 0);
    for i in 0..=16 {
        let shade = i as f32 / 16.0;
        gradient = gradient.add(
            Stop::new()
                .set("offset", shade)
                .set("stop-color", hex(figure, shade)),
        );
    }
    let document = Document::new()
        .set("width", rounded(total_width))
        .set("height", rounded(total_height))
        .set(
            "viewBox",
            (0, 0, rounded(total_width), rounded(total_height)),
        )
        .add(Definitions::new().add(gradient))
        .add(paper)
        .add(body);
    Ok(document.to_string())
}

/// One shape a cell, its weight as a tool-tip.
fn cells(figure: &Figure, panel: &Panel, [x, y]: [f64; 2], cell: f64) -> Group {
    let shades = figure.shades(panel);
    let (queries, keys) = shades.dim();
    let background = Rectangle::new()
        .set("x", rounded(x))
        .set("y", rounded(y))
        .set("width", rounded(keys as f64 * cell))
        .set("height", rounded(queries as f64 * cell))
        .set("fill", css(Colors::BACKGROUND));
    let mut group = Group::new()
        .set("shape-rendering", "crispEdges")
        .add(background);
    for ((i, j), &shade) in shades.indexed_iter() {
        let Some(color) = figure.colors.rgb(shade) else {
            continue;
        };
        let query = figure.first_query() + i;
        let tip = format!(
            "{query} “{}” → {j} “{}”: {}",
            figure.label(query),
            figure.label(j),
            panel.weights[[i, j]]
        );
        let shape = Rectangle::new()
            .set("x", rounded(x + j as f64 * cell))
            .set("y", rounded(y + i as f64 * cell))
            .set("width", rounded(cell))
            .set("height", rounded(cell))
            .set("fill", css(color));
        group = group.add(shape.add(Title::new(tip)));
    }
    group
}

/// The whole map as one embedded picture.
fn picture(
    figure: &Figure,
    shades: Array2<f32>,
    [x, y]: [f64; 2],
    [width, height]: [f64; 2],
) -> Result<Image, ImageError> {
    // As large as it is shown, for programs that blur what they enlarge.
    let zoom = (width / shades.ncols().max(1) as f64).ceil().max(1.0);
    let data = BASE64_STANDARD.encode(bare_png(shades.view(), figure.colors, zoom as usize)?);
    Ok(Image::new()
        .set("x", rounded(x))
        .set("y", rounded(y))
        .set("width", rounded(width))
        .set("height", rounded(height))
        .set("preserveAspectRatio", "none")
        // Cells, not a blur: the first is SVG 1.1's word, the second that of CSS.
        .set("image-rendering", "optimizeSpeed")
        .set("style", "image-rendering: pixelated")
        .set("href", format!("data:image/png;base64,{data}")))
}

fn legend(figure: &Figure, x: f64, y: f64) -> Group {
    let height = 120.0;
    let [low, middle, high] = figure.scale.ticks();
    let bar = Rectangle::new()
        .set("x", x)
        .set("y", y)
        .set("width", 16)
        .set("height", height)
        .set("fill", "url(#shades)");
    Group::new()
        .add(bar)
        .add(text(high, x + 22.0, y + 10.0))
        .add(text(middle, x + 22.0, y + height / 2.0 + 5.0))
        .add(text(low, x + 22.0, y + height))
}

/// A round distance between positions, so that about ten of them stand at a side.
fn nice_step(n: usize) -> usize {
    let mut step = 1;
    for factor in [2, 5, 10].into_iter().cycle() {
        let decade = 10_usize.pow(step_log10(step));
        if n / step <= 12 {
            break;
        }
        step = decade * factor;
    }
    step
}

fn step_log10(step: usize) -> u32 {
    step.checked_ilog10().unwrap_or(0)
}

fn text(content: &str, x: f64, y: f64) -> Text {
    Text::new(content).set("x", rounded(x)).set("y", rounded(y))
}

fn rounded(x: f64) -> f64 {
    (x * 100.0).round() / 100.0
}

fn hex(figure: &Figure, shade: f32) -> String {
    css(figure.colors.rgb(shade).unwrap_or(Colors::BACKGROUND))
}

fn css([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::testing::figure;
    use svg::parser::Event;

    /// How often each element begins in a document that parses.
    fn count(file: &str, name: &str) -> usize {
        let events: Vec<Event> = svg::read(file).unwrap().collect();
        assert!(
            !events.iter().any(|e| matches!(e, Event::Error(_))),
            "{file}"
        );
        let tags = events.iter().filter_map(|event| match event {
            Event::Tag(
                tag,
                svg::node::element::tag::Type::Start | svg::node::element::tag::Type::Empty,
                _,
            ) => Some(*tag),
            _ => None,
        });
        tags.filter(|tag| *tag == name).count()
    }

    /// Catches: hidden cells drawn as weights of 0; labels at one side alone.
    #[test]
    fn short_maps_have_a_shape_a_weight_and_their_tokens_at_both_sides() {
        let file = svg(&figure(5, 1)).unwrap();
        // 15 cells seen, the background of the map, the paper, the legend's bar
        assert_eq!(count(&file, "rect"), 15 + 3);
        assert_eq!(count(&file, "title"), 15);
        assert_eq!(count(&file, "text"), 2 + 5 + 5 + 3);
        assert_eq!(count(&file, "image"), 0);
    }

    /// Catches: millions of shapes for a long text.
    #[test]
    fn long_maps_are_one_picture() {
        let file = svg(&figure(200, 1)).unwrap();
        assert_eq!((count(&file, "image"), count(&file, "rect")), (1, 2));
        let (_, data) = file.split_once("base64,").unwrap();
        let data = BASE64_STANDARD
            .decode(data.split_once('"').unwrap().0)
            .unwrap();
        let embedded = image::load_from_memory(&data).unwrap();
        assert_eq!(
            embedded.width(),
            4 * 200,
            "four pixels a cell, as it is shown"
        );
        let many = svg(&Figure {
            columns: 8,
            ..figure(60, 32)
        })
        .unwrap();
        assert_eq!(count(&many, "image"), 32);
    }

    /// Catches: a token that ends the document, or begins an element of its own.
    #[test]
    fn tokens_are_text_and_nothing_else() {
        let mut hostile = figure(3, 1);
        hostile.labels = vec!["<script>".into(), "\"/></svg>".into(), "&amp;".into()];
        hostile.title = "a \"<b>\"".into();
        let file = svg(&hostile).unwrap();
        assert_eq!(count(&file, "script"), 0);
        assert!(file.contains("&lt;script&gt;") && file.contains("&amp;amp;"));
    }

    #[test]
    fn steps_are_round() {
        let steps = [5, 12, 13, 30, 65, 100, 512, 2000, 4096].map(nice_step);
        assert_eq!(steps, [1, 1, 2, 5, 10, 10, 50, 200, 500]);
    }
}
