//! The view of who looks at whom.

mod window;

use baichuan2::{
    attention::{Rollout, attend, max_over_heads, mean_over_heads},
    embedded::EmbeddedModel::{Alibi, Rope},
    picture::Scale,
    probe::Head,
};
use baichuan2_viz::{
    analysis::Analysis,
    session::{AttentionForm, Session, Together, View},
};
use eframe::egui::{
    Event, Modifiers, MouseWheelSource, MouseWheelUnit, Pos2, TouchPhase, accesskit::Role, vec2,
};
use egui_kittest::{
    Harness,
    kittest::{NodeT, Queryable},
};
use ndarray::{Array2, Array3, Axis};
use window::{
    COPY, Window, open, press, press_at, press_twice_at, said, session, survives, until, until_said,
};

fn attention(form: AttentionForm) -> Session {
    Session {
        form,
        layer: 4,
        ..session(View::Attention, Rope, COPY)
    }
}

fn weights(analysis: &Analysis, layer: usize, head: usize) -> Array2<f32> {
    let (q, k) = (
        analysis.queries(layer, head).unwrap(),
        analysis.keys(layer, head).unwrap(),
    );
    attend(q, k, k, &analysis.model.decoder.config().bias(head, 0)).weights
}

fn of_layer(analysis: &Analysis, layer: usize) -> Array3<f32> {
    let maps: Vec<_> = (0..analysis.heads())
        .map(|head| weights(analysis, layer, head))
        .collect();
    let views: Vec<_> = maps.iter().map(|map| map.view()).collect();
    ndarray::stack(Axis(0), &views).unwrap()
}

/// The number that stands beside a name.
fn number_after(harness: &Harness<Window>, name: &str) -> Option<f32> {
    let said = said(harness);
    let at = said.iter().position(|text| text == name)?;
    said[at + 1..].iter().find_map(|text| text.parse().ok())
}

/// Where a cell of the map lies: labels to the left of it and above it are as wide as the longest, and cells as large as fit.
fn cell(harness: &Harness<Window>, map: &str, row: usize, column: usize) -> Pos2 {
    let rect = harness.get_by_label(map).rect();
    let n = harness.state().analysis.tokens.len() as f32;
    let labels = harness.state().analysis.labels();
    let longest = labels
        .iter()
        .map(|label| label.chars().count())
        .max()
        .unwrap() as f32;
    let margin = (longest * 11.0 * 0.62 + 12.0).min(110.0);
    let side = ((rect.width() - margin) / n)
        .min((rect.height() - margin) / n)
        .min(72.0);
    rect.min
        + vec2(
            margin + side * (column as f32 + 0.5),
            margin + side * (row as f32 + 0.5),
        )
}

const MAP: &str = "Attention, layer 4, head 0";

/// Catches: rows and columns exchanged; a score after its bias called one before; a weight rounded; a hidden cell with a weight.
#[test]
fn pointing_at_a_cell_tells_its_weight_exactly() {
    for model in [Rope, Alibi] {
        let mut session = attention(AttentionForm::Map);
        session.wanted.model = baichuan2_viz::model::Source::Embedded(model);
        let mut harness = open(session);
        let analysis = harness.state().analysis.clone();
        let at = cell(&harness, MAP, 9, 3);
        harness.hover_at(at);
        until_said(&mut harness, "query 9, key 3");
        let head = Head { layer: 4, head: 0 };
        let terms = analysis.terms(head, 9, 3).unwrap();
        let exactly = weights(&analysis, 4, 0)[[9, 3]];
        assert!((terms.weight - exactly).abs() < 1e-5);
        for (name, value) in [
            ("q·k", terms.dot),
            ("× 1/√d", terms.score),
            ("log Σ of the row", terms.log_normalizer),
            ("weight", terms.weight),
        ] {
            assert_eq!(
                number_after(&harness, name),
                Some(value),
                "{name}: {:?}",
                said(&harness)
            );
        }
        let bias = number_after(&harness, "ALiBi's bias m·(j − i)");
        assert_eq!(bias, (model == Alibi).then_some(terms.bias));
        let at = cell(&harness, MAP, 3, 9);
        harness.hover_at(at);
        until_said(&mut harness, "hidden: a token sees no token after it");
    }
}

