//! The loss by position as a table, as CSV and as a picture.

use super::trace::{lines, table};
use baichuan2::training::held_out::ByPosition;
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use serde_json::json;
use std::{
    fmt::Display,
    io::{self, Write},
    path::Path,
};

/// A model's loss by position.
pub struct Curve {
    pub name: String,
    /// Tokens it was trained on at a time.
    pub trained: usize,
    pub losses: ByPosition,
}

/// Positions of a bin, counted from 1, and the loss there with its standard error.
struct Bin {
    first: usize,
    last: usize,
    loss: f64,
    error: f64,
}

impl Bin {
    fn middle(&self) -> f64 {
        (self.first + self.last) as f64 / 2.0
    }
}

impl Curve {
    fn bins(&self) -> impl Iterator<Item = Bin> {
        let width = self.losses.width;
        let bins = self.losses.bins().into_iter().enumerate();
        bins.map(move |(i, (loss, error))| Bin {
            first: i * width + 1,
            last: (i + 1) * width,
            loss,
            error,
        })
    }

    /// The last bin within the trained length, and the last of all, where it lies beyond.
    fn ends(&self) -> Option<(Bin, Bin, (f64, f64))> {
        let a = (self.trained / self.losses.width).checked_sub(1)?;
        let within = self.bins().nth(a)?;
        let (b, beyond) = self.bins().enumerate().last().filter(|&(b, _)| b > a)?;
        Some((within, beyond, self.losses.rise(a, b)))
    }

    /// What it comes to, in a sentence.
    pub fn told(&self) -> Option<String> {
        let (within, beyond, (rise, error)) = self.ends()?;
        Some(format!(
            "{}: the same tokens cost {rise:+.4} ± {error:.4} nats each at {}–{} against {}–{}; trained on {}",
            self.name, beyond.first, beyond.last, within.first, within.last, self.trained
        ))
    }

    /// All of it.
    pub fn json(&self, model: &Path) -> serde_json::Value {
        let bins = self.bins().map(|bin| {
            json!({ "first": bin.first, "last": bin.last, "nats_a_token": bin.loss, "standard_error": bin.error })
        });
        let rise = self.ends().map(|(within, beyond, (rise, error))| {
            json!({
                "from": [within.first, within.last],
                "to": [beyond.first, beyond.last],
                "nats_a_token": rise,
                "standard_error": error,
            })
        });
        json!({
            "model": model,
            "trained_length": self.trained,
            "bins": bins.collect::<Vec<_>>(),
            "rise": rise,
        })
    }
}

/// A bin a line, two columns a model; a star where a model was not trained.
pub fn rows(curves: &[Curve]) -> String {
    let names = curves
        .iter()
        .flat_map(|curve| [curve.name.clone(), "±".to_owned()]);
    let mut table = table(Vec::from_iter(
        ["positions".to_owned()].into_iter().chain(names),
    ));
    let mut columns: Vec<_> = curves.iter().map(Curve::bins).collect();
    loop {
        let bins: Vec<Bin> = columns.iter_mut().filter_map(Iterator::next).collect();
        let Some(Bin { first, last, .. }) = bins.first() else {
            break;
        };
        let beyond = curves.iter().any(|curve| *last > curve.trained);
        let mark = if beyond { " *" } else { "" };
        let numbers = bins
            .iter()
            .flat_map(|bin| [format!("{:.4}", bin.loss), format!("{:.4}", bin.error)]);
        let positions = format!("{first}–{last}{mark}");
        table.add_row([positions].into_iter().chain(numbers));
    }
    format!("{}\n* beyond the trained length", lines(&table))
}

/// A line a model and bin.
pub fn csv(curves: &[Curve], out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "model,trained_length,first,last,nats_a_token,standard_error"
    )?;
    for curve in curves {
        // As CSV quotes what has a comma or a quotation mark in it.
        let name = match curve.name.contains([',', '"', '\n', '\r']) {
            true => format!("\"{}\"", curve.name.replace('"', "\"\"")),
            false => curve.name.clone(),
        };
        for bin in curve.bins() {
            let Bin {
                first,
                last,
                loss,
                error,
            } = bin;
            writeln!(
                out,
                "{name},{},{first},{last},{loss},{error}",
                curve.trained
            )?;
        }
    }
    Ok(())
}

/// Colours that the colour-blind tell apart (Okabe and Ito).
const COLORS: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0xe6, 0x9f, 0x00),
];

/// An SVG: loss by position, a line a model with its standard errors, and a vertical line at each trained length.
pub fn svg(curves: &[Curve]) -> anyhow::Result<String> {
    let mut svg = String::new();
    draw(curves, &mut svg)
        .map_err(|error| anyhow::anyhow!("the picture cannot be drawn: {error}"))?;
    Ok(svg)
}

fn draw(curves: &[Curve], svg: &mut String) -> Result<(), impl Display + use<>> {
    let all = || curves.iter().flat_map(Curve::bins);
    let low = all()
        .map(|bin| bin.loss - bin.error)
        .fold(f64::INFINITY, f64::min);
    let high = all()
        .map(|bin| bin.loss + bin.error)
        .fold(f64::NEG_INFINITY, f64::max);
    // Above them there is room for the legend, which must not lie on a curve.
    let room = 0.08 * (high - low).max(1e-3);
    let (low, high) = (
        (low - room).max(0.0),
        high + room * (1 + curves.len()) as f64,
    );
    let end = all().map(|bin| bin.last).max().unwrap_or(1) as f64;
    let root = SVGBackend::with_string(svg, (900, 520)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..end, low..high)?;
    chart
        .configure_mesh()
        .x_desc("position in the text, tokens")
        .y_desc("loss, nats a token, ± its standard error")
        .x_label_formatter(&|position| format!("{position:.0}"))
        .y_label_formatter(&|loss| format!("{loss:.2}"))
        .label_style(("sans-serif", 14))
        .axis_desc_style(("sans-serif", 15))
        .bold_line_style(BLACK.mix(0.12))
        .light_line_style(TRANSPARENT)
        .draw()?;
    let mut trained: Vec<usize> = curves.iter().map(|curve| curve.trained).collect();
    trained.sort_unstable();
    trained.dedup();
    for length in trained {
        let x = length as f64;
        let grey = BLACK.mix(0.55);
        chart.draw_series(DashedLineSeries::new(
            [(x, low), (x, high)],
            6,
            4,
            grey.stroke_width(1),
        ))?;
        let style = TextStyle::from(("sans-serif", 13)).color(&grey);
        let style = style.pos(Pos::new(HPos::Left, VPos::Bottom));
        let at = (x + 0.006 * end, low + 0.01 * (high - low));
        chart.draw_series([Text::new(format!("trained on {length}"), at, style)])?;
    }
    for (i, curve) in curves.iter().enumerate() {
        let color = COLORS[i % COLORS.len()];
        let bins: Vec<Bin> = curve.bins().collect();
        let errors = bins.iter().map(|bin| {
            let ends = [bin.loss - bin.error, bin.loss + bin.error];
            PathElement::new(ends.map(|loss| (bin.middle(), loss)), color.stroke_width(2))
        });
        chart.draw_series(errors)?;
        let points = || bins.iter().map(|bin| (bin.middle(), bin.loss));
        chart.draw_series(points().map(|at| Circle::new(at, 3, color.filled())))?;
        chart
            .draw_series(LineSeries::new(points(), color.stroke_width(2)))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(("sans-serif", 14))
        .border_style(BLACK.mix(0.2))
        .background_style(WHITE)
        .draw()?;
    root.present()
}
