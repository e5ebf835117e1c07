//! Figures as PNG: cells of a whole number of pixels, and a colour bar. Labels are in the SVG: a PNG would need a font.

use super::{Colors, Figure, pool_max};
use image::{
    ExtendedColorType, ImageEncoder, ImageError, Rgb, RgbImage,
    codecs::png::PngEncoder,
    error::{ParameterError, ParameterErrorKind},
};
use ndarray::{Array2, ArrayView2};

/// Pixels of a panel, or of all panels side by side, where cells can be chosen freely.
const COMFORTABLE: usize = 1024;
/// Pixels beyond which maps are pooled.
const LARGEST: usize = 4096;
const MARGIN: usize = 16;
const BAR: usize = 24;
const PAPER: Rgb<u8> = Rgb([0xff; 3]);

/// The figure as a PNG file, RGB, with the colour bar at its right: bright at the top.
///
/// A map of up to 4,096 tokens (shared between the panels of a row) has one cell of whole pixels for each weight; a longer one is
/// [pooled](pool_max).
///
/// ```
/// use baichuan2::picture::{Figure, Panel, Scale, Colors, png};
/// let figure = Figure {
///     title: "one head".into(), labels: vec!["a".into(), "b".into()],
///     panels: vec![Panel { title: String::new(), weights: ndarray::array![[1.0, 0.0], [0.5, 0.5]] }],
///     columns: 1, scale: Scale::Linear, colors: Colors::Viridis, hide_first: false,
/// };
/// assert!(png(&figure)?.starts_with(b"\x89PNG"));
/// # Ok::<(), image::ImageError>(())
/// ```
///
/// # Errors
/// A figure too large for the format.
pub fn png(figure: &Figure) -> Result<Vec<u8>, ImageError> {
    let columns = figure.columns.clamp(1, figure.panels.len().max(1));
    let rows = figure.panels.len().div_ceil(columns);
    let [queries, keys] = figure.size();
    let across = columns.max(rows);
    let share = |pixels: usize| (pixels / across).max(1);
    // Small maps still have cells that can be seen; large ones a pixel each as long as there is room.
    let comfortable = share(COMFORTABLE).max(96);
    let longest = queries.max(keys).max(1);
    let cell = (comfortable / longest).clamp(1, 48);
    let room = share(LARGEST).max(8);
    let shrunk = |n: usize| {
        if longest > room {
            (n * room).div_ceil(longest)
        } else {
            n
        }
    };
    let [height, width] = [queries, keys].map(|n| shrunk(n) * cell);

    let gap = if figure.panels.len() > 1 {
        MARGIN / 2
    } else {
        0
    };
    let inner = [
        columns * (width + gap) - gap,
        rows * (height + gap) - gap.min(rows * (height + gap)),
    ];
    let total = [inner[0] + 3 * MARGIN + BAR, inner[1] + 2 * MARGIN];
    let mut image = RgbImage::from_pixel(pixels(total[0])?, pixels(total[1])?, PAPER);
    for (i, panel) in figure.panels.iter().enumerate() {
        let shades = pool_max(figure.shades(panel).view(), shrunk(queries), shrunk(keys));
        let at = [
            MARGIN + i % columns * (width + gap),
            MARGIN + i / columns * (height + gap),
        ];
        paint(&mut image, shades.view(), figure.colors, at, [cell, cell]);
    }
    let steps = inner[1].clamp(1, 256);
    let bar = Array2::from_shape_fn((inner[1].max(1), 1), |(y, _)| {
        1.0 - (y * steps / inner[1].max(1)) as f32 / (steps - 1).max(1) as f32
    });
    paint(
        &mut image,
        bar.view(),
        figure.colors,
        [2 * MARGIN + inner[0], MARGIN],
        [BAR, 1],
    );
    encode(&image)
}

/// Shades as a PNG file of `cell × cell` pixels for each, with nothing around them.
pub(super) fn bare_png(
    shades: ArrayView2<f32>,
    colors: Colors,
    cell: usize,
) -> Result<Vec<u8>, ImageError> {
    let [height, width] = [shades.nrows(), shades.ncols()].map(|n| n.saturating_mul(cell));
    let mut image = RgbImage::new(pixels(width)?, pixels(height)?);
    paint(&mut image, shades, colors, [0, 0], [cell, cell]);
    encode(&image)
}

