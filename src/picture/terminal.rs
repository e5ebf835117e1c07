//! Figures for a terminal: cells in colour, or as shading where there is none.

use super::{Colors, Figure, pool_max};
use anstyle::{Ansi256Color, Color, RgbColor, Style};
use ndarray::{Array2, ArrayView2, s};
use std::fmt::Write;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// 24-bit colour.
    TrueColor,
    /// The 216 colours of the 256-colour cube.
    Indexed,
    /// No colour: [`SHADING`].
    Shading,
}

/// From the darkest shade to the brightest. A hidden cell is a space.
const SHADING: [char; 5] = ['·', '░', '▒', '▓', '█'];
/// Columns of a token's name, at the most.
const NAME: usize = 14;
/// Lines of a token's name where it stands upright above a column.
const UPRIGHT: usize = 8;
/// Cells across a small multiple, at the most.
const SMALL: usize = 32;

/// The figure as lines of text, none wider than `width` columns as long as `width` is at least 40.
///
/// One map of few tokens has cells of two columns and its tokens at both sides. Where that does not fit, a cell is one column wide and half a
/// line high, and where that does not fit either, maps are [pooled](pool_max), and a line says so.
///
/// ```
/// # use baichuan2::picture::{Figure, Panel, Scale, Colors, Ink, terminal};
/// # let figure = Figure {
/// #     title: "one head".into(), labels: vec!["a".into(), "b".into()],
/// #     panels: vec![Panel { title: String::new(), weights: ndarray::array![[1.0, 0.0], [0.5, 0.5]] }],
/// #     columns: 1, scale: Scale::Linear, colors: Colors::Viridis, hide_first: false,
/// # };
/// assert!(terminal(&figure, 80, Ink::Shading).contains("1 b ▒▒▒▒\n"));
/// ```
pub fn terminal(figure: &Figure, width: usize, ink: Ink) -> String {
    let mut out = format!("{}\n", figure.title);
    match figure.panels.as_slice() {
        [one] => single(figure, figure.shades(one), width, ink, &mut out),
        _ => multiples(figure, width, ink, &mut out),
    }
    legend(figure, ink, &mut out);
    out
}

fn single(figure: &Figure, shades: Array2<f32>, width: usize, ink: Ink, out: &mut String) {
    let [queries, keys] = figure.size();
    let digits = keys.saturating_sub(1).to_string().len();
    let names = (0..keys)
        .map(|j| figure.label(j).width())
        .max()
        .unwrap_or(0);
    let names = names.min(NAME);
    let side = digits + 1 + names + 1;
    let room = width.saturating_sub(side).max(8);
    let wide = 2 * keys <= room;
    let [rows, cols] = shrunk([queries, keys], room);
    let pooled = pool_max(shades.view(), rows, cols);
    if wide {
        upright_names(figure, side, out);
    } else {
        positions(keys, cols, side, out);
    }
    let lines = draw(pooled.view(), figure.colors, ink, wide);
    let count = lines.len();
    for (i, line) in lines.into_iter().enumerate() {
        // The query of a line, or the first of several.
        let query = figure.first_query() + i * queries / count;
        let name = padded(figure.label(query), names);
        let _ = writeln!(out, "{query:>digits$} {name} {line}");
    }
    say_if_pooled(figure, [rows, cols], wide, ink, out);
}

fn multiples(figure: &Figure, width: usize, ink: Ink, out: &mut String) {
    let [queries, keys] = figure.size();
    let titles = figure.panels.iter().map(|panel| panel.title.width()).max();
    let titles = titles.unwrap_or(0);
    let wide = 2 * keys <= SMALL;
    let [rows, cols] = shrunk([queries, keys], SMALL.min(width));
    let panel_width = titles.max(if wide { 2 * cols } else { cols }).max(1);
    let fitting = ((width + 2) / (panel_width + 2)).max(1);
    // As in the figure, if that fits.
    let columns = if figure.columns <= fitting {
        figure.columns.max(1)
    } else {
        fitting
    };
    for row in figure.panels.chunks(columns) {
        let drawn: Vec<Vec<String>> = row
            .iter()
            .map(|panel| {
                let shades = pool_max(figure.shades(panel).view(), rows, cols);
                draw(shades.view(), figure.colors, ink, wide)
            })
            .collect();
        let titles: Vec<String> = row.iter().map(|p| padded(&p.title, panel_width)).collect();
        let _ = writeln!(out, "{}", titles.join("  ").trim_end());
        let fill = panel_width - if wide { 2 * cols } else { cols };
        for i in 0..drawn.first().map_or(0, Vec::len) {
            let parts = drawn.iter().filter_map(|lines| lines.get(i));
            let line = parts
                .cloned()
                .collect::<Vec<_>>()
                .join(&" ".repeat(fill + 2));
            let _ = writeln!(out, "{}", line.trim_end());
        }
        out.push('\n');
    }
    say_if_pooled(figure, [rows, cols], wide, ink, out);
}

/// Rows and columns of a map that is at most `room` cells wide, in its proportions.
fn shrunk([queries, keys]: [usize; 2], room: usize) -> [usize; 2] {
    if keys <= room {
        return [queries, keys];
    }
    [(queries * room).div_ceil(keys), room]
}

