//! What must hold of BPE whatever the vocabulary and the text.

use baichuan2::bpe::{
    Kind, Specials, Tokenizer, TokenizerError, TrainingOptions, byte_piece, decode_formal,
    encode_formal,
    sentencepiece::{ModelProto, ModelType, NormalizerSpec, SentencePiece, TrainerSpec, Type},
};
use proptest::prelude::*;
use prost::Message;
use std::time::{Duration, Instant};

fn piece(text: &str, score: f32, kind: Type) -> SentencePiece {
    SentencePiece {
        piece: Some(text.into()),
        score: Some(score),
        r#type: Some(kind.into()),
    }
}

/// `<unk>`, `<s>`, `</s>`, user-defined symbols, bytes, then these pieces; no dummy prefix.
fn model<'a>(symbols: &[&str], pieces: impl IntoIterator<Item = (&'a str, f32)>) -> ModelProto {
    let specials = [
        piece("<unk>", 0.0, Type::Unknown),
        piece("<s>", 0.0, Type::Control),
        piece("</s>", 0.0, Type::Control),
    ];
    let symbols = symbols.iter().map(|s| piece(s, 0.0, Type::UserDefined));
    let bytes = (0..=255).map(|byte| piece(&byte_piece(byte), 0.0, Type::Byte));
    let pieces = pieces
        .into_iter()
        .map(|(text, score)| piece(text, score, Type::Normal));
    ModelProto {
        pieces: specials
            .into_iter()
            .chain(symbols)
            .chain(bytes)
            .chain(pieces)
            .collect(),
        trainer_spec: Some(TrainerSpec {
            model_type: Some(ModelType::Bpe.into()),
            byte_fallback: Some(true),
            ..Default::default()
        }),
        normalizer_spec: Some(NormalizerSpec {
            name: Some("identity".into()),
            add_dummy_prefix: Some(false),
            remove_extra_whitespaces: Some(false),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Any pieces of a few letters, many of which no sequence of merges can make, with many equal scores: in any order, or
/// short pieces before long ones, as in training.
fn vocabulary() -> impl Strategy<Value = Vec<(String, f32)>> {
    let pieces = prop::collection::btree_set("[ab▁你]{1,5}", 1..24);
    pieces
        .prop_flat_map(|pieces| {
            let n = pieces.len();
            let scores = prop::collection::vec(-4_i8..4, n);
            (Just(pieces), scores, any::<bool>())
        })
        .prop_map(|(pieces, scores, short_first)| {
            let length = |piece: &String| piece.chars().count() as f32;
            let scored = pieces.into_iter().zip(scores).map(|(piece, score)| {
                let before = if short_first {
                    8.0 * length(&piece)
                } else {
                    0.0
                };
                (piece, f32::from(score) - before)
            });
            scored.collect()
        })
}

/// User-defined symbols of the tokenizers that `open` makes.
const SYMBOLS: [&str; 2] = ["<ab>", "aa<"];

fn open(vocabulary: &[(String, f32)]) -> Tokenizer {
    let pieces = vocabulary
        .iter()
        .map(|(text, score)| (text.as_str(), *score));
    model(&SYMBOLS, pieces).try_into().unwrap()
}

/// Text that a vocabulary trained below has seen much like, and text that it has not.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[ab 你]{0,40}", "[a-e0-9 .\n]{0,60}", any::<String>()]
        .prop_filter("the mark for a space decodes to a space", |text| {
            !text.contains('▁')
        })
}

fn trained(merges: usize) -> Tokenizer {
    let lines = [
        "abba abcd  abcd dada bead",
        "cab dab 你好你好 bed 10 101 deed",
        "aaaa bbbb accede",
    ];
    let characters = 10;
    let options = TrainingOptions {
        vocab_size: 3 + 256 + characters + merges,
        character_coverage: 1.0,
        ..TrainingOptions::default()
    };
    options
        .train(lines, |_, _| ())
        .unwrap()
        .tokenizer()
        .unwrap()
}

proptest! {
    /// Catches: ties from the right, stale candidates that merge, tokens that do not stand apart, a way back that loses a token, merges taken to come by
    /// rank alone, characters that are only parts of pieces forgotten, text on both sides of a symbol merged.
    #[test]
    fn both_forms_encode_as_the_definition(vocabulary in vocabulary(), text in "([ab 你c]|<ab>|aa<){0,50}") {
        let tokenizer = open(&vocabulary);
        let marked = text.replace(' ', "▁");
        let (mut rest, mut expected) = (&marked[..], Vec::new());
        while !rest.is_empty() {
            let symbol = SYMBOLS.iter().filter_map(|symbol| Some((rest.find(symbol)?, symbol.len()))).min();
            let (start, length) = symbol.unwrap_or((rest.len(), 0));
            for token in encode_formal(tokenizer.vocabulary(), &rest[..start]) {
                match tokenizer.id_of(token) {
                    Some(id) => expected.push(id),
                    None => expected.extend(token.bytes().map(|b| tokenizer.id_of(&byte_piece(b)).unwrap())),
                }
            }
            expected.extend(tokenizer.id_of(&rest[start..start + length]));
            rest = &rest[start + length..];
        }
        prop_assert_eq!(&tokenizer.encode(&text), &expected);
        prop_assert_eq!(&tokenizer.encode_observed(&text, |_| ()), &expected);
    }

    /// Catches: merges reported twice, out of order, or at the wrong place.
    #[test]
    fn replaying_what_was_observed_gives_the_pieces(vocabulary in vocabulary(), text in "[ab 你c]{0,50}") {
        let tokenizer = open(&vocabulary);
        let prepared = tokenizer.prepare(&text).text;
        let mut ends: Vec<usize> = prepared.char_indices().map(|(i, c)| i + c.len_utf8()).collect();
        let mut faults = Vec::new();
        let ids = tokenizer.encode_observed(&text, |merge| {
            let made = &prepared[merge.left.start..merge.right.end];
            if merge.left.end != merge.right.start || tokenizer.piece(merge.id).unwrap().text != made {
                faults.push(merge.clone());
            }
            match ends.iter().position(|&end| end == merge.left.end) {
                Some(boundary) => _ = ends.remove(boundary),
                None => faults.push(merge),
            }
        });
        prop_assert!(faults.is_empty(), "{:?}", faults);
        prop_assert_eq!(&ids, &tokenizer.encode(&text));
        let mut start = 0;
        let mut expected = 0;
        for end in ends {
            let symbol = &prepared[std::mem::replace(&mut start, end)..end];
            expected += if tokenizer.id_of(symbol).is_some() { 1 } else { symbol.len() };
        }
        prop_assert_eq!(ids.len(), expected);
    }

    /// Catches: a lost space, a lost byte, digits or line ends out of place; the page's decoding and the shipped one apart where there are no bytes.
    #[test]
    fn decoding_undoes_encoding(text in any_text(), merges in 0..20_usize) {
        let tokenizer = trained(merges);
        let ids = tokenizer.encode(&text);
        prop_assert_eq!(&tokenizer.decode(&ids).unwrap(), &text);
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| tokenizer.piece_bytes(id).unwrap()).collect();
        prop_assert_eq!(bytes, text.as_bytes());
        let longest = tokenizer.encode_longest_match(&text);
        prop_assert_eq!(&tokenizer.decode(&longest).unwrap(), &text);
        let pieces = tokenizer.pieces(&text);
        if !pieces.iter().any(|piece| piece.starts_with("<0x")) {
            prop_assert_eq!(decode_formal(&pieces), text);
        }
    }

    /// Catches: later merges that get in before earlier ones.
    #[test]
    fn more_merges_only_join_tokens(text in any_text(), fewer in 0..12_usize, more in 0..9_usize) {
        let ends = |merges| {
            let tokenizer = trained(merges);
            let mut end = 0;
            tokenizer.encode(&text).into_iter()
                .map(|id| { end += tokenizer.piece_bytes(id).unwrap().len(); end })
                .collect::<Vec<usize>>()
        };
        let (few, many) = (ends(fewer), ends(fewer + more));
        prop_assert!(many.iter().all(|end| few.contains(end)));
    }

    /// Catches: half characters given out, bytes held back for ever, a state that outlives a character.
    #[test]
    fn a_stream_is_the_text_in_whole_characters(
        text in any_text(),
        noise in prop::collection::vec(0..3 + 256 + 10 + 16_u32, 0..20),
        at in any::<prop::sample::Index>(),
    ) {
        let tokenizer = trained(16);
        let mut ids = tokenizer.encode(&text);
        let clean = noise.is_empty();
        let at = at.index(ids.len() + 1);
        ids.splice(at..at, noise);
        let mut stream = tokenizer.stream_decoder(Specials::Skip);
        let mut parts: Vec<String> = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
        parts.push(stream.finish());
        prop_assert_eq!(parts.concat(), tokenizer.decode(&ids).unwrap());
        prop_assert!(!clean || parts.last().unwrap().is_empty());
    }

    /// Catches: an order of hashing or of lines that shows in the result.
    #[test]
    fn training_depends_on_the_text_alone(mut lines in prop::collection::vec("[a-d ]{0,12}", 1..12)) {
        let options = TrainingOptions { vocab_size: 3 + 256 + 5 + 4, character_coverage: 1.0, ..Default::default() };
        let first = options.train(&lines, |_, _| ()).map(|t| t.to_bytes()).map_err(|e| e.to_string());
        lines.reverse();
        let second = options.train(&lines, |_, _| ()).map(|t| t.to_bytes()).map_err(|e| e.to_string());
        prop_assert_eq!(first, second);
    }

    /// Catches: a panic on what a file brought.
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), json in "\\PC{0,80}") {
        let _ = Tokenizer::from_bytes(&bytes);
        let _ = Tokenizer::from_bytes(format!("{{{json}").as_bytes());
    }

    /// Catches: a panic on a file that was nearly right, and a tokenizer out of it that panics on use.
    #[test]
    fn no_damage_panics(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>()) {
        let mut bytes = model(&["<x>"], [("a", -1.0), ("b", -1.0), ("ab", 0.0)]).encode_to_vec();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(2 * bytes.len()).max(1).min(bytes.len()));
        if let Ok(tokenizer) = Tokenizer::from_bytes(&bytes) {
            let ids = tokenizer.encode("abba <x> 你\u{0}");
            prop_assert!(tokenizer.decode(&ids).is_ok());
        }
    }
}

