//! The view of the pieces.

mod shown;

use baichuan2::{bpe::Merge, embedded::EmbeddedModel::Rope};
use baichuan2_viz::session::{Session, View};
use eframe::egui::accesskit::Role;
use egui_kittest::{Harness, Node, kittest::Queryable};
use shown::{Shown, picture, session, show, survives, text};

/// A character that the embedded vocabulary has no piece for.
const RARE: char = '癌';

fn tokens(text: &str) -> Session {
    session(View::Tokens, Rope, text)
}

fn field<'h>(harness: &'h Harness<Shown>) -> Node<'h> {
    harness.get_by_label_contains("Ids, with blanks")
}

fn type_ids(harness: &mut Harness<Shown>, ids: &str) {
    field(harness).set_text_value_accesskit(ids);
    harness.run();
}

/// Catches: a piece that is not shown, or under another number; a click that chooses nothing, or cannot be taken back.
#[test]
fn every_token_is_a_piece_that_can_be_chosen() {
    let mut harness = show(tokens("Once upon a time"));
    let labels = harness.state().analysis.labels();
    assert!(labels.len() > 2);
    for (i, label) in labels.iter().enumerate() {
        harness.get_by_label(&format!("Token {i}: {label}"));
    }
    let second = format!("Token 1: {}", labels[1]);
    harness.get_by_label(&second).click();
    harness.run();
    assert_eq!(harness.state().session.query, Some(1));
    harness.get_by_label(&second).click();
    harness.run();
    assert_eq!(harness.state().session.query, None);
}

/// Catches: counts of characters for bytes; tokens that are counted without those left out.
#[test]
fn counts_are_of_the_whole_text() {
    let mut session = tokens("猫 and moon");
    session.wanted.most_tokens = 2;
    let harness = show(session);
    let ids = harness
        .state()
        .analysis
        .model
        .tokenizer
        .encode("猫 and moon");
    let n = ids.len();
    let per = |x: f64| format!("{:.2}", x / n as f64);
    harness.get_by_label(&format!(
        "{n} tokens · 10 characters ({} a token) · 12 bytes ({} a token)",
        per(10.0),
        per(12.0)
    ));
}

/// Catches: a byte that says nothing of its character, or counts from 0; ids that are not those of the pieces.
#[test]
fn a_split_character_says_which_byte_of_it_a_piece_is() {
    let mut harness = show(tokens(&format!("a {RARE}")));
    let labels = harness.state().analysis.labels();
    let bytes: Vec<usize> = (0..labels.len())
        .filter(|&i| labels[i].starts_with("<0x"))
        .collect();
    assert_eq!(bytes.len(), 3, "{labels:?}");
    let second = format!("Token {}: {}", bytes[1], labels[bytes[1]]);
    harness.get_by_label(&second).hover();
    harness.run();
    harness.get_by_label(&format!("byte 2 of 3 of {RARE} (E7 99 8C)"));
    let id = harness.state().analysis.tokens[bytes[1]].id.to_string();
    assert!(harness.query_all_by_label(&id).next().is_some(), "{id}");
}

/// Catches: an empty box for a character that no font has.
#[test]
fn a_character_without_a_glyph_is_named() {
    let mut harness = show(tokens(&shown::RARE.to_string()));
    harness.get_by_label("Token 0: <0xE9>").hover();
    harness.run();
    harness.get_by_label("byte 1 of 3 of U+9F98 (E9 BE 98)");
}

/// Catches: a rank or a score of another piece; a rank where nothing was merged.
#[test]
fn hovering_tells_the_score_and_the_rank_of_the_merge() {
    let mut harness = show(tokens("moon"));
    let analysis = harness.state().analysis.clone();
    let mut merges: Vec<Merge> = Vec::new();
    let tokenizer = &analysis.model.tokenizer;
    tokenizer.encode_observed("moon", |merge| merges.push(merge));
    // It is cut into `m` and `oon`.
    let token = &analysis.tokens[1];
    let rank = merges.iter().find(|m| m.id == token.id).unwrap().rank;
    let [first, second] = [0, 1].map(|i| format!("Token {i}: {}", analysis.tokens[i].label));
    harness.get_by_label(&first).hover();
    harness.run();
    harness.get_by_label("made by no merge");
    harness.get_by_label(&second).hover();
    harness.run();
    let score = tokenizer.vocabulary().get(token.id).unwrap().score;
    harness.get_by_label(&score.to_string());
    harness.get_by_label(&format!(
        "made by the merge of rank {rank}; 0 is merged first"
    ));
}

