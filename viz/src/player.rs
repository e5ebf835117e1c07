//! A number of steps to walk along: back, on, all at once, or by itself.

use crate::language::Language;
use eframe::egui::{Id, Slider, Ui};

/// Seconds between two steps of its own.
const PAUSE: f64 = 0.45;

/// Buttons and a slider over `0..=last`; `step` is none where all are done.
///
/// `name` says what is counted, and tells this player from others. What it plays ends at the last step.
pub fn player(ui: &mut Ui, language: Language, name: &str, step: &mut Option<usize>, last: usize) {
    let id = Id::unique(("player", name));
    let mut at = step.map_or(last, |step| step.min(last));
    let before = at;
    let mut due: Option<f64> = ui.data(|data| data.get_temp(id));
    ui.horizontal(|ui| {
        let label = ui.label(language.tr(name));
        let button = |ui: &mut Ui, sign: &str, does: &str| {
            let does = language.tr(does);
            let button = ui.button(sign).on_hover_text(does.as_ref());
            button.accessible_name(does).clicked()
        };
        if button(ui, "←", "One step back") {
            (at, due) = (at.saturating_sub(1), None);
        }
        let now = ui.input(|input| input.time);
        if due.is_some() {
            if button(ui, "■", "Stop") {
                due = None;
            }
        } else if button(ui, "▶", "Play") {
            due = Some(now + PAUSE);
            if at == last {
                at = 0;
            }
        }
        if button(ui, "→", "One step on") {
            (at, due) = ((at + 1).min(last), None);
        }
        ui.spacing_mut().slider_width = (ui.available_width() - 90.0).clamp(80.0, 320.0);
        let slider = ui
            .add(Slider::new(&mut at, 0..=last).clamping(eframe::egui::SliderClamping::Always))
            .labelled_by(label.id);
        if slider.changed() {
            due = None;
        }
        ui.weak(language.format("of {0}", &[&last]));
        if let Some(time) = due {
            if now >= time {
                at = (at + 1).min(last);
                due = Some(now + PAUSE);
            }
            if at == last {
                due = None;
            }
            ui.ctx().request_repaint_after_secs(0.1);
        }
    });
    ui.data_mut(|data| match due {
        Some(time) => {
            data.insert_temp(id, time);
        }
        None => data.remove::<f64>(id),
    });
    if at != before {
        *step = (at < last).then_some(at);
    }
}
