//! What a training run leaves behind of each step: loss.csv, and the loss curve as a picture.

use anyhow::Context;
use baichuan2::training::{Step, export};
use plotters::prelude::*;
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// loss.csv: one line a step.
pub struct Log {
    path: PathBuf,
    rows: Vec<Row>,
}

/// One line of loss.csv.
struct Row {
    step: u64,
    tokens: u64,
    loss: f64,
    held_out: Option<f64>,
    rest: String,
}

const HEADER: &str = "step,tokens,loss,held_out,max_z,gradient_norm,rate";

impl Log {
    /// Of a run that begins.
    pub fn new(path: PathBuf) -> Self {
        Log {
            path,
            rows: Vec::new(),
        }
    }

    /// Adds a step.
    pub fn add(&mut self, step: &Step, held_out: Option<f64>) {
        self.rows.push(Row {
            step: step.step,
            tokens: step.tokens,
            loss: step.loss.cross_entropy,
            held_out,
            rest: format!("{},{},{}", step.loss.max_z, step.gradient_norm, step.rate),
        });
    }

    /// Reads the lines of an interrupted run, without those of steps that will be done again.
    pub fn read_until(&mut self, steps: u64) -> anyhow::Result<()> {
        let text =
            fs::read_to_string(&self.path).with_context(|| self.path.display().to_string())?;
        for (number, line) in text.lines().enumerate().skip(1) {
            let row = Row::parse(line).with_context(|| {
                format!(
                    "{}: line {} is not of a run's log",
                    self.path.display(),
                    number + 1
                )
            })?;
            if row.step <= steps {
                self.rows.push(row);
            }
        }
        Ok(())
    }

    /// Writes the file.
    pub fn write(&self) -> anyhow::Result<()> {
        let mut text = format!("{HEADER}\n");
        for Row {
            step,
            tokens,
            loss,
            held_out,
            rest,
        } in &self.rows
        {
            let held_out = held_out.map(|h| h.to_string()).unwrap_or_default();
            writeln!(text, "{step},{tokens},{loss},{held_out},{rest}")?;
        }
        export::write_whole(&self.path, text.as_bytes())
            .with_context(|| self.path.display().to_string())
    }

    /// Writes the file, and the curve beside it.
    pub fn draw(&self, path: &Path) -> anyhow::Result<()> {
        self.write()?;
        if self.rows.len() < 2 {
            return Ok(()); // one step is no curve
        }
        export::write_whole(path, loss_curve(&self.rows)?.as_bytes())
            .with_context(|| path.display().to_string())
    }
}

impl Row {
    fn parse(line: &str) -> Option<Row> {
        let mut parts = line.splitn(5, ',');
        Some(Row {
            step: parts.next()?.parse().ok()?,
            tokens: parts.next()?.parse().ok()?,
            loss: parts.next()?.parse().ok()?,
            held_out: match parts.next()? {
                "" => None,
                held_out => Some(held_out.parse().ok()?),
            },
            rest: parts.next()?.to_owned(),
        })
    }
}

/// An SVG: loss by tokens, both logarithmic, smoothed, with the held-out loss as dots.
fn loss_curve(rows: &[Row]) -> anyhow::Result<String> {
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