fn say_if_pooled(
    figure: &Figure,
    [rows, cols]: [usize; 2],
    wide: bool,
    ink: Ink,
    out: &mut String,
) {
    let [queries, keys] = figure.size();
    // Shading has one cell a line where colour has two.
    let rows = if wide || ink != Ink::Shading {
        rows
    } else {
        rows.div_ceil(2)
    };
    if [rows, cols] != [queries, keys] {
        let _ = writeln!(
            out,
            "pooled: {queries} queries × {keys} keys in {rows} × {cols} cells, each the largest of those it stands for"
        );
    }
}

/// The lines of a map: cells of two columns and a line where `wide`, else of one column and half a line.
fn draw(shades: ArrayView2<f32>, colors: Colors, ink: Ink, wide: bool) -> Vec<String> {
    let color = |shade: f32| colors.rgb(shade).map(|rgb| terminal_color(rgb, ink));
    let line_of = |cells: &mut dyn Iterator<Item = String>| cells.collect::<String>();
    if wide {
        let rows = shades.rows().into_iter();
        return rows
            .map(|row| {
                line_of(&mut row.iter().map(|&shade| match ink {
                    Ink::Shading => shading(shade).to_string().repeat(2),
                    _ => styled(Style::new().bg_color(color(shade)), "  "),
                }))
            })
            .collect();
    }
    if ink == Ink::Shading {
        let halved = pool_max(shades, shades.nrows().div_ceil(2), shades.ncols());
        let rows = halved.rows().into_iter();
        return rows
            .map(|row| row.iter().map(|&shade| shading(shade)).collect())
            .collect();
    }
    (0..shades.nrows())
        .step_by(2)
        .map(|i| {
            let upper = shades.row(i);
            let lower = shades.slice(s![(i + 1).min(shades.nrows()).., ..]);
            let lower = |j: usize| lower.get((0, j)).and_then(|&shade| color(shade));
            line_of(
                &mut (0..shades.ncols()).map(|j| match (color(upper[j]), lower(j)) {
                    (None, None) => " ".to_owned(),
                    (None, below) => styled(Style::new().fg_color(below), "▄"),
                    (above, below) => styled(Style::new().fg_color(above).bg_color(below), "▀"),
                }),
            )
        })
        .collect()
}

fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// The nearest colour that a terminal has.
fn terminal_color([r, g, b]: [u8; 3], ink: Ink) -> Color {
    // The cube's steps are 0, 95, 135, 175, 215, 255.
    let step = |c: u8| if c < 48 { 0 } else { (c.max(75) - 35) / 40 };
    match ink {
        Ink::Indexed => Ansi256Color(16 + 36 * step(r) + 6 * step(g) + step(b)).into(),
        _ => RgbColor(r, g, b).into(),
    }
}

fn shading(shade: f32) -> char {
    if shade.is_nan() {
        return ' ';
    }
    let step = (shade.clamp(0.0, 1.0) * SHADING.len() as f32) as usize;
    SHADING[step.min(SHADING.len() - 1)]
}

/// The keys' names, upright, each above its column.
fn upright_names(figure: &Figure, side: usize, out: &mut String) {
    let [_, keys] = figure.size();
    let names: Vec<Vec<char>> = (0..keys)
        .map(|j| {
            let mut name: Vec<char> = figure.label(j).chars().collect();
            if name.len() > UPRIGHT {
                name.truncate(UPRIGHT - 1);
                name.push('…');
            }
            name
        })
        .collect();
    let height = names.iter().map(Vec::len).max().unwrap_or(0);
    for line in 0..height {
        let mut text = " ".repeat(side);
        for name in &names {
            // The last characters of all names stand on the last line.
            let c = (line + name.len())
                .checked_sub(height)
                .and_then(|i| name.get(i));
            let c = c.copied().unwrap_or(' ');
            text.push(c);
            text.push_str(&" ".repeat(2_usize.saturating_sub(c.width().unwrap_or(0))));
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
}

/// The position of every tenth column.
fn positions(keys: usize, cols: usize, side: usize, out: &mut String) {
    let mut line = " ".repeat(side);
    for col in (0..cols).step_by(10) {
        let _ = write!(line, "{:<10}", col * keys / cols);
    }
    // The last may reach over the edge by its own digits only if there is room for it.
    let line: String = line.chars().take(side + cols).collect();
    let _ = writeln!(out, "{}", line.trim_end());
}

fn legend(figure: &Figure, ink: Ink, out: &mut String) {
    let [low, high] = figure.scale.ends();
    let steps = if ink == Ink::Shading {
        SHADING.len()
    } else {
        32
    };
    let bar = Array2::from_shape_fn((1, steps), |(_, i)| i as f32 / (steps - 1) as f32);
    let bar: String = match ink {
        Ink::Shading => SHADING.iter().collect(),
        _ => bar
            .iter()
            .map(|&shade| {
                let color = figure.colors.rgb(shade).map(|rgb| terminal_color(rgb, ink));
                styled(Style::new().bg_color(color), " ")
            })
            .collect(),
    };
    let _ = writeln!(out, "{low} {bar} {high}  {}", figure.meaning());
}

/// `text` in exactly `width` columns, cut where it is longer.
fn padded(text: &str, width: usize) -> String {
    let mut cut = String::new();
    let mut used = 0;
    let fits = text.width() <= width;
    for c in text.chars() {
        let c_width = c.width().unwrap_or(0);
        if !fits && used + c_width + 1 > width {
            cut.push('…');
            used += 1;
            break;
        }
        cut.push(c);
        used += c_width;
    }
    cut + &" ".repeat(width.saturating_sub(used))
}