/// Catches: bytes decoded by the character where SentencePiece marks each, and the reverse.
#[test]
fn every_bad_byte_prints_one_mark() {
    let tokenizer = trained(0);
    let byte = |b| tokenizer.id_of(&byte_piece(b)).unwrap();
    let a = tokenizer.id_of("a").unwrap();
    let ids = [0xe4, 0xbd].map(byte);
    assert_eq!(tokenizer.decode(&ids).unwrap(), "\u{fffd}\u{fffd}");
    assert_eq!(tokenizer.decode(&[ids[0], a]).unwrap(), "\u{fffd}a");
    assert_eq!(tokenizer.decode_bytes(&ids).unwrap(), [0xe4, 0xbd]);
    let mut stream = tokenizer.stream_decoder(Specials::Skip);
    assert_eq!(stream.push(ids[0]).unwrap(), "");
    assert_eq!(stream.push(ids[1]).unwrap(), "");
    assert_eq!(stream.push(byte(0xa0)).unwrap(), "你");
    assert_eq!(stream.finish(), "");
}

/// Catches: user-defined symbols that merge, the first instead of the longest, the longest instead of the leftmost.
#[test]
fn user_defined_symbols_come_first_and_stay_whole() {
    let pieces = [("a", -1.0), ("b", -2.0), ("ab", 0.0), ("x", -3.0)];
    let tokenizer: Tokenizer = model(&["bx", "bxx", "xxx"], pieces).try_into().unwrap();
    assert_eq!(tokenizer.pieces("abxb"), ["a", "bx", "b"]);
    assert_eq!(tokenizer.pieces("bxxx"), ["bxx", "x"]);
    assert_eq!(tokenizer.pieces("axxxx"), ["a", "xxx", "x"]);
}