/// Catches: ids that are only shown; a text that is not theirs; separators that are not taken.
#[test]
fn ids_become_text() {
    let mut harness = show(tokens("Once upon"));
    let encode = |harness: &Harness<Shown>, text: &str| {
        harness.state().analysis.model.tokenizer.encode(text)
    };
    let joined = |ids: &[u32], with: &str| {
        let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
        ids.join(with)
    };
    let now = joined(&encode(&harness, "Once upon"), " ");
    assert_eq!(field(&harness).value(), Some(now));
    let other = encode(&harness, "a cat by the sea");
    for with in [" ", ",", ", ", "\n"] {
        harness.state_mut().session.wanted.text = "Once upon".into();
        harness.run();
        type_ids(&mut harness, &joined(&other, with));
        assert_eq!(harness.state().session.wanted.text, "a cat by the sea");
        assert_eq!(harness.state().analysis.tokens.len(), other.len());
        // What was typed stays as it was typed.
        assert_eq!(field(&harness).value(), Some(joined(&other, with)));
    }
    // A text that comes from elsewhere has its own ids.
    harness.state_mut().session.wanted.text = "moon".into();
    harness.run();
    let moon = joined(&encode(&harness, "moon"), " ");
    assert_eq!(field(&harness).value(), Some(moon));
}

/// Catches: a message that is not there, a text that is lost with a wrong id, a field that is cleaned up while someone types.
#[test]
fn wrong_ids_are_named_and_kept() {
    let mut harness = show(tokens("Once upon"));
    let last = harness.state().analysis.model.tokenizer.vocab_size() - 1;
    let beyond = last + 1;
    for (ids, message) in [
        ("12 cat 3".to_owned(), "“cat” is not an id.".to_owned()),
        ("-1".into(), "“-1” is not an id.".into()),
        (
            beyond.to_string(),
            format!("There is no piece {beyond}: the vocabulary ends at {last}."),
        ),
        (
            " , ".into(),
            "These ids print nothing, so the text stays as it is.".into(),
        ),
    ] {
        type_ids(&mut harness, &ids);
        harness.get_by_label(&message);
        assert_eq!(field(&harness).value(), Some(ids));
        assert_eq!(harness.state().session.wanted.text, "Once upon");
    }
}

/// Catches: the silent claim that the ids which were typed are those that are read.
#[test]
fn ids_that_the_text_would_not_have_are_told() {
    let mut harness = show(tokens("moon"));
    let tokenizer = &harness.state().analysis.model.tokenizer;
    let letters: Vec<String> = ["m", "o", "o", "n"]
        .iter()
        .map(|piece| tokenizer.id_of(piece).unwrap().to_string())
        .collect();
    let whole = tokenizer.encode("moon").len();
    assert!(whole < 4);
    type_ids(&mut harness, &letters.join(" "));
    text(
        &harness,
        &format!("cut otherwise when it is read, into {whole} tokens"),
    );
}

