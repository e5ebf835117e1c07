//! Characters as bytes, texts as pieces of the small model's vocabulary, and what its ids are spent on.

use crate::numbers::Numbers;
use baichuan2::{
    bpe::{Kind, Tokenizer},
    dtransformer::Config,
    embedded::EmbeddedModel,
};

/// The numbers of the chapter *Text and bytes*.
pub(super) fn numbers(n: &mut Numbers) {
    let tokenizer = EmbeddedModel::Rope.tokenizer();

    let rows = ["a", "é", "龙", "😀"].map(|character| {
        let code = u32::from(character.chars().next().expect("a character"));
        let bytes: Vec<String> = character.bytes().map(|b| format!("{b:02X}")).collect();
        let bytes = bytes.join(" ");
        format!(
            "| {character} | U+{code:04X} | `{bytes}` | {} |",
            spans(&tokenizer, character)
        )
    });
    n.text("characters", rows.join("\n"));
    let point = u32::from('é');
    n.text(
        "e_bits",
        format!("`{:05b}` `{:06b}`", point >> 6, point & 0x3f),
    );
    let bytes = "é".bytes().map(|b| format!("`{b:08b}`"));
    n.text("e_bytes", bytes.collect::<Vec<_>>().join(" "));

    let texts = ["Once upon a time", "从前，有一只小兔子", "Café 2023"];
    let rows = texts.map(|text| {
        let tokens = tokenizer.encode(text).len();
        let (characters, bytes) = (text.chars().count(), text.len());
        let pieces = spans(&tokenizer, text);
        format!("| {text} | {bytes} | {characters} | {tokens} | {pieces} |")
    });
    n.text("lengths", rows.join("\n"));

    for (name, text) in [
        ("boats", "10 boats"),
        ("lake", "lake"),
        ("space_lake", " lake"),
        ("indent", "a    lake"),
        ("line", "a\nb"),
    ] {
        n.text(name, spans(&tokenizer, text));
    }
    let id = |text: &str| tokenizer.id_of(text).expect("a piece");
    n.text("id_space_lake", id("▁lake"));

    let pieces: Vec<(u32, Kind)> = (0..)
        .zip(tokenizer.vocabulary().iter().map(|p| p.kind))
        .collect();
    for (name, wanted) in [
        (
            "symbols",
            (|kind| kind == Kind::UserDefined) as fn(Kind) -> bool,
        ),
        ("bytes", |kind| matches!(kind, Kind::Byte(_))),
        ("normal", |kind| kind == Kind::Normal),
    ] {
        let ids: Vec<u32> = pieces.iter().filter(|p| wanted(p.1)).map(|p| p.0).collect();
        let (first, last) = (ids[0], ids[ids.len() - 1]);
        assert_eq!(
            (last - first) as usize + 1,
            ids.len(),
            "ids of a kind lie together"
        );
        n.text(&format!("{name}_ids"), format!("{first}–{last}"));
        n.text(&format!("{name}_count"), thousands(ids.len()));
    }
    let single = |text: &str| text.chars().nth(1).is_none();
    let normal = tokenizer.vocabulary().iter();
    let normal = normal.filter(|piece| piece.kind == Kind::Normal);
    let (singles, merged): (Vec<_>, Vec<_>) = normal.partition(|piece| single(piece.text));
    n.text("single_count", singles.len());
    n.text("merged_count", merged.len());
    n.text("vocab_size", thousands(tokenizer.vocab_size()));

    let config = Config::baichuan2_7b();
    n.text("real_vocab_size", thousands(config.vocab_size));
    n.text("real_normal_count", thousands(config.vocab_size - 1345));
    let tables = 2 * config.vocab_size * config.hidden_size;
    let parameters = config.parameters();
    let all: usize = parameters
        .iter()
        .map(|p| p.shape.iter().product::<usize>())
        .sum();
    n.text("tables", thousands(tables));
    n.number("tables_share", 100.0 * tables as f64 / all as f64, 1);
}

/// The pieces of a text, each as code.
fn spans(tokenizer: &Tokenizer, text: &str) -> String {
    let pieces = tokenizer.pieces(text);
    let spans: Vec<String> = pieces.iter().map(|piece| format!("`{piece}`")).collect();
    spans.join(" ")
}

/// 125696 as 125,696.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.char_indices() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
