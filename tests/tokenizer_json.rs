//! What a `tokenizer.json` may ask for, and what is refused.

use baichuan2::bpe::{Tokenizer, TokenizerError, TrainingOptions};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A byte-level file whose vocabulary is the letters `a`, `b` and the space, with one merge and one special piece.
fn file() -> Value {
    let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [{ "id": 4, "content": "<|end|>", "single_word": false, "lstrip": false, "rstrip": false,
                           "normalized": false, "special": true }],
        "normalizer": null, "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
        "model": { "type": "BPE", "vocab": { "a": 0, "b": 1, "Ġ": 2, "ab": 3 }, "merges": ["a b"] },
    })
}

fn with(path: &str, value: Value) -> Value {
    let mut file = file();
    let (parent, key) = path.rsplit_once('/').unwrap();
    file.pointer_mut(parent).unwrap()[key] = value;
    file
}

fn read(file: &Value) -> Result<Tokenizer, TokenizerError> {
    Tokenizer::from_bytes(file.to_string().as_bytes())
}

/// Every cause, in one line.
fn refusal(path: &str, value: Value) -> String {
    let error = read(&with(path, value)).expect_err(path);
    let mut text = error.to_string();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        text += &format!(": {next}");
        cause = next;
    }
    text
}

/// Catches: both spellings of a merge not read; a control piece that text can forge.
#[test]
fn a_small_byte_level_file_is_read() {
    for merges in [json!(["a b"]), json!([["a", "b"]])] {
        let tokenizer = read(&with("/model/merges", merges)).unwrap();
        assert_eq!(tokenizer.encode("ab ba"), [3, 2, 1, 0]);
        assert_eq!(tokenizer.decode(&[3, 2, 1, 0, 4]).unwrap(), "ab ba");
        assert_eq!(tokenizer.encode_with_specials("ab<|end|>"), [3, 4]);
        assert_eq!(
            tokenizer.encode("<|end|>"),
            [] as [u32; 0],
            "letters that this vocabulary lacks"
        );
    }
}

/// Catches: a control piece that comes from text because it is one letter, or a whole word where words are not merged.
#[test]
fn no_control_piece_comes_from_text() {
    let mut file = with("/model/ignore_merges", json!(true));
    file["added_tokens"][0]["id"] = json!(3);
    file["added_tokens"][0]["content"] = json!("ab");
    let tokenizer = read(&file).unwrap();
    assert_eq!(
        (tokenizer.encode("ab"), tokenizer.encode_with_specials("ab")),
        (vec![0, 1], vec![3])
    );
    file["added_tokens"][0]["id"] = json!(1);
    file["added_tokens"][0]["content"] = json!("b");
    assert_eq!(read(&file).unwrap().encode("b a"), [2, 0]);
}

/// Catches: a step that is left out in silence, so that ids are wrong. Each refusal names the step.
#[test]
fn what_is_not_understood_is_refused_by_name() {
    let replace = json!({ "type": "Replace", "pattern": { "Regex": "x+" }, "content": "y" });
    for (path, value, name) in [
        ("/normalizer", json!({ "type": "NFC" }), "NFC"),
        ("/normalizer", replace, "x+"),
        (
            "/pre_tokenizer",
            json!({ "type": "Whitespace" }),
            "Whitespace",
        ),
        (
            "/pre_tokenizer",
            json!({ "type": "Digits", "individual_digits": true, "new": 1 }),
            "new",
        ),
        ("/pre_tokenizer", json!(null), "does not undo"),
        (
            "/post_processor",
            json!({ "type": "RobertaProcessing" }),
            "RobertaProcessing",
        ),
        ("/decoder", json!({ "type": "WordPiece" }), "WordPiece"),
        ("/decoder", json!(null), "does not undo"),
        ("/truncation", json!({ "max_length": 5 }), "truncation"),
        ("/padding", json!({}), "padding"),
        ("/novelty", json!(1), "novelty"),
        ("/model/type", json!("Unigram"), "Unigram"),
        ("/model/dropout", json!(0.5), "dropout"),
        (
            "/model/continuing_subword_prefix",
            json!("##"),
            "continuing_subword_prefix",
        ),
        (
            "/model/end_of_word_suffix",
            json!("</w>"),
            "end_of_word_suffix",
        ),
        ("/model/unk_token", json!("<unk>"), "<unk>"),
        ("/model/novelty", json!(1), "novelty"),
        ("/model/merges", json!(["a c"]), "merge 0"),
        ("/model/merges", json!(["ab"]), "merge 0"),
        ("/model/merges", json!(["b a"]), "merge 0"),
        (
            "/model/vocab",
            json!({ "a": 0, "b": 1, "ab": 2 }),
            "\"<|end|>\" has 4, where 3 is next",
        ),
        (
            "/model/vocab",
            json!({ "a": 0, "b": 0, "ab": 2, "c": 3 }),
            "where 1 is next",
        ),
        ("/model/vocab", json!({}), "where 0 is next"),
        ("/model/byte_fallback", json!(true), "byte_fallback"),
        ("/added_tokens/0/lstrip", json!(true), "lstrip"),
        (
            "/added_tokens/0/content",
            json!("ab"),
            "\"ab\" has two ids, 3 and 4",
        ),
        ("/added_tokens/0/content", json!(""), "is empty"),
    ] {
        let text = refusal(path, value);
        assert!(text.contains(name), "{path}: {text}");
    }
    let split = json!({ "type": "Split", "pattern": { "Regex": "(" }, "behavior": "Isolated", "invert": false });
    assert!(refusal("/pre_tokenizer", split).contains("parenthesis"));
}

