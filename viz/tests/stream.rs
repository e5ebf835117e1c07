//! The view of the residual stream.

mod window;

use baichuan2::{
    embedded::EmbeddedModel::Rope,
    probe::{LayerSite, Site},
    tensor::LinearMap,
};
use baichuan2_viz::{
    analysis::{Analysis, likeliest},
    session::{Session, StreamPart, View},
    views::likely::probability,
};
use eframe::egui::vec2;
use egui_kittest::{Harness, kittest::Queryable};
use ndarray::Array2;
use std::collections::BTreeSet;
use window::{COPY, Window, open, press, press_at, said, session, survives, until, until_said};

fn stream(part: StreamPart, query: usize) -> Session {
    Session {
        stream: part,
        query: Some(query),
        ..session(View::Stream, Rope, COPY)
    }
}

/// The logits at a depth, by the library.
fn lens(analysis: &Analysis, depth: usize) -> Array2<f32> {
    let site = match depth {
        0 => Site::Embed,
        depth => Site::Layer(depth - 1, LayerSite::Out),
    };
    let rows = analysis.rows(site).unwrap();
    analysis.model.decoder.logit_lens(rows)
}

fn top(analysis: &Analysis, depth: usize, position: usize) -> Vec<String> {
    let list = likeliest(lens(analysis, depth).view(), position, 5);
    let named = |(id, p): &(u32, f32)| format!("{}, {}", analysis.label_of(*id), probability(*p));
    list.iter().map(named).collect()
}

/// Catches: the lens at the layer before or after; the norm left out; another position's tokens.
#[test]
fn at_each_depth_it_says_what_the_library_says() {
    let mut harness = open(stream(StreamPart::Lengths, 9));
    let analysis = harness.state().analysis.clone();
    for depth in 0..=6 {
        harness.state_mut().session.depth = Some(depth);
        let expected = top(&analysis, depth, 9);
        until(&mut harness, "the five likeliest", |harness| {
            expected
                .iter()
                .all(|name| harness.query_by_label(name).is_some())
        });
        let picture = until_said(&mut harness, "Logit lens, 7 depths by 14 tokens.");
        assert!(picture.ends_with(&expected[0]), "{picture}: {expected:?}");
    }
    // The output is what the model itself says.
    assert_eq!(
        analysis.next(9, 1)[0].0,
        likeliest(lens(&analysis, 6).view(), 9, 1)[0].0
    );
}

/// Catches: rows or columns off by one or exchanged; a click that leaves the layer of the other views behind.
#[test]
fn a_click_in_the_grid_chooses_depth_and_position() {
    let mut harness = open(stream(StreamPart::Lengths, 0));
    let grid = harness.get_by_label_contains("Logit lens").rect();
    // The names of the depths and the tokens stand to the left and above.
    let cells = grid.size() - vec2(74.0, 22.0);
    let cell = vec2(
        (cells.x / 14.0).min(110.0),
        (cells.y / 7.0).clamp(17.0, 26.0),
    );
    for (depth, position) in [(0, 13), (3, 5), (6, 2)] {
        let to = vec2(position as f32 + 0.5, depth as f32 + 0.5) * cell;
        press_at(&mut harness, grid.min + vec2(74.0, 22.0) + to);
        let session = &harness.state().session;
        assert_eq!(session.query, Some(position));
        assert_eq!(session.depth, (depth < 6).then_some(depth));
        if depth > 0 {
            assert_eq!(session.layer, depth - 1);
        }
    }
}

