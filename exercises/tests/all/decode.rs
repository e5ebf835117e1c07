use crate::{
    compare::{compare_number, equal},
    harness::{Finding, Trial, case, property, say},
};
use baichuan2::{
    bpe::{self, Kind, SPACE, Specials, Tokenizer},
    embedded::EmbeddedModel,
};
use ndarray::arr0;
use proptest::{collection::vec, prelude::*, sample::select};
use std::{char::REPLACEMENT_CHARACTER, fmt, sync::LazyLock};
use your_code::decode::{Piece, decode, ready};

/// The small model's, which has a piece for each byte.
static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| EmbeddedModel::Rope.tokenizer());

fn id_of(piece: Piece) -> u32 {
    let name = match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Byte(byte) => bpe::byte_piece(byte),
        Piece::Control => "</s>".to_owned(),
    };
    TOKENIZER
        .id_of(&name)
        .unwrap_or_else(|| panic!("the small model has the piece {name}"))
}

fn oracle(pieces: &[Piece]) -> String {
    let ids: Vec<u32> = pieces.iter().copied().map(id_of).collect();
    TOKENIZER.decode(&ids).expect("its own ids")
}

/// What bytes print where `print` says what a run of them does, and `cut` whether a control piece ends a run.
fn joined(pieces: &[Piece], cut: bool, print: impl Fn(&[u8]) -> String) -> String {
    let (mut text, mut bytes) = (String::new(), Vec::new());
    for &piece in pieces {
        match piece {
            Piece::Byte(byte) => bytes.push(byte),
            Piece::Control if !cut => {}
            other => {
                text += &print(&bytes);
                bytes.clear();
                if let Piece::Text(piece) = other {
                    text += &piece.replace(SPACE, " ");
                }
            }
        }
    }
    text + &print(&bytes)
}

/// One mark for each bad byte.
fn strictly(bytes: &[u8]) -> String {
    let marks = |n| REPLACEMENT_CHARACTER.to_string().repeat(n);
    bytes
        .utf8_chunks()
        .map(|chunk| chunk.valid().to_owned() + &marks(chunk.invalid().len()))
        .collect()
}

/// A piece as it would be written, its byte as vocabularies name it.
struct Shown<'a>(Piece<'a>);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Piece::Byte(byte) => write!(f, "Byte(0x{byte:02X})"),
            other => other.fmt(f),
        }
    }
}

fn check(pieces: &[Piece]) -> Finding {
    let (got, expected) = (decode(pieces), oracle(pieces));
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let one_mark = |bytes: &[u8]| {
        let text = strictly(bytes);
        text.chars().fold(String::new(), |mut text, c| {
            if c != REPLACEMENT_CHARACTER || !text.ends_with(c) {
                text.push(c);
            }
            text
        })
    };
    let all_or_nothing = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => REPLACEMENT_CHARACTER.to_string().repeat(bytes.len()),
    };
    let latin = |bytes: &[u8]| bytes.iter().map(|&b| char::from(b)).collect();
    let alone = |bytes: &[u8]| bytes.iter().map(|b| strictly(&[*b])).collect();
    let names: String = pieces
        .iter()
        .map(|&p| {
            if p == Piece::Control {
                "</s>".to_owned()
            } else {
                joined(&[p], true, strictly)
            }
        })
        .collect();
    let ends_in_bytes = pieces
        .iter()
        .rposition(|p| !matches!(p, Piece::Byte(_)))
        .map_or(0, |last| last + 1);
    let with_marks = expected.replace(' ', &SPACE.to_string());
    equal(say("the text", "文本"), &got, &expected)
        .given("pieces", &pieces.iter().copied().map(Shown).collect::<Vec<_>>())
        .smell(say("the space at the beginning is lost; it was in the text", "开头的空格丢了；它本来就在文本里"), expected.trim_start().to_owned())
        .smell(say("spaces are still ▁", "空格仍是 ▁"), with_marks)
        .smell(say("one U+FFFD for each broken character, as from_utf8_lossy does; SentencePiece prints one for each byte", "每个残缺的字符一个 U+FFFD，from_utf8_lossy 就是这样；SentencePiece 是每个字节一个"), joined(pieces, true, lossy))
        .smell(say("one U+FFFD for several bad bytes; each has its own", "几个坏字节只有一个 U+FFFD；应每个字节一个"), joined(pieces, true, one_mark))
        .smell(say("bad bytes take the good ones beside them with them", "坏字节把旁边好的也带坏了"), joined(pieces, true, all_or_nothing))
        .smell(say("bad bytes print nothing", "坏字节什么也没打印"), joined(pieces, true, |b| strictly(b).replace(REPLACEMENT_CHARACTER, "")))
        .smell(say("each byte is decoded alone; a character has up to four", "每个字节单独解码了；一个字符最多有四个字节"), joined(pieces, true, alone))
        .smell(say("each byte is taken for a character (Latin-1)", "把每个字节当成了一个字符（Latin-1）"), joined(pieces, true, latin))
        .smell(say("a character reaches across a control piece", "有字符跨过了控制片段"), joined(pieces, false, strictly))
        .smell(say("the name of a control piece is printed", "打印了控制片段的名字"), names)
        .smell(say("the bytes at the end are never printed", "末尾的字节没有打印"), joined(&pieces[..ends_in_bytes], true, strictly))
        .check()
}

