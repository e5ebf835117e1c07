//! Three merges of a short text, and the first ones that the small model's vocabulary learned.

use crate::numbers::Numbers;
use baichuan2::{
    bpe::{Kind, Vocabulary, encode_formal, learn_merges, train_formal},
    embedded::EmbeddedModel,
};

/// The numbers of the chapter *Learning a vocabulary*.
pub(super) fn numbers(n: &mut Numbers) {
    let text = "aaabdaaabac";
    n.text("text", format!("`{text}`"));
    let learned: Vec<(String, u64)> = train_formal(text, 3)
        .into_iter()
        .filter(|(piece, _)| piece.len() > 1)
        .collect();

    // The text after so many merges is what encoding with those merges makes of it.
    let rows = (0..=learned.len()).map(|merges| {
        let symbols = symbols(text, &learned[..merges]);
        let merge = match merges {
            0 => "–".to_owned(),
            _ => format!("`{}`", learned[merges - 1].0),
        };
        let count = match merges {
            0 => "–".to_owned(),
            _ => learned[merges - 1].1.to_string(),
        };
        let spans: Vec<String> = symbols.iter().map(|s| format!("`{s}`")).collect();
        format!(
            "| {merges} | {merge} | {count} | {} | {} |",
            spans.join(" "),
            symbols.len()
        )
    });
    n.text("merges", rows.collect::<Vec<_>>().join("\n"));

    let pairs = ["aa", "ab", "bd", "da", "ba", "ac"];
    let counts = pairs.map(|pair| format!("`{pair}` {}", count(text, pair, 1)));
    n.text("pairs", counts.join(", "));
    n.text("aa", count(text, "aa", 1));
    n.text(
        "overlapping",
        text.as_bytes()
            .windows(2)
            .filter(|pair| pair == b"aa")
            .count(),
    );

    let across = "the end, some more, one made the case";
    n.text("across_text", across);
    let (piece, count) = train_formal(across, 1).pop().expect("a piece");
    n.text("across_piece", format!("`{}`", piece.replace(' ', "▁")));
    n.text("across_count", count);
    let words = across.split_inclusive(' ').map(|word| (word.trim_end(), 1));
    let learned = learn_merges(words, 1, |_| true, |_| ()).expect("a short text");
    n.text("inside_piece", format!("`{}`", learned[0].piece()));
    n.text("inside_count", learned[0].count);

    let tokenizer = EmbeddedModel::Rope.tokenizer();
    let by_rank = |rank: usize| {
        let mut pieces = tokenizer.vocabulary().iter();
        let piece = pieces.find(|p| p.kind == Kind::Normal && p.score == -(rank as f32));
        format!("`{}`", piece.expect("a merge").text)
    };
    let first: Vec<String> = (0..12).map(by_rank).collect();
    n.text("first", first.join(" "));
    let tree: Vec<&str> = tokenizer
        .vocabulary()
        .iter()
        .filter(|p| {
            p.kind == Kind::Normal && p.text.chars().count() > 3 && "elephant".ends_with(p.text)
        })
        .map(|p| p.text)
        .collect();
    n.text(
        "ladder",
        tree.iter()
            .map(|p| format!("`{p}`"))
            .collect::<Vec<_>>()
            .join(", "),
    );
}

/// A text after the merges of `learned`.
fn symbols<'t>(text: &'t str, learned: &[(String, u64)]) -> Vec<&'t str> {
    let mut vocabulary = Vocabulary::default();
    for (rank, (piece, _)) in learned.iter().enumerate() {
        let new = vocabulary.push(piece, -(rank as f32), Kind::Normal);
        new.expect("each piece is learned once");
    }
    encode_formal(&vocabulary, text)
}

/// How often a pair would be replaced in the text.
fn count(text: &str, pair: &str, frequency: u64) -> u64 {
    let learned = learn_merges([(text, frequency)], 1, |piece| piece == pair, |_| ());
    learned.expect("a short text")[0].count
}