/// Paints cells of `[width, height]` pixels, the first at `[x, y]`.
fn paint(
    image: &mut RgbImage,
    shades: ArrayView2<f32>,
    colors: Colors,
    at: [usize; 2],
    cell: [usize; 2],
) {
    for ((row, col), &shade) in shades.indexed_iter() {
        let color = Rgb(colors.rgb(shade).unwrap_or(Colors::BACKGROUND));
        for y in 0..cell[1] {
            for x in 0..cell[0] {
                let (x, y) = (at[0] + col * cell[0] + x, at[1] + row * cell[1] + y);
                if let Some(pixel) = image.get_pixel_mut_checked(x as u32, y as u32) {
                    *pixel = color;
                }
            }
        }
    }
}

fn pixels(n: usize) -> Result<u32, ImageError> {
    u32::try_from(n).map_err(|_| {
        let kind = ParameterErrorKind::DimensionMismatch;
        ImageError::Parameter(ParameterError::from_kind(kind))
    })
}

fn encode(image: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let mut file = Vec::new();
    PngEncoder::new(&mut file).write_image(
        image.as_raw(),
        image.width(),
        image.height(),
        ExtendedColorType::Rgb8,
    )?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Panel, Scale, testing::figure};

    fn size(file: &[u8]) -> (u32, u32) {
        image::load_from_memory(file)
            .unwrap()
            .to_rgb8()
            .dimensions()
    }

    /// Catches: cells of one pixel for a short text, pictures that grow without end for a long one.
    #[test]
    fn every_length_gives_a_picture_of_sensible_size() {
        let mut sizes = Vec::new();
        for tokens in [1, 8, 100, 1100] {
            sizes.push(size(&png(&figure(tokens, 1)).unwrap()));
        }
        // cells of 48, 48, 10 and 1 pixels; 72 of margins and bar, 32 of margins
        let of = |n: u32| (n + 72, n + 32);
        assert_eq!(sizes, [of(48), of(384), of(1000), of(1100)]);
        let long = Figure {
            panels: vec![Panel {
                title: String::new(),
                weights: Array2::zeros((4, 5000)),
            }],
            ..figure(1, 1)
        };
        assert_eq!(size(&png(&long).unwrap()), (4096 + 72, 4 + 32));
    }

    /// Catches: rows and columns exchanged; weights drawn where the mask hides; a cell painted over by its neighbour.
    #[test]
    fn cells_have_the_colour_of_their_weight() {
        let figure = Figure {
            panels: vec![Panel {
                title: String::new(),
                weights: ndarray::array![[1.0, 0.0], [0.25, 0.75]],
            }],
            scale: Scale::Linear,
            ..figure(2, 1)
        };
        let image = image::load_from_memory(&png(&figure).unwrap())
            .unwrap()
            .to_rgb8();
        let centre = |row: u32, col: u32| image.get_pixel(16 + 24 + 48 * col, 16 + 24 + 48 * row).0;
        assert_eq!(centre(0, 0), figure.colors.rgb(1.0).unwrap());
        assert_eq!(centre(0, 1), Colors::BACKGROUND);
        assert_eq!(centre(1, 0), figure.colors.rgb(0.25).unwrap());
        assert_eq!(centre(1, 1), figure.colors.rgb(0.75).unwrap());
        // the bar, bright at the top
        let x = 16 + 96 + 16 + 12;
        assert_eq!(image.get_pixel(x, 16).0, figure.colors.rgb(1.0).unwrap());
        assert_eq!(
            image.get_pixel(x, 16 + 95).0,
            figure.colors.rgb(0.0).unwrap()
        );
    }

    /// Catches: panels on top of each other; forty layers of forty heads as a picture nobody can open.
    #[test]
    fn many_panels_stay_apart_and_bounded() {
        let four = Figure {
            columns: 2,
            ..figure(8, 3)
        };
        // 512 pixels a panel, 8 between
        assert_eq!(
            size(&png(&four).unwrap()),
            (2 * 384 + 8 + 72, 2 * 384 + 8 + 32)
        );
        let many = Figure {
            columns: 40,
            ..figure(120, 80)
        };
        assert_eq!(size(&png(&many).unwrap()).0, 40 * 102 + 39 * 8 + 72);
        let none = Figure {
            panels: Vec::new(),
            ..figure(2, 1)
        };
        assert!(png(&none).is_ok());
    }
}
