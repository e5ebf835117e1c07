//! Fonts and colours.

use eframe::egui::{self, Color32, FontData, FontFamily, epaint::text::FontPriority};
use egui::epaint::text::{FontInsert, InsertFontFamily};

/// Chinese, and the signs of labels and formulas; SIL Open Font License 1.1, `fonts/OFL.txt`.
pub const NOTO_SANS_SC: &[u8] = include_bytes!("../fonts/NotoSansSC-subset.otf");

/// Gives the window its fonts and its calm.
pub fn set_up(context: &egui::Context) {
    let family = |family| InsertFontFamily {
        family,
        priority: FontPriority::Lowest,
    };
    context.add_font(FontInsert::new(
        "Noto Sans SC (subset)",
        FontData::from_static(NOTO_SANS_SC),
        vec![
            family(FontFamily::Proportional),
            family(FontFamily::Monospace),
        ],
    ));
    context.all_styles_mut(|style| {
        style.spacing.item_spacing = egui::vec2(8.0, 6.0);
        style.spacing.button_padding = egui::vec2(7.0, 3.0);
        style.interaction.tooltip_delay = 0.0;
        style.interaction.show_tooltips_only_when_still = false;
    });
}

/// The colour of token `i`: neighbours differ, and text on it is legible, in the light and in the dark.
///
/// Hues are those of Okabe and Ito, which colour-blind eyes tell apart, mixed with the background.
pub fn token(i: usize, dark: bool) -> Color32 {
    const HUES: [[u8; 3]; 6] = [
        [0x56, 0xb4, 0xe9],
        [0xe6, 0x9f, 0x00],
        [0x00, 0x9e, 0x73],
        [0xcc, 0x79, 0xa7],
        [0xf0, 0xe4, 0x42],
        [0x00, 0x72, 0xb2],
    ];
    let [r, g, b] = HUES[i % HUES.len()];
    let (background, share) = if dark { (0x1b, 0.45) } else { (0xff, 0.38) };
    let mix = |c: u8| (f32::from(c) * share + background as f32 * (1.0 - share)) as u8;
    Color32::from_rgb(mix(r), mix(g), mix(b))
}

/// The colour of a head, for lines and curves: the same everywhere.
pub fn head(i: usize) -> Color32 {
    let color = colorous::TABLEAU10[i % 10];
    Color32::from_rgb(color.r, color.g, color.b)
}

/// The colour of a difference from −1 (blue) over 0 (white) to 1 (red), which colour-blind eyes tell apart.
pub fn signed(difference: f32) -> Color32 {
    let share = f64::from(difference.clamp(-1.0, 1.0) + 1.0) / 2.0;
    // The map runs from red to blue.
    let color = colorous::RED_BLUE.eval_continuous(1.0 - share);
    Color32::from_rgb(color.r, color.g, color.b)
}

/// What is hidden in a map.
pub fn hidden(dark: bool) -> Color32 {
    if dark {
        Color32::from_gray(0x26)
    } else {
        Color32::from_gray(0xee)
    }
}
