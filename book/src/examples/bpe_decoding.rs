//! Ids decoded by the page and as shipped, and a stream that waits for the rest of a character.

use crate::numbers::Numbers;
use baichuan2::{
    bpe::{Specials, Tokenizer, byte_piece, decode_formal},
    embedded::EmbeddedModel,
};

/// The numbers of the chapter *Decoding*.
pub(super) fn numbers(n: &mut Numbers) {
    let tokenizer = EmbeddedModel::Rope.tokenizer();
    let text = "the Café";
    n.text("text", text);
    let mut ids = tokenizer.encode(text);
    ids.extend(tokenizer.eos());
    n.text(
        "ids",
        ids.iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    );
    let pieces: Vec<&str> = ids
        .iter()
        .filter_map(|&id| tokenizer.vocabulary().get(id))
        .map(|piece| piece.text)
        .collect();
    n.text("pieces", spans(&pieces));
    n.text("printed", format!("`{}`", decode_formal(&pieces)));
    n.text("shipped", format!("`{}`", decode(&tokenizer, &ids)));
    let bytes = tokenizer.decode_bytes(&ids).expect("ids of the vocabulary");
    let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02X}")).collect();
    n.text("bytes", format!("`{}`", hex.join(" ")));

    let mut stream = tokenizer.stream_decoder(Specials::Skip);
    let rows = tokenizer.encode("é 😀").into_iter().map(|id| {
        let piece = tokenizer.vocabulary().get(id).expect("an id").text;
        let text = stream.push(id).expect("an id");
        let text = match &*text {
            "" => "–".to_owned(),
            " " => "␣".to_owned(),
            text => text.to_owned(),
        };
        format!("| `{piece}` | {text} |")
    });
    n.text("stream", rows.collect::<Vec<_>>().join("\n"));

    let broken = |bytes: &[u8]| {
        let ids = bytes
            .iter()
            .map(|&b| tokenizer.id_of(&byte_piece(b)).expect("a byte"));
        decode(&tokenizer, &ids.collect::<Vec<_>>())
    };
    n.text("half", broken(&"😀".as_bytes()[..3]));
    n.text("half_rust", String::from_utf8_lossy(&"😀".as_bytes()[..3]));
    let mark: Vec<u32> = tokenizer.encode("a▁b");
    n.text("mark", format!("`{}`", decode(&tokenizer, &mark)));
}

fn decode(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    tokenizer.decode(ids).expect("ids of the vocabulary")
}

fn spans(pieces: &[&str]) -> String {
    let spans: Vec<String> = pieces.iter().map(|piece| format!("`{piece}`")).collect();
    spans.join(" ")
}