/// Catches: a click that locks another cell; a lock that cannot be undone by a click, or by its button.
#[test]
fn a_click_locks_a_cell_and_takes_it_apart() {
    let mut harness = open(attention(AttentionForm::Map));
    let at = cell(&harness, MAP, 9, 3);
    press_at(&mut harness, at);
    let locked = |harness: &Harness<Window>| {
        let session = &harness.state().session;
        (session.query, session.key)
    };
    assert_eq!(locked(&harness), (Some(9), Some(3)));
    until_said(&mut harness, "This weight");
    until_said(&mut harness, "q·k, element by element");
    until_said(&mut harness, "q·k, plane by plane (RoPE)");
    press(&mut harness, "Unlock");
    assert_eq!(locked(&harness), (None, None));
    // With another width the map is elsewhere.
    for _ in 0..3 {
        harness.step();
    }
    let at = cell(&harness, MAP, 9, 3);
    press_at(&mut harness, at);
    for _ in 0..40 {
        harness.step();
    }
    let at = cell(&harness, MAP, 9, 3);
    press_at(&mut harness, at);
    assert_eq!(locked(&harness), (None, None));
}

/// Catches: a scale or colours that are chosen and not taken; a choice without a name.
#[test]
fn scales_and_colours_are_chosen_by_name() {
    let mut harness = open(attention(AttentionForm::Map));
    for (name, scale) in [
        ("linear", Scale::Linear),
        ("logarithmic", Scale::Log),
        ("each row by its largest", Scale::Row),
    ] {
        harness
            .get_by_role_and_label(Role::ComboBox, "How a weight becomes a shade")
            .click();
        harness.step();
        harness.step();
        let choice = harness
            .get_all_by_label(name)
            .max_by(|a, b| a.rect().top().total_cmp(&b.rect().top()))
            .unwrap();
        choice.click();
        harness.step();
        harness.step();
        assert_eq!(harness.state().session.scale, scale);
    }
    harness
        .get_by_role_and_label(Role::ComboBox, "Colours")
        .click();
    harness.step();
    harness.step();
    press(&mut harness, "Cividis");
    assert_eq!(format!("{:?}", harness.state().session.colors), "Cividis");
    press(&mut harness, "without the first token");
    assert!(harness.state().session.hide_first);
}

/// Catches: thumbnails in another order than layers and heads; a click that leads to another head.
#[test]
fn a_small_map_leads_to_the_large_one() {
    let mut harness = open(attention(AttentionForm::All));
    let analysis = harness.state().analysis.clone();
    for layer in 0..analysis.layers() {
        for head in 0..analysis.heads() {
            harness.get_by_label(&format!("Layer {layer}, head {head}"));
        }
    }
    press(&mut harness, "Layer 2, head 3");
    let session = &harness.state().session;
    assert_eq!((session.layer, session.head), (2, 3));
    assert_eq!(session.form, AttentionForm::Map);
    harness.get_by_label("Attention, layer 2, head 3");
    let small = analysis
        .thumbnail(Head { layer: 2, head: 3 }, [96; 2])
        .unwrap();
    let large = weights(&analysis, 2, 3);
    let differ = small
        .indexed_iter()
        .any(|((i, j), w)| j <= i && (w - large[[i, j]]).abs() > 1e-5);
    assert!(!differ);
}