/// Catches: a public conversion of Baichuan 2's tokenizer, with its dummy prefix, that is taken for the real one.
#[test]
fn unfaithful_baichuan2_is_refused() {
    let name = |id: u32| match id {
        195 => "<reserved_106>".into(),
        id => format!("piece {id}"),
    };
    let vocab: serde_json::Map<String, Value> =
        (0..125_696).map(|id| (name(id), json!(id))).collect();
    let mut file = file();
    file["model"]["vocab"] = vocab.into();
    file["model"]["merges"] = json!([]);
    file["added_tokens"] = json!([]);
    let error = read(&file).unwrap_err().to_string();
    assert!(
        error.contains("unfaithful") && error.contains("tokenizer.model"),
        "{error}"
    );
}

/// Catches: the conversion preferred to the original; begin and end of sequence not taken from the file that names them.
#[test]
fn a_folder_may_hold_both_kinds_and_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let open = || Tokenizer::open(folder.path());
    assert!(matches!(open(), Err(TokenizerError::NothingThere { .. })));
    write("tokenizer.json", file().to_string().as_bytes());
    assert_eq!(open().unwrap().eos(), None);
    write(
        "tokenizer_config.json",
        br#"{"bos_token": null, "eos_token": {"content": "<|end|>"}}"#,
    );
    let tokenizer = open().unwrap();
    assert_eq!(
        (tokenizer.bos(), tokenizer.eos(), tokenizer.vocab_size()),
        (None, Some(4), 5)
    );
    write("tokenizer_config.json", br#"{"eos_token": "<|nowhere|>"}"#);
    assert!(matches!(open(), Err(TokenizerError::InFile { .. })));
    let options = TrainingOptions {
        vocab_size: 3 + 256 + 3 + 1,
        ..Default::default()
    };
    write(
        "tokenizer.model",
        &options.train(["abab"], |_, _| ()).unwrap().to_bytes(),
    );
    assert_eq!(open().unwrap().vocab_size(), 263);
}

/// Pieces of a few letters, and for some of them ways to make them, in any order: most pairs whose concatenation is a piece are not listed.
fn pieces_and_merges() -> impl Strategy<Value = (Vec<String>, Vec<(String, String)>)> {
    let pieces = prop::collection::btree_set("[ab你]{1,5}", 1..24);
    pieces.prop_flat_map(|pieces| {
        let mut pieces: Vec<String> = pieces.into_iter().collect();
        pieces.extend(["a", "b"].map(String::from));
        pieces.sort();
        pieces.dedup();
        let mut pairs = Vec::new();
        for piece in &pieces {
            for (cut, _) in piece.char_indices().skip(1) {
                let (left, right) = piece.split_at(cut);
                if [left, right]
                    .iter()
                    .all(|part| pieces.iter().any(|p| p == part))
                {
                    pairs.push((left.to_owned(), right.to_owned()));
                }
            }
        }
        let n = pairs.len();
        let some = prop::sample::subsequence(pairs, 0..=n).prop_shuffle();
        (Just(pieces), some)
    })
}

/// The definition: of the listed pairs that are there the first in the list, the leftmost of those, until there is none.
fn merged<'t>(merges: &[(String, String)], text: &'t str) -> Vec<&'t str> {
    let mut starts: Vec<usize> = text.char_indices().map(|(start, _)| start).collect();
    starts.push(text.len());
    let rank = |at: &[usize]| {
        let parts = (&text[at[0]..at[1]], &text[at[1]..at[2]]);
        merges
            .iter()
            .position(|(left, right)| parts == (left, right))
    };
    while let Some((_, i)) = (starts.windows(3).zip(0..))
        .filter_map(|(at, i)| Some((rank(at)?, i)))
        .min()
    {
        starts.remove(i + 1);
    }
    starts.windows(2).map(|at| &text[at[0]..at[1]]).collect()
}

proptest! {
    /// Catches: a pair merged because its concatenation is a piece though it is not listed, and longest match that counts on such a pair; a piece that no
    /// listed pair makes, found in a text.
    #[test]
    fn only_listed_pairs_merge((pieces, merges) in pieces_and_merges(), text in "[ab你c]{0,50}") {
        let vocab: serde_json::Map<String, Value> = (pieces.iter().zip(1..))
            .map(|(piece, id)| (piece.clone(), json!(id)))
            .chain([("<unk>".to_owned(), json!(0))])
            .collect();
        let mut file = file();
        file["added_tokens"] = json!([]);
        file["pre_tokenizer"] = Value::Null;
        let replace = |from, to| json!({ "type": "Replace", "pattern": { "String": from }, "content": to });
        (file["normalizer"], file["decoder"]) = (replace(" ", "▁"), replace("▁", " "));
        file["model"] = json!({ "type": "BPE", "vocab": vocab, "merges": merges, "unk_token": "<unk>" });
        let tokenizer = read(&file).unwrap();
        let expected: Vec<u32> = merged(&merges, &text).into_iter().map(|token| tokenizer.id_of(token).unwrap_or(0)).collect();
        prop_assert_eq!(&tokenizer.encode(&text), &expected);
        prop_assert_eq!(&tokenizer.encode_observed(&text, |_| ()), &expected);
    }

    /// Catches: a panic on a file that was nearly right.
    #[test]
    fn no_damage_panics(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = file().to_string().into_bytes();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(tokenizer) = Tokenizer::from_bytes(&bytes) {
            let ids = tokenizer.encode("abba ab");
            prop_assert!(tokenizer.decode(&ids).is_ok());
        }
    }
}
