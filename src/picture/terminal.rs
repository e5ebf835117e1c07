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
    /// No colour: `·░▒▓█`.
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

/// The figure as lines of text; maps are no wider than `width` columns, as long as that is at least 40.
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
        let line = format!("{query:>digits$} {name} {line}");
        let _ = writeln!(out, "{}", line.trim_end());
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

/// The position of every tenth column, as far as there is room for it.
fn positions(keys: usize, cols: usize, side: usize, out: &mut String) {
    let mut line = " ".repeat(side);
    for col in (0..cols).step_by(10) {
        let position = (col * keys / cols).to_string();
        if col + position.len() <= cols {
            let _ = write!(line, "{position:<10}");
        }
    }
    let _ = writeln!(out, "{}", line.trim_end());
}

fn legend(figure: &Figure, ink: Ink, out: &mut String) {
    let [low, _, high] = figure.scale.ticks();
    let bar = match ink {
        Ink::Shading => SHADING.iter().collect(),
        _ => {
            let bar = Array2::from_shape_fn((2, 32), |(_, i)| i as f32 / 31.0);
            draw(bar.view(), figure.colors, ink, false).concat()
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Panel, Scale, testing::figure};
    use proptest::prelude::*;

    /// What is seen of a line: without the orders that set its colours.
    fn seen(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    /// Catches: names that do not line up with their rows and columns, Chinese ones above all; hidden keys drawn as weights of 0.
    #[test]
    fn names_stand_beside_their_cells() {
        let figure = Figure {
            title: "a head".into(),
            labels: ["<s>", "你", "▁好吗"].map(String::from).to_vec(),
            panels: vec![Panel {
                title: String::new(),
                weights: ndarray::array![[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.25, 0.75]],
            }],
            scale: Scale::Linear,
            ..figure(3, 1)
        };
        let expected = "\
a head
        <   ▁
        s   好
        > 你吗
0 <s>   ██
1 你    ▒▒▒▒
2 ▁好吗 ··░░▓▓
0 ·░▒▓█ 1  attention weight
";
        assert_eq!(terminal(&figure, 80, Ink::Shading), expected);
        let colored = terminal(&figure, 80, Ink::TrueColor);
        assert!(
            colored.contains("\u{1b}[48;2;253;231;37m  \u{1b}[0m"),
            "{colored:?}"
        );
        assert!(!terminal(&figure, 80, Ink::Shading).contains('\u{1b}'));
    }

    /// Catches: the wrong half of a block, a last line without its lower half, pooling where there is room.
    #[test]
    fn half_blocks_hold_two_queries_a_line() {
        let shades = ndarray::array![[0.0, f32::NAN], [1.0, f32::NAN], [1.0, 0.0]];
        let lines = draw(shades.view(), Colors::Viridis, Ink::TrueColor, false);
        assert_eq!(lines.len(), 2);
        let dark = "68;1;84";
        let bright = "253;231;37";
        assert!(
            lines[0].contains(&format!("38;2;{dark}"))
                && lines[0].contains(&format!("48;2;{bright}"))
        );
        assert_eq!(seen(&lines[0]), "▀ ");
        assert_eq!(seen(&lines[1]), "▀▀");
        assert!(!lines[1].contains("48;2"));
    }

    #[test]
    fn pooling_is_told() {
        let text = terminal(&figure(300, 1), 80, Ink::TrueColor);
        assert!(
            text.contains("pooled: 300 queries × 300 keys in 71 × 71 cells"),
            "{text}"
        );
        assert!(!terminal(&figure(60, 1), 80, Ink::TrueColor).contains("pooled"));
    }

    #[test]
    fn colours_of_the_cube_are_near() {
        let index = |rgb| match terminal_color(rgb, Ink::Indexed) {
            Color::Ansi256(color) => color.0,
            other => panic!("{other:?}"),
        };
        assert_eq!(index([0, 0, 0]), 16);
        assert_eq!(index([255, 255, 255]), 231);
        assert_eq!(index([95, 135, 175]), 16 + 36 + 12 + 3);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Catches: lines that the terminal would break, in any size, ink and number of panels; rows that are lost.
        #[test]
        fn no_line_is_too_wide(tokens in 1..90_usize, panels in 1..5_usize, width in 48..130_usize, ink in 0..3_usize) {
            let ink = [Ink::TrueColor, Ink::Indexed, Ink::Shading][ink];
            let mut figure = figure(tokens, panels);
            figure.columns = 2;
            figure.labels = (0..tokens).map(|i| "你好▁a".repeat(i % 4)).collect();
            for line in seen(&terminal(&figure, width, ink)).lines() {
                let is_note = line.starts_with("pooled") || line.contains("attention weight");
                prop_assert!(is_note || line.width() <= width, "{} > {width}: {line}", line.width());
            }
        }
    }
}
