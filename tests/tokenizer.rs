//! The real tokenizers against the numbers of the libraries that ship them.

#[path = "common/reference.rs"]
mod reference;

use baichuan2::bpe::Tokenizer;
use reference::reference;
use serde_json::Value;
use std::path::Path;

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    let ids = value.as_array().unwrap().iter();
    ids.map(|id| id.as_u64().unwrap() as u32).collect()
}

/// Catches: a dummy prefix, a dropped space, unsplit digits, user-defined symbols that merge, a tie taken from the right, and
/// everything else that the SentencePiece library does to these 612 texts and we do not.
#[test]
fn baichuan2_encodes_and_decodes_as_sentencepiece() {
    let (Some(model), Some(encodings)) = (
        reference("tokenizer/baichuan2.tokenizer.model"),
        reference("tokenizer/encodings.json"),
    ) else {
        return;
    };
    let tokenizer = Tokenizer::open(model).unwrap();
    let encodings = json(&encodings);
    let encodings = encodings.as_array().unwrap();
    assert_eq!(encodings.len(), 612);
    for example in encodings {
        let text = example["text"].as_str().unwrap();
        let expected = ids(&example["ids"]);
        assert_eq!(tokenizer.encode(text), expected, "{text:?}");
        assert_eq!(
            tokenizer.pieces(text),
            *example["pieces"].as_array().unwrap()
        );
        assert_eq!(tokenizer.decode(&expected).unwrap(), example["decoded"]);
    }
}
