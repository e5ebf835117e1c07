//! The loss curve as a picture.

use super::train::Row;
use plotters::prelude::*;

/// An SVG: loss by tokens, both logarithmic, smoothed, with the held-out loss as dots.
pub fn loss_curve(rows: &[Row]) -> anyhow::Result<String> {
    let mut svg = String::new();
    let (first, last) = match (rows.first(), rows.last()) {
        (Some(first), Some(last)) if last.tokens > first.tokens => {
            (first.tokens as f64, last.tokens as f64)
        }
        _ => anyhow::bail!("a loss curve needs two steps at the least"),
    };
    let losses = || {
        rows.iter()
            .map(|row| row.loss)
            .chain(rows.iter().filter_map(|row| row.held_out))
    };
    let low = losses().fold(f64::INFINITY, f64::min) * 0.95;
    let high = losses().fold(0.0, f64::max) * 1.05;
    {
        let root = SVGBackend::with_string(&mut svg, (900, 520)).into_drawing_area();
        let failed = |error: DrawingAreaErrorKind<_>| {
            anyhow::anyhow!("the loss curve cannot be drawn: {error}")
        };
        root.fill(&WHITE).map_err(failed)?;
        let mut chart = ChartBuilder::on(&root)
            .margin(16)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d((first..last).log_scale(), (low.max(1e-3)..high).log_scale())
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc("tokens")
            .y_desc("cross-entropy, nats a token")
            .x_label_formatter(&|tokens| match *tokens {
                t if t >= 1e6 => format!("{:.0}M", t / 1e6),
                t => format!("{:.0}k", t / 1e3),
            })
            .y_label_formatter(&|loss| format!("{loss:.2}"))
            .light_line_style(TRANSPARENT)
            .draw()
            .map_err(failed)?;
        let blue = RGBColor(0x1f, 0x6f, 0xb4);
        let orange = RGBColor(0xd9, 0x5f, 0x0e);
        chart
            .draw_series(LineSeries::new(smooth(rows), blue.stroke_width(2)))
            .map_err(failed)?
            .label("training, smoothed")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], blue.stroke_width(2)));
        let held_out = rows
            .iter()
            .filter_map(|row| Some((row.tokens as f64, row.held_out?)));
        chart
            .draw_series(held_out.map(|at| Circle::new(at, 5, orange.filled())))
            .map_err(failed)?
            .label("held out")
            .legend(move |(x, y)| Circle::new((x + 9, y), 5, orange.filled()));
        chart
            .configure_series_labels()
            .border_style(BLACK.mix(0.2))
            .background_style(WHITE)
            .draw()
            .map_err(failed)?;
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

/// The mean of the losses around each, over a window that grows with the tokens, as a logarithmic axis asks for.
fn smooth(rows: &[Row]) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    let mut i = 0;
    while i < rows.len() {
        let to = (i + 1 + i / 20).min(rows.len());
        let mean = rows[i..to].iter().map(|row| row.loss).sum::<f64>() / (to - i) as f64;
        points.push((rows[(i + to - 1) / 2].tokens as f64, mean));
        i = to;
    }
    points
}
