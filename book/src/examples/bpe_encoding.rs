//! A word merged step by step with the small model's vocabulary, and what longest match makes of it.

use crate::numbers::Numbers;
use baichuan2::{
    bpe::{Kind, Tokenizer, Vocabulary, encode_formal, encode_longest_match},
    embedded::EmbeddedModel,
};

/// The numbers of the chapter *Encoding*.
pub(super) fn numbers(n: &mut Numbers) {
    let tokenizer = EmbeddedModel::Rope.tokenizer();
    let vocabulary = tokenizer.vocabulary();

    let text = " other";
    let prepared = tokenizer.prepare(text).text;
    n.text("word", format!("`{prepared}`"));
    let mut ends: Vec<usize> = prepared
        .char_indices()
        .map(|(i, c)| i + c.len_utf8())
        .collect();
    let mut rows = vec![row(vocabulary, &prepared, &ends)];
    let mut merges = 0;
    tokenizer.encode_observed(text, |merge| {
        ends.retain(|&end| end != merge.left.end);
        rows.push(row(vocabulary, &prepared, &ends));
        merges += 1;
    });
    n.text("steps", rows.join("\n"));
    n.text("merges", merges);
    n.text("pieces", spans(&encode_formal(vocabulary, &prepared)));
    n.text(
        "longest",
        spans(&encode_longest_match(vocabulary, &prepared)),
    );
    n.text("ids", list(&tokenizer.encode(text)));
    n.text("longest_ids", list(&tokenizer.encode_longest_match(text)));
    for (name, piece) in [("o", "▁o"), ("th", "th"), ("he", "he")] {
        n.text(
            &format!("rank_{name}"),
            rank(vocabulary, piece).expect("a piece"),
        );
    }

    n.text("forest", both(&tokenizer, " forest"));
    n.text("forever", both(&tokenizer, " forever"));
    n.text("the", both(&tokenizer, "the"));
    n.text("space_the", both(&tokenizer, " the"));
}

/// Symbols, and each pair of neighbours that is a piece with its rank, the best one first to be merged.
fn row(vocabulary: &Vocabulary, text: &str, ends: &[usize]) -> String {
    let starts: Vec<usize> = std::iter::once(0).chain(ends.iter().copied()).collect();
    let symbols: Vec<&str> = starts.windows(2).map(|s| &text[s[0]..s[1]]).collect();
    let pairs = starts.windows(3).zip(symbols.windows(2));
    let mut candidates: Vec<(u32, String)> = pairs
        .filter_map(|(s, pair)| {
            let rank = rank(vocabulary, &text[s[0]..s[2]])?;
            Some((rank, format!("`{}`+`{}` {rank}", pair[0], pair[1])))
        })
        .collect();
    candidates.sort();
    let mut candidates: Vec<String> = candidates.into_iter().map(|(_, text)| text).collect();
    if let Some(best) = candidates.first_mut() {
        *best = format!("**{best}**");
    }
    let candidates = match candidates.is_empty() {
        true => "–".to_owned(),
        false => candidates.join(", "),
    };
    format!("| {} | {candidates} |", spans(&symbols))
}

/// When a piece was learned: minus its score.
fn rank(vocabulary: &Vocabulary, piece: &str) -> Option<u32> {
    let piece = vocabulary.get(vocabulary.id_of(piece)?)?;
    (piece.kind == Kind::Normal).then_some(-piece.score as u32)
}

/// What merging and longest match make of a text: two cells of a table.
fn both(tokenizer: &Tokenizer, text: &str) -> String {
    let longest: Vec<&str> = tokenizer
        .encode_longest_match(text)
        .into_iter()
        .filter_map(|id| tokenizer.vocabulary().get(id))
        .map(|piece| piece.text)
        .collect();
    format!("{} | {}", spans(&tokenizer.pieces(text)), spans(&longest))
}

fn spans(pieces: &[&str]) -> String {
    let spans: Vec<String> = pieces.iter().map(|piece| format!("`{piece}`")).collect();
    spans.join(" ")
}

fn list(ids: &[u32]) -> String {
    ids.iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
