//! The view of two side by side.

mod window;

use baichuan2::{
    attention::attend,
    embedded::EmbeddedModel::{Alibi, Rope},
    picture::hide_future,
    probe::Head,
};
use baichuan2_viz::{
    analysis::Analysis,
    model::Source,
    session::{Session, View, Wanted},
    views::likely::probability,
};
use ndarray::Array2;
use window::{COPY, analyse, open, press, said, session, survives, until_said};

/// Rope with a text, and what `other` makes of the same.
fn compare(other: impl FnOnce(&mut Wanted)) -> Session {
    let mut session = Session {
        layer: 4,
        head: 1,
        second_text: true,
        ..session(View::Compare, Rope, COPY)
    };
    let mut second = session.wanted.clone();
    other(&mut second);
    session.second = Some(second);
    session
}

fn weights(analysis: &Analysis, layer: usize, head: usize) -> Array2<f32> {
    let (q, k) = (
        analysis.queries(layer, head).unwrap(),
        analysis.keys(layer, head).unwrap(),
    );
    let bias = analysis.model.decoder.config().bias(head, 0);
    hide_future(attend(q, k, k, &bias).weights.view())
}

/// Catches: the first minus the second; a range that is not of the map; another head's map; numbers of another cell.
#[test]
fn the_difference_is_the_second_minus_the_first() {
    for other in [
        |second: &mut Wanted| second.model = Source::Embedded(Alibi),
        |second: &mut Wanted| {
            let off = (0..4).flat_map(|layer| (0..4).map(move |head| Head { layer, head }));
            second.switched_off = off.collect();
        },
    ] {
        let mut session = compare(other);
        (session.query, session.key) = (Some(9), Some(3));
        let [first, second] = [&session.wanted, session.second.as_ref().unwrap()].map(analyse);
        let difference = weights(&second, 4, 1) - weights(&first, 4, 1);
        let seen = difference.iter().copied().filter(|d| !d.is_nan());
        let (least, most) = seen.fold((0.0_f32, 0.0_f32), |(a, b), d| (a.min(d), b.max(d)));
        assert!(least < 0.0 && most > 0.0);
        let mut harness = open(session);
        until_said(&mut harness, "Difference of attention, layer 4, head 1");
        let range = until_said(&mut harness, "from ");
        let numbers: Vec<f32> = range
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        assert_eq!(numbers.len(), 2, "{range}");
        assert!((numbers[0] - least).abs() < 1e-5, "{range}: {least}");
        assert!((numbers[1] - most).abs() < 1e-5, "{range}: {most}");
        // The chosen cell's numbers stand below.
        for expected in [
            format!("{:.4}", weights(&first, 4, 1)[[9, 3]]),
            format!("{:.4}", weights(&second, 4, 1)[[9, 3]]),
            format!("{:+.4}", difference[[9, 3]]),
        ] {
            let close = |text: &String| {
                let shown = text.parse::<f32>().ok();
                shown.is_some_and(|shown| (shown - expected.parse::<f32>().unwrap()).abs() < 1e-4)
            };
            assert!(
                said(&harness).iter().any(close),
                "{expected}: {:?}",
                said(&harness)
            );
        }
    }
}

/// Catches: both sides from one analysis.
#[test]
fn each_says_its_own_next_tokens() {
    let session = compare(|second| second.model = Source::Embedded(Alibi));
    let both = [&session.wanted, session.second.as_ref().unwrap()].map(analyse);
    let mut harness = open(session);
    for analysis in both {
        for (id, p) in analysis.next(analysis.tokens.len() - 1, 5) {
            let name = format!("{}, {}", analysis.label_of(id), probability(p));
            until_said(&mut harness, &name);
        }
    }
    until_said(&mut harness, "First: attention, layer 4, head 1");
    until_said(&mut harness, "Second: attention, layer 4, head 1");
}

/// Catches: a difference of cells that do not belong together; silence where there is none.
#[test]
fn it_says_why_there_is_no_difference() {
    let mut harness = open(compare(|second| second.text = "moon fish".into()));
    until_said(&mut harness, "the two do not have the same tokens");
    let mut harness = open(compare(|second| second.text.clear()));
    until_said(&mut harness, "Its text is empty.");
    let mut harness = open(compare(|_| {}));
    until_said(&mut harness, "The two maps are the same.");
    // ALiBi has six heads a layer, RoPE four.
    let mut session = compare(|second| second.model = Source::Embedded(Rope));
    session.wanted.model = Source::Embedded(Alibi);
    session.head = 5;
    let mut harness = open(session);
    until_said(&mut harness, "not both have a layer 4 with a head 5");
    until_said(
        &mut harness,
        "This model has no layer 4 with a head 5: it has 6 layers of 4 heads.",
    );
}

/// Catches: only half of a swap.
#[test]
fn swapped_the_first_is_the_second() {
    let session = compare(|second| second.model = Source::Embedded(Alibi));
    let (first, second) = (session.wanted.clone(), session.second.clone().unwrap());
    let mut harness = open(session);
    press(&mut harness, "Swap");
    let session = &harness.state().session;
    assert_eq!(session.wanted, second);
    assert_eq!(session.second.as_ref(), Some(&first));
}

/// Catches: a head that is switched off in the first, or in both.
#[test]
fn a_head_is_switched_off_in_the_second() {
    let mut harness = open(compare(|_| {}));
    press(&mut harness, "on in the second");
    let session = &harness.state().session;
    let off = &session.second.as_ref().unwrap().switched_off;
    assert!(off.contains(&Head { layer: 4, head: 1 }));
    assert!(session.wanted.switched_off.is_empty());
}

/// Catches: a text of its own that follows the first's, or another that does not.
#[test]
fn the_text_follows_unless_it_is_its_own() {
    let mut harness = open(compare(|second| second.text = "moon fish".into()));
    let text = |harness: &egui_kittest::Harness<window::Window>| {
        harness
            .state()
            .session
            .second
            .as_ref()
            .unwrap()
            .text
            .clone()
    };
    assert_eq!(text(&harness), "moon fish");
    press(&mut harness, "a text of its own");
    assert_eq!(text(&harness), COPY);
}

/// Catches: an index beyond the smaller of two; a control without a name.
#[test]
fn it_survives_whatever_may_come() {
    survives(View::Compare, |session| {
        session.second = Some(Wanted {
            model: Source::Embedded(Alibi),
            ..session.wanted.clone()
        });
    });
    survives(View::Compare, |_| {});
}