/// How many of the bytes the repository's own stream has printed.
fn printed(waiting: &[u8]) -> usize {
    let mut stream = TOKENIZER.stream_decoder(Specials::Skip);
    let push = |&byte| stream.push(id_of(Piece::Byte(byte))).expect("its own ids");
    let text: String = waiting.iter().map(push).collect();
    text.chars()
        .map(|c| {
            if c == REPLACEMENT_CHARACTER {
                1
            } else {
                c.len_utf8()
            }
        })
        .sum()
}

fn check_ready(waiting: &[u8]) -> Finding {
    let valid = match std::str::from_utf8(waiting) {
        Ok(text) => text.len(),
        Err(error) => error.valid_up_to(),
    };
    let names: Vec<String> = waiting.iter().map(|&b| bpe::byte_piece(b)).collect();
    compare_number(
        say("how many bytes can be printed", "可以打印的字节数"),
        ready(waiting),
        printed(waiting),
    )
    .given("waiting", &names)
    .smell(
        say(
            "bytes that will never be text are waited for; they can go, as U+FFFD",
            "还在等永远成不了文本的字节；它们可以作为 U+FFFD 打印了",
        ),
        arr0(valid),
    )
    .smell(
        say(
            "half a character is printed; a next byte may complete it",
            "打印了半个字符；下一个字节也许能补全它",
        ),
        arr0(waiting.len()),
    )
    .smell(
        say(
            "the last byte always waits; it may well be complete",
            "最后一个字节总在等；它可能已经完整了",
        ),
        arr0(waiting.len().saturating_sub(1)),
    )
    .check()
}

/// Bytes in which characters begin, go on and break off.
fn byte() -> impl Strategy<Value = u8> + Clone {
    prop_oneof![
        select(&[b'a', 0xC3, 0xA9, 0xE4, 0xBD, 0xA0, 0xF0, 0x9F, 0x98, 0x80][..]),
        // Where the ranges of UTF-8 end: too short a form, a surrogate, beyond the last character.
        select(
            &[
                0x7F, 0xC0, 0xC1, 0xC2, 0xE0, 0x9F, 0xED, 0xF4, 0x90, 0xF5, 0xFF
            ][..]
        ),
    ]
}

/// Runs of bytes, some of them whole characters.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![2 => byte().prop_map(|b| vec![b]), 1 => select(&["é", "你", "😀"][..]).prop_map(|c| c.bytes().collect())];
    vec(part, 0..6).prop_map(|parts| parts.concat())
}

pub fn trials() -> Vec<Trial> {
    vec![
        case("joins_text", "把文本拼起来", || {
            check(&[
                Piece::Text("▁the"),
                Piece::Text("▁c"),
                Piece::Text("at"),
                Piece::Control,
            ])
        }),
        case(
            "a_character_is_the_bytes_of_it",
            "一个字符由它的字节组成",
            || {
                check(&"你".bytes().map(Piece::Byte).collect::<Vec<_>>())?;
                let between = [
                    &[Piece::Text("a")][..],
                    &"é😀".bytes().map(Piece::Byte).collect::<Vec<_>>(),
                    &[Piece::Text("▁c")],
                ]
                .concat();
                check(&between)
            },
        ),
        case(
            "each_bad_byte_has_its_mark",
            "每个坏字节都有自己的替换符",
            || {
                check(&[Piece::Byte(0xE4), Piece::Byte(0xBD), Piece::Text("a")])?;
                check(&[
                    Piece::Byte(0xE4),
                    Piece::Byte(0xBD),
                    Piece::Byte(b'a'),
                    Piece::Byte(0xA0),
                ])
            },
        ),
        case(
            "no_character_reaches_across_a_control_piece",
            "字符不会跨过控制片段",
            || check(&[Piece::Byte(0xC3), Piece::Control, Piece::Byte(0xA9)]),
        ),
        property(
            "decodes_whatever_a_model_says",
            "模型说什么都能解码",
            vec(
                prop_oneof![
                    3 => byte().prop_map(Piece::Byte),
                    1 => select(&["▁the", "a", "▁", "at"][..]).prop_map(Piece::Text),
                    1 => Just(Piece::Control),
                ],
                0..9,
            ),
            |pieces| check(&pieces),
        ),
        case(
            "decodes_all_of_the_small_model",
            "小模型的全部词表都能解码",
            || {
                let pieces: Vec<Piece> = TOKENIZER
                    .vocabulary()
                    .iter()
                    .filter_map(|piece| match piece.kind {
                        Kind::Normal => Some(Piece::Text(piece.text)),
                        Kind::Byte(byte) => Some(Piece::Byte(byte)),
                        Kind::Control if piece.text == "</s>" => Some(Piece::Control),
                        _ => None,
                    })
                    .collect();
                pieces.chunks(12).try_for_each(check)
            },
        ),
        case(
            "waits_for_the_rest_of_a_character",
            "等待字符的其余字节",
            || {
                for end in 0..=10 {
                    check_ready(&"a é你😀".as_bytes()[..end])?;
                }
                Ok(())
            },
        ),
        property(
            "waits_for_nothing_else",
            "除此之外不等",
            bytes(),
            |waiting| check_ready(&waiting),
        ),
    ]
}
