//! The view of the softmax in blocks.

mod shown;

use baichuan2::{
    attention::{attend, attend_in_blocks},
    embedded::EmbeddedModel::{self, Alibi, Rope},
};
use baichuan2_viz::session::{Session, View};
use eframe::egui::accesskit::Role;
use egui_kittest::{Harness, kittest::Queryable};
use ndarray::Array2;
use shown::{Shown, number, picture, session, show, survives, text};

const TEXT: &str = "moon fish tree boat sun cat | moon fish tree boat sun cat";

fn blocks(model: EmbeddedModel, query: usize, size: usize) -> Session {
    let mut session = Session {
        layer: 5,
        head: 1,
        query: Some(query),
        ..session(View::Blocks, model, TEXT)
    };
    session.blocks.size = size;
    session
}

/// The scores of the query over the keys that it sees.
fn scores(harness: &Harness<Shown>) -> Vec<f32> {
    let (analysis, session) = (&harness.state().analysis, &harness.state().session);
    let q = analysis.queries(session.layer, session.head).unwrap();
    let k = analysis.keys(session.layer, session.head).unwrap();
    let bias = analysis.model.decoder.config().bias(session.head, 0);
    let query = session.query.unwrap();
    let scores = attend(q, k, k, &bias).scores;
    scores.row(query).iter().copied().take(query + 1).collect()
}

/// Catches: keys of the future; another bias than the model's; a block too many at the end.
#[test]
fn it_meets_the_keys_that_the_query_sees() {
    for model in [Rope, Alibi] {
        let mut harness = show(blocks(model, 9, 4));
        picture(&harness, "Scores of 10 keys in 3 blocks, 3 of them met");
        harness.state_mut().session.blocks.step = Some(1);
        harness.run();
        let scores = scores(&harness);
        let first = &scores[..4];
        let max = first.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = first.iter().map(|s| (s - max).exp()).sum();
        let told = text(&harness, "The first block: ");
        assert!(
            (number(&told, "m = ") - f64::from(max)).abs() < 1e-3,
            "{told}"
        );
        assert!(
            (number(&told, "ℓ = ") - f64::from(sum)).abs() < 1e-3,
            "{told}"
        );
        picture(&harness, "Weights of 4 of 10 keys");
    }
}

/// Catches: a maximum that moves unseen; a factor turned upside down.
#[test]
fn a_maximum_that_moves_is_told_with_its_factor() {
    // Some query of some head meets its largest score late.
    let (mut moved, mut stayed) = (false, false);
    for query in 3..12 {
        let mut session = blocks(Rope, query, 1);
        session.blocks.step = Some(3);
        let harness = show(session);
        let scores = scores(&harness);
        let max = |n: usize| {
            scores[..n]
                .iter()
                .copied()
                .fold(f32::NEG_INFINITY, f32::max)
        };
        if max(3) > max(2) {
            let told = text(&harness, "m moves from");
            let factor = (max(2) - max(3)).exp();
            assert!(
                (number(&told, "e^(m−m′) = ") - f64::from(factor)).abs() < 1e-3,
                "{told}"
            );
            moved = true;
        } else {
            text(&harness, "m stays at");
            stayed = true;
        }
    }
    assert!(moved && stayed, "another text is needed");
}

/// Catches: an end that is not the end; a difference to itself; blocks that lose a key.
#[test]
fn in_the_end_it_is_attention_at_once() {
    for size in [1, 3, 5, 12] {
        let mut harness = show(blocks(Rope, 11, size));
        let told = text(&harness, "All keys are met");
        let difference = number(&told, "at once by ");
        let analysis = harness.state().analysis.clone();
        let (q, k, v) = (
            analysis.queries(5, 1).unwrap(),
            analysis.keys(5, 1).unwrap(),
            analysis.values(5, 1).unwrap(),
        );
        let bias = analysis.model.decoder.config().bias(1, 0);
        let whole = attend(q, k, v, &bias).output;
        let mut blocks = Array2::zeros(whole.dim());
        attend_in_blocks(q, k, v, &bias, size, blocks.view_mut());
        let largest = (&whole - &blocks)
            .row(11)
            .iter()
            .fold(0_f32, |m, x| m.max(x.abs()));
        assert!(difference < 1e-5 && largest < 1e-5, "{told}");
        // The value of the whole pass is that of this head.
        let site = baichuan2::probe::Site::Layer(5, baichuan2::probe::LayerSite::AttnConcat);
        let concat = analysis.rows(site).unwrap();
        let width = whole.ncols();
        let seen = concat.slice(ndarray::s![11, width..2 * width]);
        assert!((&whole.row(11) - &seen).iter().all(|x| x.abs() < 1e-5));
        if size < 12 {
            harness.get_by_label("One step back").click();
            harness.run();
            let told = text(&harness, "So far o/ℓ differs");
            assert!(
                number(&told, "at once by ") > 10.0 * difference.max(1e-7),
                "{told}"
            );
        }
    }
}

/// Catches: rows of the table that lead elsewhere; numbers of another block.
#[test]
fn a_row_of_the_table_is_gone_to() {
    let mut harness = show(blocks(Rope, 9, 4));
    harness.get_by_label("After block 2").click();
    harness.run();
    assert_eq!(harness.state().session.blocks.step, Some(2));
    picture(&harness, "Weights of 8 of 10 keys");
    harness.get_by_label("After block 0").click();
    harness.run();
    harness.get_by_label("Nothing is met yet: m = −∞, ℓ = 0, o = 0.");
    picture(&harness, "Weights of 0 of 10 keys");
    harness.get_by_label("4–7");
}

/// Catches: blocks of another size than the slider's.
#[test]
fn the_size_of_a_block_is_chosen() {
    let mut harness = show(blocks(Rope, 9, 4));
    harness
        .get_by_role_and_label(Role::Slider, "Keys in a block")
        .set_value_accesskit(2.0);
    harness.run();
    assert_eq!(harness.state().session.blocks.size, 2);
    picture(&harness, "in 5 blocks");
    harness.get_by_label("Query").set_value_accesskit(3.0);
    harness.run();
    picture(&harness, "Scores of 4 keys in 2 blocks");
}

/// Catches: a panic on a short or long text, or on what an older session says.
#[test]
fn it_survives() {
    survives(View::Blocks);
}
