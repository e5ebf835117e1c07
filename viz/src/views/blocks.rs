use super::Scene;
use eframe::egui::Ui;
pub fn show(ui: &mut Ui, scene: &mut Scene) {
    ui.label(scene.tr("Not here yet."));
}
