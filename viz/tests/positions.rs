//! The view of positions.

mod shown;

use baichuan2::{
    alibi,
    attention::{Bias, Visibility, attend},
    embedded::EmbeddedModel::{self, Alibi, Rope},
    rope::Rotation,
};
use baichuan2_viz::{
    language::Language,
    session::{Session, View},
    theme,
    views::positions::sharing,
};
use eframe::egui::accesskit::Role;
use egui_kittest::{Harness, kittest::Queryable};
use ndarray::s;
use shown::{Shown, number, picture, session, show, survives, text};

const TEXT: &str = "moon fish tree boat | moon fish tree";

fn positions(model: EmbeddedModel, layer: usize, head: usize, query: usize, key: usize) -> Session {
    Session {
        layer,
        head,
        query: Some(query),
        key: Some(key),
        ..session(View::Positions, model, TEXT)
    }
}

/// What the model made of the pair where it stands.
fn real(harness: &Harness<Shown>) -> f64 {
    let (analysis, session) = (&harness.state().analysis, &harness.state().session);
    let (layer, head) = (session.layer, session.head);
    let (i, j) = (session.query.unwrap(), session.key.unwrap());
    let (q, k) = (
        analysis.queries(layer, head).unwrap(),
        analysis.keys(layer, head).unwrap(),
    );
    let bias = analysis.model.decoder.config().bias(head, 0);
    f64::from(attend(q, k, k, &bias).scores[[i, j]])
}

/// Catches: vectors that are rotated already, or another head's; a distance counted backwards; a score that is not divided.
#[test]
fn the_score_where_they_stand_is_the_models() {
    for model in [Rope, Alibi] {
        for (layer, head, query, key) in [(0, 0, 6, 2), (5, 3, 4, 0), (3, 2, 5, 5)] {
            let harness = show(positions(model, layer, head, query, key));
            // Its own scheme comes first.
            let line = text(&harness, "score ");
            let shown = number(&line, "score ");
            assert!((shown - real(&harness)).abs() < 2e-4, "{line}");
            let distance = query - key;
            assert!(line.contains(&format!("at distance {distance},")), "{line}");
        }
    }
}

/// Catches: a slider that moves nothing; a query that is turned to another position than the slider says.
#[test]
fn moving_apart_turns_the_query() {
    let mut harness = show(positions(Rope, 2, 1, 6, 2));
    harness
        .get_by_role_and_label(Role::Slider, "Distance")
        .set_value_accesskit(37.0);
    harness.run();
    assert_eq!(harness.state().session.positions.distance, Some(37));
    let analysis = harness.state().analysis.clone();
    let turned = |x: ndarray::ArrayView1<f32>, position: usize| {
        let mut x = x.mapv(f64::from).insert_axis(ndarray::Axis(0));
        Rotation::new(x.ncols(), 1e4, position, 1).rotate(x.view_mut());
        x
    };
    let q = turned(analysis.unrotated_queries(2, 1).unwrap().row(6), 2 + 37);
    let k = turned(analysis.unrotated_keys(2, 1).unwrap().row(2), 2);
    let dot = (&q * &k).sum();
    let score = picture(&harness, "RoPE score by distance");
    let expected = dot / (q.ncols() as f64).sqrt();
    assert!(
        (number(&score, "distance: ") - expected).abs() < 1e-3,
        "{score}"
    );
    assert!(score.ends_with("at 37"), "{score}");
    let planes = picture(&harness, "planes of rotation");
    assert!((number(&planes, "q·k = ") - dot).abs() < 1e-3, "{planes}");
    harness.get_by_label_contains("query, turned to position 39");
    harness.get_by_label("where they stand: 4").click();
    harness.run();
    assert_eq!(harness.state().session.positions.distance, None);
}