/// Catches: the same, where a symbol made of spaces is looked for before spaces become marks.
#[test]
fn a_symbol_with_spaces_is_found() {
    let tokenizer: Tokenizer = model(&["▁▁"], [("▁", 0.0), ("a", -1.0)])
        .try_into()
        .unwrap();
    assert_eq!(tokenizer.pieces("a   a"), ["a", "▁▁", "▁", "a"]);
}

/// Catches: the dummy prefix dropped twice, or from the middle; put before an empty text.
#[test]
fn the_dummy_prefix_comes_and_goes() {
    let mut model = model(&[], [("▁", -1.0), ("a", -2.0), ("▁a", 0.0)]);
    model.normalizer_spec.as_mut().unwrap().add_dummy_prefix = Some(true);
    let tokenizer: Tokenizer = model.try_into().unwrap();
    assert_eq!(tokenizer.pieces("a a"), ["▁a", "▁a"]);
    assert_eq!(tokenizer.pieces(" a"), ["▁", "▁a"]);
    for text in ["", "a a", " a", "  ", "你"] {
        assert_eq!(tokenizer.decode(&tokenizer.encode(text)).unwrap(), text);
    }
    assert!(tokenizer.encode("").is_empty());
}

/// Catches: text that could forge the end of a turn.
#[test]
fn control_pieces_come_only_when_asked_for() {
    let tokenizer = trained(0);
    assert!(!tokenizer.encode("</s>").contains(&2));
    assert_eq!(tokenizer.encode_with_specials("<s></s>"), [1, 2]);
    assert_eq!(tokenizer.decode(&[1, 2]).unwrap(), "");
    assert_eq!(
        tokenizer.decode_with(&[1, 2], Specials::Show).unwrap(),
        "<s></s>"
    );
    assert_eq!(
        (tokenizer.bos(), tokenizer.eos(), tokenizer.unk()),
        (Some(1), Some(2), Some(0))
    );
    assert_eq!(tokenizer.piece(1).unwrap().kind, Kind::Control);
}

