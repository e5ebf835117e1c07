//! Two side by side.

use super::Scene;
use eframe::egui::Ui;

/// The same for both, and their difference.
pub fn show(ui: &mut Ui, scene: &mut Scene) {
    ui.label(scene.tr("Not here yet."));
}