/// Catches: merges out of order, a step too many or too few, a tree that is not drawn to the end.
#[test]
fn merges_are_replayed_in_order() {
    const TEXT: &str = "moon tree";
    let mut harness = show(tokens(TEXT));
    let mut merges: Vec<Merge> = Vec::new();
    let tokenizer = &harness.state().analysis.model.tokenizer;
    tokenizer.encode_observed(TEXT, |merge| merges.push(merge));
    let pieces = tokenizer.pieces(TEXT).join(" ");
    let n = merges.len();
    assert!(n > 3);
    // All are done at first.
    let all = picture(&harness, "Merge ");
    assert!(all.starts_with(&format!("Merge {n} of {n}: ")), "{all}");
    assert!(all.ends_with(&format!("Symbols: {pieces}")), "{all}");
    harness.get_by_label("One step back").click();
    harness.run();
    assert_eq!(harness.state().session.pieces.step, Some(n - 1));
    harness.state_mut().session.pieces.step = Some(0);
    harness.run();
    picture(&harness, "Symbols: m o o n ▁ t r e e");
    for (i, merge) in merges.iter().enumerate() {
        harness.get_by_label("One step on").click();
        harness.run();
        let seen = picture(&harness, "Merge ");
        let wanted = format!("rank {}, id {}.", merge.rank, merge.id);
        assert!(
            seen.starts_with(&format!("Merge {} of {n}: ", i + 1)),
            "{seen}"
        );
        assert!(seen.contains(&wanted), "{seen} has no {wanted}");
    }
    assert_eq!(harness.state().session.pieces.step, None);
}

/// Catches: a list whose rows lead elsewhere.
#[test]
fn a_merge_of_the_list_is_gone_to() {
    let mut harness = show(tokens("moon tree"));
    let row = text(&harness, "  2  ");
    harness.get_by_label(&row).click();
    harness.run();
    assert_eq!(harness.state().session.pieces.step, Some(2));
    picture(&harness, "Merge 2 of ");
}

/// Catches: a part that has the merges of its neighbours, or a step that outlives its part.
#[test]
fn a_part_of_the_text_is_looked_at_alone() {
    let mut harness = show(tokens("moon tree boat"));
    harness.state_mut().session.pieces.step = Some(1);
    harness.run();
    harness.get_by_label("Part of the text").click();
    harness.run();
    harness.get_by_role_and_label(Role::Button, "▁tree").click();
    harness.run();
    assert_eq!(harness.state().session.pieces.step, None);
    let alone = picture(&harness, "Merge ");
    assert!(alone.ends_with("Symbols: ▁tree"), "{alone}");
}

/// Catches: a player that does not move, or does not stop at the end.
#[test]
fn it_plays_to_the_end() {
    let mut harness = show(tokens("moon tree"));
    harness.get_by_label("Play").click();
    harness.run_steps(4);
    let step = harness.state().session.pieces.step;
    assert!(step.is_some_and(|step| step > 0), "{step:?}");
    harness.run_steps(60);
    assert_eq!(harness.state().session.pieces.step, None);
    harness.get_by_label("Play");
}

/// Catches: differences that are counted where there are none, or missed after the first.
#[test]
fn longest_match_is_compared_piece_by_piece() {
    let harness = show(tokens("a"));
    harness.get_by_label("The same pieces, for this text.");
    let tokenizer = &harness.state().analysis.model.tokenizer;
    let words =
        "There sat three seals, another friend, something together; whether everyone understands";
    let cut = |ids: &[u32]| -> Vec<[usize; 2]> {
        let mut end = 0;
        let cut = ids.iter().map(|&id| {
            let start = end;
            end += tokenizer.piece_bytes(id).unwrap().len();
            [start, end]
        });
        cut.collect()
    };
    let (ours, longest) = (
        tokenizer.encode(words),
        tokenizer.encode_longest_match(words),
    );
    let ours_cut = cut(&ours);
    let others = cut(&longest)
        .iter()
        .filter(|cut| !ours_cut.contains(cut))
        .count();
    assert!(others > 0, "another text is needed");
    let (n, m) = (longest.len(), ours.len());
    let harness = show(tokens(words));
    harness.get_by_label(&format!(
        "{others} of its {n} pieces are others (framed); merging made {m}."
    ));
    let marked = harness.query_all_by_label_contains("which merging does not make");
    assert_eq!(marked.count(), others);
}

/// Catches: a panic on a short, long or strange text, or on what an older session says.
#[test]
fn it_survives() {
    survives(View::Tokens);
}
