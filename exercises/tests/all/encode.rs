use crate::{
    compare::equal,
    harness::{Finding, Trial, case, property, say},
};
use baichuan2::{
    bpe::{Kind, SPACE, Vocabulary, byte_piece, encode_formal, encode_longest_match},
    embedded::EmbeddedModel,
    training::corpus::{self, Corpus},
};
use proptest::{collection::btree_map, prelude::*};
use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};
use your_code::encode::encode;

type Scores = BTreeMap<String, f64>;

/// The vocabulary with each score as `scale` makes it.
fn vocabulary(scores: &Scores, scale: f32) -> Vocabulary {
    let mut vocabulary = Vocabulary::default();
    for (piece, &score) in scores {
        vocabulary
            .push(piece, score as f32 * scale, Kind::Normal)
            .expect("a new piece");
    }
    vocabulary
}

/// Pieces, with those of bytes where there is no other.
fn with_bytes(symbols: &[&str], scores: &Scores) -> Vec<String> {
    let pieces = |symbol: &&str| match scores.contains_key(*symbol) {
        true => vec![(*symbol).to_owned()],
        false => symbol.bytes().map(byte_piece).collect(),
    };
    symbols.iter().flat_map(pieces).collect()
}

fn marked(text: &str) -> String {
    text.replace(' ', &SPACE.to_string())
}

fn turned(text: &str) -> String {
    text.chars().rev().collect()
}

/// The merges done from right to left among equals.
fn rightmost(text: &str, scores: &Scores) -> Vec<String> {
    let backwards = scores
        .iter()
        .map(|(piece, &score)| (turned(piece), score))
        .collect();
    let text = turned(text);
    let mut symbols: Vec<String> = encode_formal(&vocabulary(&backwards, 1.0), &text)
        .into_iter()
        .map(turned)
        .collect();
    symbols.reverse();
    with_bytes(
        &symbols.iter().map(String::as_str).collect::<Vec<_>>(),
        scores,
    )
}

/// Merging where characters that are no piece are bytes from the beginning.
fn bytes_first(text: &str, scores: &Scores) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut run = String::new();
    for character in text.chars().map(Some).chain([None]) {
        match character {
            Some(c) if scores.contains_key(&c.to_string()) => run.push(c),
            other => {
                pieces.extend(with_bytes(
                    &encode_formal(&vocabulary(scores, 1.0), &run),
                    scores,
                ));
                run.clear();
                pieces.extend(
                    other
                        .iter()
                        .flat_map(|c| c.to_string().into_bytes())
                        .map(byte_piece),
                );
            }
        }
    }
    pieces
}

fn check(text: &str, scores: &Scores) -> Finding {
    let given: HashMap<String, f64> = scores
        .iter()
        .map(|(piece, &score)| (piece.clone(), score))
        .collect();
    let got = encode(text, &given);
    let marked = marked(text);
    let symbols = encode_formal(&vocabulary(scores, 1.0), &marked);
    let expected = with_bytes(&symbols, scores);
    if got == expected {
        return Ok(());
    }
    let owned = |symbols: &[&str]| symbols.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
    let lowest = with_bytes(&encode_formal(&vocabulary(scores, -1.0), &marked), scores);
    let leftmost = with_bytes(&encode_formal(&vocabulary(scores, 0.0), &marked), scores);
    let longest = with_bytes(
        &encode_longest_match(&vocabulary(scores, 1.0), &marked),
        scores,
    );
    let characters: Vec<&str> = marked.split("").filter(|c| !c.is_empty()).collect();
    let code_point = |symbol: &&str| match scores.contains_key(*symbol) {
        true => (*symbol).to_owned(),
        false => symbol
            .chars()
            .map(|c| format!("<0x{:02X}>", u32::from(c)))
            .collect(),
    };
    let code_points = symbols.iter().map(code_point).collect();
    let prefixed = format!("{SPACE}{marked}");
    let in_front = with_bytes(&encode_formal(&vocabulary(scores, 1.0), &prefixed), scores);
    let small: Vec<String> = expected
        .iter()
        .map(|p| {
            if p.starts_with("<0x") {
                p.to_lowercase()
            } else {
                p.clone()
            }
        })
        .collect();
    let mut comparison = equal(say("the pieces", "片段"), &got, &expected).given("text", text);
    if scores.len() <= 20 {
        comparison = comparison.given("scores", &scores.iter().collect::<Vec<_>>());
    }
    comparison
        .smell(say("of equal scores the rightmost is merged, and the leftmost should be", "分数相同时合并了最右边的；应是最左边的"), rightmost(&marked, scores))
        .smell(say("the lowest score is merged first, and the highest should be", "先合并了分数最低的；应先合并最高的"), lowest)
        .smell(say("merged from left to right, whatever the scores", "只管从左往右合并，没有看分数"), leftmost)
        .smell(say("this is the longest match; merging goes by score", "这是最长匹配；合并要看分数"), longest)
        .smell(say("a character without a piece became bytes before the merges; it may be part of a longer piece", "没有片段的字符在合并之前就变成了字节；它可能是更长片段的一部分"), bytes_first(&marked, scores))
        .smell(say("a symbol that is no piece is left as it is; it should become its bytes", "不是片段的符号原样留下了；应变成它的字节"), owned(&symbols))
        .smell(say("nothing is merged", "什么也没有合并"), with_bytes(&characters, scores))
        .smell(say("spaces are not marked", "空格没有换成 ▁"), with_bytes(&encode_formal(&vocabulary(scores, 1.0), text), scores))
        .smell(say("a ▁ is put before the text: Llama does that, Baichuan 2 does not", "在文本前面加了一个 ▁：Llama 这样做，Baichuan 2 不这样"), in_front)
        .smell(say("a character is written as if it were a byte; it may have up to four", "把字符当成字节写了；一个字符最多有四个字节"), code_points)
        .smell(say("names of bytes are written in capitals: <0xE4>", "字节的名字要用大写：<0xE4>"), small)
        .check()
}

