//! What every view looks like, light and dark, in both languages: compared with pictures that were looked at.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test -p baichuan2-viz --test pictures` makes them anew, in `tests/snapshots`; look at them before they are kept. They are drawn by the
//! same code that saves pictures, without a window or a graphics card, so that they are the same everywhere.

use baichuan2::embedded::EmbeddedModel;
use baichuan2_viz::{
    analysis::Analysis,
    export,
    language::Language,
    model::{Model, Source},
    session::{AttentionForm, Session, View, Wanted},
    views::{self, Scene},
};
use eframe::egui::{Theme, vec2};
use egui_kittest::{SnapshotOptions, SnapshotResults, try_image_snapshot_options};
use std::sync::Arc;

fn picture(
    session: &Session,
    [analysis, second]: [&Arc<Analysis>; 2],
    theme: Theme,
    language: Language,
) -> image::RgbaImage {
    let mut session = session.clone();
    let svg = export::svg(vec2(1000.0, 640.0), theme, |ui| {
        let mut scene = Scene::new(analysis, &mut session, language);
        scene.second = Some(second);
        views::show(ui, &mut scene);
    });
    let png = export::png(&svg.unwrap(), 1.0).unwrap();
    image::load_from_memory(&png).unwrap().to_rgba8()
}

/// Catches: a view that became illegible in one of the themes or languages; labels that overlap; a picture that is empty.
#[test]
fn every_view_looks_as_it_did() {
    // Numbers differ in their last places from one BLAS to another, and with them a few pixels of a curve.
    let options = SnapshotOptions::new().threshold(1.0).max_failed_pixels(400);
    let mut results = SnapshotResults::new();
    let shown = [
        (
            EmbeddedModel::Rope,
            View::Attention,
            AttentionForm::Map,
            "map",
        ),
        (
            EmbeddedModel::Rope,
            View::Attention,
            AttentionForm::Threads,
            "threads",
        ),
        (
            EmbeddedModel::Alibi,
            View::Attention,
            AttentionForm::All,
            "all-heads",
        ),
        (
            EmbeddedModel::Rope,
            View::Attention,
            AttentionForm::Together,
            "together",
        ),
        (
            EmbeddedModel::Rope,
            View::Tokens,
            AttentionForm::Map,
            "tokens",
        ),
        (
            EmbeddedModel::Rope,
            View::Positions,
            AttentionForm::Map,
            "positions-rope",
        ),
        (
            EmbeddedModel::Alibi,
            View::Positions,
            AttentionForm::Map,
            "positions-alibi",
        ),
        (
            EmbeddedModel::Rope,
            View::Stream,
            AttentionForm::Map,
            "stream",
        ),
        (
            EmbeddedModel::Rope,
            View::Blocks,
            AttentionForm::Map,
            "blocks",
        ),
        (
            EmbeddedModel::Rope,
            View::Generation,
            AttentionForm::Map,
            "generation",
        ),
        (
            EmbeddedModel::Rope,
            View::Compare,
            AttentionForm::Map,
            "compare",
        ),
    ];
    for (model, view, form, name) in shown {
        let mut session = Session::first();
        session.wanted.model = Source::Embedded(model);
        (session.view, session.form) = (view, form);
        (session.query, session.key) = (Some(9), Some(3));
        let read = |wanted: &Wanted| {
            let model = Arc::new(Model::open(&wanted.model, wanted.checkpoint).unwrap());
            Arc::new(Analysis::of(model, wanted.clone(), &|| false).unwrap())
        };
        let analysis = read(&session.wanted);
        let mut second = session.wanted.clone();
        second.checkpoint = analysis.model.history.first().copied();
        let other = read(&second);
        session.second = Some(second);
        for (theme, light) in [(Theme::Light, "light"), (Theme::Dark, "dark")] {
            for (language, tongue) in [(Language::English, "en"), (Language::Chinese, "zh")] {
                let picture = picture(&session, [&analysis, &other], theme, language);
                let name = format!("{name}-{light}-{tongue}");
                results.add(try_image_snapshot_options(&picture, name, &options));
            }
        }
    }
}