/// Catches: a slow spot. Quadratic work on a million characters would take hours.
#[test]
fn a_megabyte_without_a_space_takes_no_time() {
    let runs: Vec<String> = (0..12).map(|n| "a".repeat(1 << n)).collect();
    let mut pieces: Vec<(String, f32)> = runs.into_iter().zip((0..).map(|n| -(n as f32))).collect();
    pieces.extend(["b", "ab", "ba", "bab", "abba"].map(|p| (p.to_owned(), -20.0)));
    let tokenizer = open(&pieces);
    let mixed: String = (0..1_000_000_u64)
        .map(|i| {
            if i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 0 {
                'a'
            } else {
                'b'
            }
        })
        .collect();
    for text in ["a".repeat(1_000_000), mixed, "<".repeat(1_000_000)] {
        let start = Instant::now();
        let ids = tokenizer.encode(&text);
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
    }
}

/// Catches: a fault in a file that goes unnoticed until ids are wrong. Each message names the fault.
#[test]
fn hostile_models_are_refused_with_reasons() {
    let good = || model(&[], [("a", -1.0)]);
    let change = |change: fn(&mut ModelProto)| {
        let mut model = good();
        change(&mut model);
        Tokenizer::from_bytes(&model.encode_to_vec())
            .unwrap_err()
            .to_string()
    };
    assert!(Tokenizer::from_bytes(&good().encode_to_vec()).is_ok());
    assert!(
        change(|m| m.pieces.push(piece("a", 0.0, Type::Normal))).contains("two ids, 259 and 260")
    );
    assert!(change(|m| m.pieces.push(piece("", 0.0, Type::Normal))).contains("is empty"));
    assert!(change(|m| m.pieces[259].score = Some(f32::NAN)).contains("not a number"));
    assert!(change(|m| _ = m.pieces.remove(7)).contains("byte pieces are missing"));
    assert!(change(|m| m.pieces[3].piece = Some("<0x0>".into())).contains("not named"));
    assert!(change(|m| m.pieces.clear()).contains("no unknown piece"));
    assert!(change(|m| m.pieces[1].r#type = Some(Type::Unknown.into())).contains("second unknown"));
    assert!(change(|m| m.pieces[259].r#type = Some(Type::Unused.into())).contains("unused"));
    assert!(change(|m| m.pieces[259].r#type = Some(77)).contains("does not define"));
    assert!(change(|m| m.trainer_spec = None).contains("Unigram"));
    assert!(
        change(|m| m.trainer_spec.as_mut().unwrap().byte_fallback = None)
            .contains("byte_fallback off")
    );
    assert!(
        change(|m| m.normalizer_spec.as_mut().unwrap().precompiled_charsmap = Some(vec![1]))
            .contains("normalization rule")
    );
    let tokenizer = Tokenizer::from_bytes(&good().encode_to_vec()).unwrap();
    assert!(matches!(
        tokenizer.decode(&[260]),
        Err(TokenizerError::IdOutOfRange { id: 260, size: 260 })
    ));
    assert!(Tokenizer::from_bytes(b"").is_err());
}