/// Catches: a film that does not begin, skips the output, or never ends.
#[test]
fn it_plays_from_the_embedding_to_the_output() {
    let mut harness = open(stream(StreamPart::Lengths, 3));
    press(&mut harness, "Play through the layers");
    assert_eq!(harness.state().session.depth, Some(0));
    let mut seen = vec![0];
    for _ in 0..60 {
        harness.step();
        let depth = harness.state().session.depth.unwrap_or(6);
        if seen.last() != Some(&depth) {
            seen.push(depth);
        }
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
    assert!(harness.query_by_label("Stop").is_none());
}

/// Catches: a layer chosen with the arrow keys, or in another view, that is not looked at here.
#[test]
fn a_layer_chosen_elsewhere_is_followed() {
    let mut harness = open(stream(StreamPart::Lengths, 3));
    harness.state_mut().session.layer = 2;
    harness.step();
    harness.step();
    assert_eq!(harness.state().session.depth, Some(3));
}

/// Catches: the square of the length, a mean square, another position's.
#[test]
fn lengths_are_euclidean() {
    let mut harness = open(stream(StreamPart::Lengths, 4));
    let told = until_said(&mut harness, "Length of the stream at position 4");
    let numbers = told.rsplit_once(": ").unwrap().1;
    let numbers: Vec<f32> = numbers.split(", ").map(|n| n.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 7);
    let analysis = &harness.state().analysis;
    for (depth, shown) in numbers.into_iter().enumerate() {
        let site = match depth {
            0 => Site::Embed,
            depth => Site::Layer(depth - 1, LayerSite::Out),
        };
        let row = analysis.rows(site).unwrap().row(4).to_owned();
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((length - shown).abs() < 2e-3, "{depth}: {length} {shown}");
    }
}

/// The number behind a name on screen.
fn share(harness: &Harness<Window>, name: &str) -> f32 {
    let start = format!("{name}, ");
    let all = said(harness);
    let found = all.iter().find_map(|text| text.strip_prefix(&start));
    found
        .unwrap_or_else(|| panic!("{name} in {all:?}"))
        .parse()
        .unwrap()
}

/// Catches: shares that do not sum to the logit; attention and feed-forward exchanged; heads of another layer; a token that is not the one typed.
#[test]
fn the_shares_of_a_logit_sum_to_it() {
    for token in [None, Some(700)] {
        let mut harness = open(Session {
            token,
            ..stream(StreamPart::Contributions, 10)
        });
        let told = until_said(&mut harness, "=   logit");
        let analysis = harness.state().analysis.clone();
        let id = token.unwrap_or(analysis.next(10, 1)[0].0);
        let logit = analysis.logits(10).unwrap()[id as usize];
        assert!(
            told.contains(&format!("logit {logit:+.3}")[..10]),
            "{told}, {logit}"
        );
        let embedding = told.strip_prefix("embedding ").unwrap();
        let mut sum: f32 = embedding.split_once(' ').unwrap().0.parse().unwrap();
        for layer in 0..6 {
            let name = find(&harness, &format!("attention of layer {layer}"));
            press(&mut harness, &name);
            assert_eq!(harness.state().session.layer, layer);
            let attention = share(&harness, &format!("attention of layer {layer}"));
            let heads: f32 = (0..4)
                .map(|h| share(&harness, &format!("head {h} of layer {layer}")))
                .sum();
            assert!((heads - attention).abs() < 1e-3, "{heads} {attention}");
            sum += attention + share(&harness, &format!("feed-forward of layer {layer}"));
        }
        assert!((sum - logit).abs() < 2e-3, "{sum} {logit}");
        let name = find(&harness, "head 2 of layer 5");
        press(&mut harness, &name);
        assert_eq!(harness.state().session.head, 2);
    }
}

/// The whole of a name that begins so.
fn find(harness: &Harness<Window>, start: &str) -> String {
    let all = said(harness);
    all.into_iter()
        .find(|text| text.starts_with(start))
        .unwrap()
}

/// Catches: NormHead in both columns or in none; columns exchanged.
#[test]
fn norm_head_on_and_off() {
    let mut harness = open(stream(StreamPart::NormHead, 8));
    until_said(&mut harness, "without NormHead");
    let analysis = harness.state().analysis.clone();
    let unembedding = analysis.model.decoder.unembedding();
    let x = analysis.rows(Site::FinalNorm).unwrap();
    let plain = unembedding.weight().apply(x);
    let norms = unembedding.weight().row_norms();
    let normalized = &plain / &norms;
    for logits in [&plain, &normalized] {
        let (id, p) = likeliest(logits.view(), 8, 1)[0];
        let name = format!("{}, {}", analysis.label_of(id), probability(p));
        until(&mut harness, &name, |harness| {
            harness.query_all_by_label(&name).next().is_some()
        });
    }
    assert_ne!(
        likeliest(plain.view(), 8, 1),
        likeliest(normalized.view(), 8, 1)
    );
}

/// Catches: a token counted as often as it occurs.
#[test]
fn each_token_has_one_place() {
    let mut harness = open(stream(StreamPart::Embeddings, 8));
    let ids = harness.state().analysis.tokens.iter().map(|token| token.id);
    let different = ids.collect::<BTreeSet<_>>().len();
    assert_eq!(different, 9); // of 14
    until_said(
        &mut harness,
        &format!("{different} different tokens; the picture shows"),
    );
    until_said(
        &mut harness,
        &format!("The embeddings of {different} tokens"),
    );
}

/// Catches: an index beyond a short text or a shallow model; a control without a name.
#[test]
fn it_survives_whatever_may_come() {
    for part in StreamPart::ALL {
        survives(View::Stream, |session| session.stream = part);
    }
}