/// Catches: a bias with a slope of another head, of the wrong sign, or of another distance.
#[test]
fn the_bias_is_the_slope_times_the_distance() {
    let mut harness = show(positions(Alibi, 1, 4, 6, 1));
    let slope = alibi::slopes(6)[4];
    for distance in [5, 21] {
        harness.state_mut().session.positions.distance = Some(distance);
        harness.run();
        let said = picture(&harness, "ALiBi bias by distance");
        assert!(said.contains(&format!("head 4: slope {slope}")), "{said}");
        let bias = number(&said, &format!("slope {slope}, "));
        assert!((bias + slope * distance as f64).abs() < 1e-4, "{said}");
    }
    // Put apart, the score is the product without rotation, less the bias.
    let analysis = harness.state().analysis.clone();
    let (q, k) = (
        analysis.unrotated_queries(1, 4).unwrap(),
        analysis.unrotated_keys(1, 4).unwrap(),
    );
    let bias = Bias {
        visibility: Visibility::All,
        alibi_slope: None,
    };
    let plain = attend(
        q.slice(s![6..7, ..]),
        k.slice(s![1..2, ..]),
        k.slice(s![1..2, ..]),
        &bias,
    );
    let expected = f64::from(plain.scores[[0, 0]]) - slope * 21.0;
    let line = text(&harness, " · ");
    assert!((number(&line, " · ") - expected).abs() < 2e-4, "{line}");
}

/// Catches: the other scheme in front, or taken for the model's.
#[test]
fn the_scheme_of_the_model_comes_first() {
    for (model, first, second) in [(Rope, "RoPE", "ALiBi"), (Alibi, "ALiBi", "RoPE")] {
        let harness = show(positions(model, 0, 0, 3, 1));
        let x = |label: &str| harness.get_by_label(label).rect().left();
        assert!(x(first) < x(second));
        assert!(x("● this model") < x(second));
    }
}

/// Catches: a key after its query; a distance that outlives the pair it was of.
#[test]
fn another_pair_stands_where_it_stands() {
    let mut session = positions(Rope, 0, 0, 6, 5);
    session.positions.distance = Some(30);
    let mut harness = show(session);
    harness.get_by_label("Query").set_value_accesskit(3.0);
    harness.run();
    let session = &harness.state().session;
    assert_eq!((session.query, session.key), (Some(3), Some(3)));
    assert_eq!(session.positions.distance, None);
}

/// Catches: curves that cannot be had, or not be left again.
#[test]
fn planes_have_curves_if_wanted() {
    let mut harness = show(positions(Rope, 0, 0, 6, 2));
    for wanted in [true, false] {
        harness
            .get_by_label("curves of the 6 strongest planes")
            .click();
        harness.run();
        assert_eq!(harness.state().session.positions.by_plane, wanted);
    }
}

/// Catches: groups that are cut across; the claim that heads share where each has its own.
#[test]
fn sharing_is_told_and_chosen() {
    for (heads, key_heads, says) in [
        (
            8,
            8,
            "Each of the 8 query heads has keys and values of its own",
        ),
        (
            8,
            2,
            "8 query heads share 2 heads of keys and values, 4 to each",
        ),
        (8, 1, "All 8 query heads share one head"),
    ] {
        let mut harness = Harness::builder()
            .with_context_setup(theme::set_up)
            .build_ui_state(
                |ui, chosen: &mut Option<usize>| {
                    let now = chosen.unwrap_or(0);
                    let clicked = sharing(ui, Language::English, heads, key_heads, now);
                    *chosen = clicked.or(*chosen);
                },
                None,
            );
        harness.run();
        let picture = harness.get_by_label_contains("Chosen: query head 0.");
        // The middle of eight is the fifth.
        picture.hover();
        harness.run();
        let meets = format!("query head 4 meets key head {}", 4 * key_heads / heads);
        harness.get_by_label(&meets);
        harness
            .get_by_label_contains("Chosen: query head 0.")
            .click();
        harness.run();
        assert!(harness.query_all_by_label_contains(says).next().is_some());
        assert_eq!(*harness.state(), Some(4));
    }
}

/// Catches: a panic on a short or long text, or on what an older session says.
#[test]
fn it_survives() {
    survives(View::Positions);
}
