//! What each block adds to the logit of one token.

use crate::views::Scene;
use eframe::egui::Ui;

/// The token to choose, and a bar for each block; for each head of the layer that is looked at.
pub fn contributions(ui: &mut Ui, scene: &mut Scene) {
    ui.label(scene.tr("Not here yet."));
}
