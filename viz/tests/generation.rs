//! The view of a text that goes on.

mod window;

use baichuan2::{
    embedded::EmbeddedModel::Rope,
    generation::{Event, Options, Sampling, Stage},
    probe::{Head, Without},
};
use baichuan2_viz::{
    analysis::Analysis,
    generator::Settings,
    session::{Session, View},
    views::likely::probability,
};
use egui_kittest::{Harness, kittest::Queryable};
use std::ops::ControlFlow;
use window::{COPY, Window, open, press, said, session, survives, until, until_said};

const STORY: &str = "Once upon a time, a little girl named Lily lived by the sea. One day,";

fn settings() -> Settings {
    Settings {
        most: 12,
        pace: 1e6,
        ..Settings::default()
    }
}

fn generation(text: &str, generation: Settings) -> Session {
    Session {
        generation,
        ..session(View::Generation, Rope, text)
    }
}

/// What the library generates.
fn expected(analysis: &Analysis, settings: &Settings) -> Vec<u32> {
    let prompt: Vec<u32> = analysis.tokens.iter().map(|t| t.id).collect();
    let options = Options {
        sampling: settings.sampling(),
        seed: settings.seed,
        max_new_tokens: settings.most,
        stop: analysis.model.tokenizer.eos().into_iter().collect(),
    };
    let mut ids = Vec::new();
    baichuan2::generation::Session::new(&analysis.model.decoder, 256)
        .generate(&prompt, &options, &mut |event| {
            if let Event::Token(id) = event {
                ids.push(id);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    ids
}

/// The labels of the new tokens on screen.
fn new_tokens(harness: &Harness<Window>) -> Vec<String> {
    let all = said(harness);
    let mut found = Vec::new();
    for i in 1.. {
        let start = format!("new token {i}: ");
        match all.iter().find_map(|text| text.strip_prefix(&start)) {
            Some(label) => found.push(label.to_owned()),
            None => break,
        }
    }
    found
}

fn labels(analysis: &Analysis, ids: &[u32]) -> Vec<String> {
    ids.iter().map(|&id| analysis.label_of(id)).collect()
}

/// Catches: a seed that is used anew for each token; steps that draw otherwise than play; a text other than the command's.
#[test]
fn it_writes_what_the_command_writes() {
    let sampled = Settings {
        temperature: 1.2,
        top_k: 40,
        top_p: 0.98,
        seed: 3,
        ..settings()
    };
    let greedy = Settings {
        greedy: true,
        ..settings()
    };
    for settings in [sampled, greedy] {
        let mut harness = open(generation(STORY, settings.clone()));
        let analysis = harness.state().analysis.clone();
        let expected = labels(&analysis, &expected(&analysis, &settings));
        assert!(expected.len() > 3, "a text to compare: {expected:?}");
        press(&mut harness, "▶ Play");
        until(&mut harness, "all tokens", |h| new_tokens(h) == expected);
        press(&mut harness, "From the start");
        assert_eq!(new_tokens(&harness), Vec::<String>::new());
        for n in 1..=3 {
            until(&mut harness, "a step can be made", |h| {
                h.query_by_label_contains("What the next token").is_some()
                    && h.query_by_label_contains("the model's own").is_some()
            });
            press(&mut harness, "One token");
            until(&mut harness, "a step", |h| new_tokens(h) == expected[..n]);
        }
    }
}

/// Catches: stages in another order than their headings; a token that is taken out shown as if it were not; another text's penalty.
#[test]
fn the_table_has_what_each_filter_leaves() {
    let settings = Settings {
        repetition_penalty: 1.3,
        temperature: 0.7,
        top_k: 6,
        top_p: 0.6,
        ..settings()
    };
    let mut harness = open(generation(STORY, settings.clone()));
    let analysis = harness.state().analysis.clone();
    let text: Vec<u32> = analysis.tokens.iter().map(|t| t.id).collect();
    let logits = analysis.logits(text.len() - 1).unwrap();
    let stages = settings.sampling().stages(logits.view(), &text);
    for (id, _) in analysis.next(text.len() - 1, 12) {
        let number =
            |(stage, after): &(Stage, ndarray::Array1<f32>)| match (stage, after[id as usize]) {
                (Stage::TopK | Stage::TopP, 0.0) => "taken out".to_owned(),
                (_, p) => probability(p),
            };
        let numbers: Vec<String> = stages.iter().map(number).collect();
        let name = format!("{}: {}", analysis.label_of(id), numbers.join(", "));
        assert!(
            harness.query_by_label(&name).is_some(),
            "{name}: {:?}",
            said(&harness)
        );
    }
    until_said(&mut harness, "the model's own: 1536 left");
    until_said(&mut harness, "top-k 6: 6 left");
    // A change of a parameter is seen at once, and the likeliest token has no use for it.
    harness.state_mut().session.generation.greedy = true;
    until(&mut harness, "two stages", |h| {
        h.query_by_label_contains("top-k 6").is_none()
    });
}

/// The row of the `n`th alternative.
fn alternative(harness: &Harness<Window>, label: &str) -> String {
    let start = format!("{label}: ");
    said(harness)
        .into_iter()
        .find(|text| text.starts_with(&start) && text.contains(", "))
        .unwrap_or_else(|| panic!("{label}: {:?}", said(harness)))
}

/// Catches: an alternative that is added behind the token that it replaces; tokens after it that stay; a next distribution of the old text.
#[test]
fn an_alternative_is_taken_and_gone_on_from() {
    let mut harness = open(generation(STORY, settings()));
    press(&mut harness, "▶ Play");
    until_said(&mut harness, "new token 12:");
    until_said(&mut harness, "as many as were asked for");
    let before = new_tokens(&harness);
    press(&mut harness, &format!("new token 3: {}", before[2]));
    until_said(&mut harness, "What new token 3 was chosen from");
    let analysis = harness.state().analysis.clone();
    // What stood before new token 3, and what could have come there.
    let mut text: Vec<u32> = analysis.tokens.iter().map(|t| t.id).collect();
    text.extend(&expected(&analysis, &settings())[..2]);
    let next_of = |text: &[u32]| {
        let decoder = &analysis.model.decoder;
        let logits = decoder.forward_last(text, &mut decoder.new_cache(), None);
        let logits = logits.unwrap().insert_axis(ndarray::Axis(0));
        baichuan2_viz::analysis::likeliest(logits.view(), 0, 12)
    };
    let other = next_of(&text)
        .into_iter()
        .find(|(id, _)| analysis.label_of(*id) != before[2])
        .unwrap();
    let row = alternative(&harness, &analysis.label_of(other.0));
    assert!(row.contains(&probability(other.1)), "{row}: {}", other.1);
    press(&mut harness, &row);
    let taken = [&before[..2], &[analysis.label_of(other.0)]].concat();
    until(&mut harness, "the alternative", |h| new_tokens(h) == taken);
    text.push(other.0);
    until_said(&mut harness, "What the next token is chosen from");
    let (id, p) = next_of(&text)[0];
    let row = alternative(&harness, &analysis.label_of(id));
    assert!(row.contains(&probability(p)), "{row}: {p}");
}

/// Catches: a text without the new tokens; the first space lost.
#[test]
fn the_whole_becomes_the_text() {
    let mut harness = open(generation(STORY, settings()));
    press(&mut harness, "▶ Play");
    until_said(&mut harness, "as many as were asked for");
    let analysis = harness.state().analysis.clone();
    let added = expected(&analysis, &settings());
    press(&mut harness, "Use as text");
    let state = harness.state();
    assert!(state.session.wanted.text.starts_with(STORY));
    let ids: Vec<u32> = state.analysis.tokens.iter().map(|t| t.id).collect();
    let whole: Vec<u32> = analysis.tokens.iter().map(|t| t.id).chain(added).collect();
    let decode = |ids: &[u32]| analysis.model.tokenizer.decode(ids).unwrap();
    assert_eq!(decode(&ids), decode(&whole));
    assert_eq!(new_tokens(&harness), Vec::<String>::new());
}

/// Catches: a text that goes on although it was stopped; a stop that forgets what is written, or that cannot be gone on from.
#[test]
fn it_is_stopped_and_goes_on() {
    let slow = Settings {
        greedy: true,
        most: 200,
        pace: 20.0,
        ..settings()
    };
    let mut harness = open(generation(STORY, slow.clone()));
    let analysis = harness.state().analysis.clone();
    let expected = labels(&analysis, &expected(&analysis, &slow));
    press(&mut harness, "▶ Play");
    until(&mut harness, "some tokens", |h| new_tokens(h).len() >= 2);
    press(&mut harness, "■ Stop");
    until(&mut harness, "a way to go on", |h| {
        h.query_by_label("▶ Play").is_some()
    });
    for _ in 0..10 {
        harness.step();
    }
    let written = new_tokens(&harness);
    std::thread::sleep(std::time::Duration::from_millis(300));
    harness.step();
    harness.step();
    assert_eq!(new_tokens(&harness), written);
    assert!(written.len() >= 2 && expected.starts_with(&written));
    press(&mut harness, "▶ Play");
    until(&mut harness, "more tokens", |h| {
        new_tokens(h).len() > written.len()
    });
    assert!(expected.starts_with(&new_tokens(&harness)));
}

/// Catches: a text that goes on behind its end; an end without a word.
#[test]
fn it_ends_and_says_why() {
    let greedy = Settings {
        greedy: true,
        ..settings()
    };
    // After a copy or two the model ends the text.
    let mut harness = open(generation(COPY, greedy.clone()));
    press(&mut harness, "▶ Play");
    until_said(&mut harness, "The model ended the text with </s>.");
    assert!(new_tokens(&harness).iter().all(|token| token != "</s>"));

    let long = "the cat and the dog ".repeat(80);
    let mut harness = open(generation(&long, greedy));
    assert!(harness.state().analysis.tokens.len() > 256);
    press(&mut harness, "One token");
    until_said(
        &mut harness,
        "The context is full: the model has learned from 256 tokens at a time.",
    );
    // What went wrong does not end the view.
    harness.check_accessibility();
}

/// Catches: heads that are on again once the text goes on.
#[test]
fn heads_that_are_off_stay_off() {
    let mut session = generation(
        COPY,
        Settings {
            greedy: true,
            repetition_penalty: 1.0,
            ..settings()
        },
    );
    session.wanted.text = "moon fish tree boat sun cat | moon fish".into();
    let off: Vec<Head> = (1..6)
        .flat_map(|layer| (0..4).map(move |head| Head { layer, head }))
        .collect();
    session.wanted.switched_off = off.iter().copied().collect();
    let mut harness = open(session);
    let analysis = harness.state().analysis.clone();
    let decoder = &analysis.model.decoder;
    let mut text: Vec<u32> = analysis.tokens.iter().map(|t| t.id).collect();
    let sampling = Sampling::greedy();
    let mut expected = Vec::new();
    for _ in 0..3 {
        let mut without = Without::new(off.iter().copied(), 6, 4).unwrap();
        let logits = decoder.forward_last(&text, &mut decoder.new_cache(), Some(&mut without));
        let id = sampling.likeliest(logits.unwrap().view_mut(), &text);
        text.push(id);
        expected.push(analysis.label_of(id));
    }
    for n in 1..=3 {
        press(&mut harness, "One token");
        until(&mut harness, "a step", |h| new_tokens(h) == expected[..n]);
        until_said(&mut harness, "What the next token is chosen from");
    }
}

/// Catches: an index beyond a short text; a control without a name; a parameter that no sampler takes.
#[test]
fn it_survives_whatever_may_come() {
    survives(View::Generation, |session| {
        session.generation = Settings {
            temperature: 0.0,
            top_p: 7.0,
            top_k: usize::MAX,
            repetition_penalty: -1.0,
            most: 0,
            pace: -3.0,
            ..Settings::default()
        };
    });
}