/// What merging can make, of the small model.
static SHIPPED: LazyLock<Scores> = LazyLock::new(|| {
    let tokenizer = EmbeddedModel::Rope.tokenizer();
    let normal = tokenizer
        .vocabulary()
        .iter()
        .filter(|piece| piece.kind == Kind::Normal);
    normal
        .map(|piece| (piece.text.to_owned(), f64::from(piece.score)))
        .collect()
});

fn shipped(text: &str) -> Finding {
    check(text, &SHIPPED)?;
    // The whole tokenizer, with all that is around it, says the same.
    let tokenizer = EmbeddedModel::Rope.tokenizer();
    let scores = SHIPPED
        .iter()
        .map(|(piece, &score)| (piece.clone(), score))
        .collect();
    let expected: Vec<String> = tokenizer
        .pieces(text)
        .into_iter()
        .map(String::from)
        .collect();
    equal(say("the pieces", "片段"), &encode(text, &scores), &expected)
        .given("text", text)
        .check()
}

pub fn trials() -> Vec<Trial> {
    let scores = |pieces: &[(&str, f64)]| {
        pieces
            .iter()
            .map(|&(piece, score)| (piece.to_owned(), score))
            .collect::<Scores>()
    };
    let abc = scores(&[
        ("bc", -1.0),
        ("ab", -2.0),
        ("a", -3.0),
        ("b", -4.0),
        ("c", -5.0),
    ]);
    // `abcb` is a piece that no merge reaches.
    let letters = scores(&[
        ("ca", -1.0),
        ("abcb", -2.0),
        ("ab", -3.0),
        ("bc", -4.0),
        ("a", -5.0),
        ("b", -6.0),
        ("c", -7.0),
    ]);
    // 好 is no piece of its own.
    let chinese = scores(&[("你好", -1.0), ("▁你", -2.0), ("你", -3.0), ("▁", -4.0)]);
    vec![
        case(
            "merges_what_was_learned_first",
            "先合并先学到的",
            move || {
                check("abcbca", &letters)?;
                check("abc", &abc)
            },
        ),
        property(
            "merges_by_score_and_from_the_left",
            "按分数、从左边起合并",
            // Many equal scores, and pieces that no merge can reach.
            (
                "[abc]{0,9}",
                btree_map("[abc]{1,4}", (-4..0_i32).prop_map(f64::from), 0..9),
            ),
            |(text, scores)| check(&text, &scores),
        ),
        case(
            "marks_spaces_and_knows_no_words",
            "标出空格，不分词",
            || {
                let scores = [("▁", -3.0), ("a", -4.0), ("▁a", -2.0), ("a▁", -1.0)]
                    .map(|(p, s)| (p.to_owned(), s));
                check(" a  a", &scores.into())
            },
        ),
        case(
            "a_character_without_a_piece_may_be_part_of_one",
            "单独不成片段的字符可以是片段的一部分",
            move || {
                check("你好", &chinese)?;
                check("好你好", &chinese)?;
                check("好 你 é\n", &chinese)
            },
        ),
        property(
            "gives_bytes_for_what_it_does_not_know",
            "不认识的给出字节",
            "[a ▁你😀é]{0,6}",
            |text| {
                check(
                    &text,
                    &[
                        ("a".to_owned(), -1.0),
                        ("▁".to_owned(), -2.0),
                        ("▁你".to_owned(), -0.5),
                    ]
                    .into(),
                )
            },
        ),
        case(
            "encodes_as_the_small_model",
            "编码与小模型相同",
            || {
                shipped("Once upon a time there was a little cat.")?;
                shipped("12 + 30 = 42; 春天来了，snow ❄")?;
                let symbols = [corpus::USER, corpus::ASSISTANT];
                for document in Corpus::new(7).take(30) {
                    for line in document
                        .text
                        .lines()
                        .filter(|line| !symbols.iter().any(|s| line.contains(s)))
                    {
                        shipped(line)?;
                    }
                }
                Ok(())
            },
        ),
    ]
}
