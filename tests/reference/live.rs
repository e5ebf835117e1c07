//! Texts that nobody chose, encoded by the libraries themselves: SentencePiece and Hugging Face tokenizers, called in Python.

use crate::{Data, ids, needs, tokenizer::MODEL};
use baichuan2::bpe::Tokenizer;
use libtest_mimic::Trial;
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

pub const PYTHON: Data = Data::Env("BAICHUAN2_PYTHON");

pub fn trials() -> Vec<Trial> {
    vec![
        needs(
            [PYTHON, MODEL],
            "live::sentencepiece_agrees_on_random_texts",
            sentencepiece_agrees_on_random_texts,
        ),
        needs(
            [PYTHON, MODEL],
            "live::sentencepiece_agrees_on_random_ids",
            sentencepiece_agrees_on_random_ids,
        ),
        needs(
            [PYTHON, Data::Env("BAICHUAN2_SMOLLM2")],
            "live::hugging_face_tokenizers_agrees_on_random_texts",
            hugging_face_agrees_on_random_texts,
        ),
    ]
}

/// How many texts; another seed gives others.
const TEXTS: usize = 3000;

/// Pieces of the vocabulary, letters of many scripts, digits, spaces, and parts of special names, in any order.
fn random_texts(tokenizer: &Tokenizer) -> Vec<String> {
    const ODD: [&str; 24] = [
        " ",
        "  ",
        "\n",
        "\t",
        "\r\n",
        "0",
        "42",
        "３",
        "Ⅷ",
        "½",
        "'s",
        "'LL",
        "...",
        "->",
        "\u{3000}",
        "\u{200b}",
        "é",
        "e\u{301}",
        "👩‍👩‍👧",
        "<s>",
        "<reserved_106>",
        "<|im_start|>",
        "▁",
        "\u{10ffff}",
    ];
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let pieces: Vec<String> = tokenizer
        .vocabulary()
        .iter()
        .map(|piece| piece.text.replace('▁', " "))
        .collect();
    let text = |random: &mut ChaCha8Rng| {
        let parts = random.random_range(1..24);
        let part = |random: &mut ChaCha8Rng| match random.random_range(0..8) {
            0..4 => pieces.choose(random).unwrap().clone(),
            4 | 5 => (*ODD.choose(random).unwrap()).to_owned(),
            6 => char::from_u32(random.random_range(1..0x3000)).map_or(String::new(), String::from),
            _ => char::from_u32(random.random_range(1..0x11_0000))
                .map_or(String::new(), String::from),
        };
        (0..parts).map(|_| part(random)).collect()
    };
    (0..TEXTS).map(|_| text(&mut random)).collect()
}

/// What a Python program makes of the texts; it finds them, and the file, in `texts` and `file`, and prints JSON.
fn ask(python: &Path, program: &str, file: &Path, texts: &impl serde::Serialize) -> Value {
    let program = format!(
        "import json, sys\nfile, texts = sys.argv[1], json.load(open(0, encoding='utf-8'))\n{program}"
    );
    let mut child = Command::new(python)
        .args(["-c", &program])
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let texts = serde_json::to_vec(texts).unwrap();
    child.stdin.take().unwrap().write_all(&texts).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{} failed", python.display());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn compare(
    encode: impl Fn(&str) -> Vec<u32>,
    decode: impl Fn(&[u32]) -> String,
    texts: &[String],
    answers: &Value,
) {
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), TEXTS);
    let mut tokens = 0;
    for (text, answer) in texts.iter().zip(answers) {
        let expected = ids(&answer[0]);
        assert_eq!(encode(text), expected, "{text:?}");
        assert_eq!(decode(&expected), answer[1], "{text:?}");
        tokens += expected.len();
    }
    eprintln!("{TEXTS} random texts, {tokens} tokens: all ids equal, all decoded texts equal");
}

/// Catches: what the 612 texts of the reference data do not hold.
fn sentencepiece_agrees_on_random_texts([python, model]: [&Path; 2]) {
    let tokenizer = Tokenizer::open(model).unwrap();
    let texts = random_texts(&tokenizer);
    let program = "import sentencepiece\n\
        p = sentencepiece.SentencePieceProcessor(model_file=file)\n\
        print(json.dumps([[i, p.decode(i)] for i in (p.encode(t) for t in texts)]))";
    let answers = ask(python, program, model, &texts);
    compare(
        |t| tokenizer.encode(t),
        |i| tokenizer.decode(i).unwrap(),
        &texts,
        &answers,
    );
}

/// Catches: control pieces that print, bytes that are gathered into characters otherwise, a mark too many or too few for broken ones.
fn sentencepiece_agrees_on_random_ids([python, model]: [&Path; 2]) {
    let tokenizer = Tokenizer::open(model).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(8);
    let id = |random: &mut ChaCha8Rng| match random.random_range(0..4) {
        0 => random.random_range(0..125_696_u32),
        1 => random.random_range(0..200),
        _ => random.random_range(1089..1345), // bytes
    };
    let texts: Vec<Vec<u32>> = (0..TEXTS)
        .map(|_| {
            (0..random.random_range(1..12))
                .map(|_| id(&mut random))
                .collect()
        })
        .collect();
    let program = "import sentencepiece\n\
        p = sentencepiece.SentencePieceProcessor(model_file=file)\n\
        print(json.dumps([p.decode(i) for i in texts]))";
    let answers = ask(python, program, model, &texts);
    for (ids, answer) in texts.iter().zip(answers.as_array().unwrap()) {
        assert_eq!(tokenizer.decode(ids).unwrap(), *answer, "{ids:?}");
    }
    eprintln!("{TEXTS} lists of random ids: all texts equal");
}

/// Catches: a `tokenizer.json` read otherwise than by the library whose format it is.
fn hugging_face_agrees_on_random_texts([python, folder]: [&Path; 2]) {
    let file = folder.join("tokenizer.json");
    let tokenizer = Tokenizer::open(&file).unwrap();
    let texts = random_texts(&tokenizer);
    let program = "import tokenizers\n\
        t = tokenizers.Tokenizer.from_file(file)\n\
        e = [t.encode(x, add_special_tokens=False).ids for x in texts]\n\
        print(json.dumps([[i, t.decode(i)] for i in e]))";
    let answers = ask(python, program, &file, &texts);
    compare(
        |t| tokenizer.encode_with_specials(t),
        |i| tokenizer.decode(i).unwrap(),
        &texts,
        &answers,
    );
}