/// Catches: a token that is locked and cannot be let go; a head that is hidden and still chosen.
#[test]
fn threads_lock_and_let_go() {
    let mut harness = open(attention(AttentionForm::Threads));
    press(&mut harness, "Query 9: ▁fish");
    assert_eq!(harness.state().session.query, Some(9));
    press(&mut harness, "Query 9: ▁fish");
    assert_eq!(harness.state().session.query, None);
    press(&mut harness, "Key 3: ▁tree");
    assert_eq!(harness.state().session.key, Some(3));
    press(&mut harness, "Key 3: ▁tree");
    assert_eq!(harness.state().session.key, None);
    press(&mut harness, "Lines of head 2");
    assert!(harness.state().session.hidden_heads.contains(&2));
    press(&mut harness, "Lines of head 2");
    assert!(harness.state().session.hidden_heads.is_empty());
}

/// Catches: mean and maximum exchanged; another layer's heads; a rollout of one layer, or one that ends too late.
#[test]
fn together_is_what_the_library_says() {
    for together in Together::ALL {
        let mut session = attention(AttentionForm::Together);
        (session.together, session.layer) = (together, 2);
        let mut harness = open(session);
        let analysis = harness.state().analysis.clone();
        let expected = match together {
            Together::Mean => mean_over_heads(of_layer(&analysis, 2).view()),
            Together::Largest => max_over_heads(of_layer(&analysis, 2).view()),
            Together::Rollout => {
                let mut rollout = Rollout::new(analysis.tokens.len());
                for layer in 0..=2 {
                    rollout.layer(of_layer(&analysis, layer).view()).unwrap();
                }
                rollout.weights().to_owned()
            }
        };
        let map = match together {
            Together::Rollout => "Rollout through layers 0 to 2".to_owned(),
            _ => format!("{} of all heads of layer 2", together.name()),
        };
        press(&mut harness, together.name());
        let at = cell(&harness, &map, 9, 3);
        harness.hover_at(at);
        until_said(&mut harness, "▁fish → ▁tree");
        let number: Option<f32> = said(&harness)
            .iter()
            .skip_while(|text| *text != "▁fish → ▁tree")
            .find_map(|text| text.parse().ok());
        let number = number.unwrap_or_else(|| panic!("{:?}", said(&harness)));
        assert!((number - expected[[9, 3]]).abs() < 1e-5, "{map}: {number}");
    }
}

/// Catches: a wheel that moves nothing; a zoom that cannot be left; a part that is told wrong.
#[test]
fn the_wheel_brings_a_map_nearer() {
    let mut session = attention(AttentionForm::Map);
    session.wanted.text = "moon fish tree boat sun cat star pear ".repeat(60);
    let mut harness = open(session);
    let n = harness.state().analysis.tokens.len();
    let at = cell(&harness, MAP, n - 9, 3);
    harness.hover_at(at);
    harness.step();
    let part = |harness: &Harness<Window>| harness.get_by_label(MAP).accesskit_node().value();
    assert_eq!(part(&harness), None);
    for _ in 0..12 {
        harness.event(Event::MouseWheel {
            unit: MouseWheelUnit::Point,
            delta: vec2(0.0, 120.0),
            phase: TouchPhase::Move,
            source: MouseWheelSource::Wheel,
            modifiers: Modifiers::NONE,
        });
        harness.step();
    }
    let all = format!(" of {n} × {n}; double-click for all");
    until(&mut harness, &all, |harness| {
        part(harness).is_some_and(|part| part.ends_with(&all))
    });
    let shown: usize = part(&harness)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(shown < n / 4, "{shown} of {n}");
    press_twice_at(&mut harness, at);
    until(&mut harness, "the whole map", |harness| {
        part(harness).is_none()
    });
}

/// Catches: an index beyond a short text or a shallow model; a control without a name.
#[test]
fn it_survives_whatever_may_come() {
    for form in AttentionForm::ALL {
        survives(View::Attention, |session| {
            session.form = form;
            session.key = Some(1 << 40);
            session.together = Together::Rollout;
            session.hidden_heads = [0, 7, 99].into();
        });
    }
}
