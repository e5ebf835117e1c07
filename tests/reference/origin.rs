//! The same files and texts in the libraries that the formats come from: PyPI `sentencepiece` and `tokenizers`.

use crate::{live::PYTHON, needs};
use baichuan2::bpe::{Tokenizer, TrainingOptions, byte_piece};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, HashSet},
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

const CHECK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sentencepiece/check.py");

pub fn trials() -> Vec<Trial> {
    vec![
        needs(
            [PYTHON],
            "origin::sentencepiece_loads_what_training_writes",
            sentencepiece_loads_what_training_writes,
        ),
        needs(
            [PYTHON],
            "origin::sentencepiece_learns_nearly_the_same_pieces",
            sentencepiece_learns_nearly_the_same_pieces,
        ),
        needs(
            [PYTHON],
            "origin::tokenizers_reads_the_same_json",
            tokenizers_reads_the_same_json,
        ),
    ]
}

/// Runs the check script on `input`, and returns its lines.
fn run(python: &Path, args: &[&str], input: &str) -> Vec<Value> {
    let mut child = Command::new(python)
        .arg(CHECK)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    assert!(output.status.success(), "{args:?}");
    let lines = std::str::from_utf8(&output.stdout).unwrap().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Every text must get the same ids, and the same text back from them.
fn agree(python: &Path, file: &Path, tokenizer: &Tokenizer, texts: &[String]) {
    let input: String = texts
        .iter()
        .map(|text| json!(text).to_string() + "\n")
        .collect();
    let theirs = run(python, &[file.to_str().unwrap()], &input);
    assert_eq!(theirs.len(), texts.len());
    for (text, theirs) in texts.iter().zip(theirs) {
        let ids = tokenizer.encode_with_specials(text);
        assert_eq!(json!(ids), theirs["ids"], "{text:?}");
        assert_eq!(
            tokenizer.decode(&ids).unwrap(),
            theirs["decoded"],
            "{text:?}"
        );
    }
}

/// English, Chinese, digits, spaces, emoji, code, several scripts.
const LINES: [&str; 12] = [
    "The quick brown fox jumps over the lazy dog, and the other dogs laugh at the other foxes.",
    "In 2023, the 13B model was trained on 2.6 trillion tokens; in 2024 the next one.",
    "百川大模型的分词器用字节对编码训练而成，分词器的词表有十二万五千六百九十六个词元。",
    "大模型的训练需要大量的数据，数据的质量比数据的数量更重要。",
    "    def encode(self, text):\n        return [self.ids[piece] for piece in self.pieces(text)]",
    "こんにちは、トークナイザーです。カタカナとひらがなは漢字と同じ文字体系として扱う。",
    "Привет, мир! Как дела? Токенизатор разбивает слова на части.",
    "emoji 😀😀 👩‍👩‍👧 ❤️ and naïve café résumé, e\u{301}a\u{300}",
    "tabs\tand   several    spaces  ,  １２３ full-width digits, x1y2z3",
    "aaaa aaa aa a bbbb bbb bb b abab baba",
    "1234567890 3.14159 1e-6 0xE5 100%",
    "wide\u{3000}space\u{a0}no-break\u{200b}zero",
];

/// The lines, each also in pieces, joined and doubled, and what training never saw.
fn texts() -> Vec<String> {
    let words = LINES
        .iter()
        .flat_map(|line| line.split(' '))
        .map(String::from);
    let unseen = [
        "",
        " ",
        "   ",
        "\n",
        "龘𠀀",
        "ﬁ…†",
        "🇨🇳",
        "\u{0}\u{7f}",
        "한국어",
        "ﷺ",
        "x\r\ny",
    ];
    let unseen = unseen.into_iter().map(String::from);
    let doubled = LINES.iter().map(|line| format!(" {line}  {line}\n"));
    words.chain(unseen).chain(doubled).collect()
}

/// Catches: a `.model` that the SentencePiece library refuses or reads otherwise, for every way of training one.
fn sentencepiece_loads_what_training_writes([python]: [&Path; 1]) {
    let default = TrainingOptions {
        vocab_size: 3 + 256 + 420,
        character_coverage: 0.99,
        ..TrainingOptions::default()
    };
    let symbols = ["<sep>", "<reserved_0>", "the", "  ", "据"].map(String::from);
    let variants = [
        default.clone(),
        TrainingOptions {
            add_dummy_prefix: true,
            split_digits: false,
            split_by_number: false,
            ..default.clone()
        },
        TrainingOptions {
            user_defined_symbols: symbols.into(),
            split_by_unicode_script: false,
            remove_extra_whitespaces: true,
            allow_whitespace_only_pieces: false,
            ..default.clone()
        },
        TrainingOptions {
            byte_fallback: false,
            split_by_whitespace: false,
            vocab_size: 420,
            unk_piece: "[UNK]".into(),
            bos_piece: "[BOS]".into(),
            eos_piece: "[EOS]".into(),
            ..default
        },
    ];
    let folder = tempfile::tempdir().unwrap();
    let texts = texts();
    for (i, options) in variants.iter().enumerate() {
        let lines = LINES.iter().flat_map(|line| line.lines());
        let trained = options.train(lines, |_, _| ()).unwrap();
        let file = folder.path().join(format!("{i}.model"));
        std::fs::write(&file, trained.to_bytes()).unwrap();
        agree(python, &file, &trained.tokenizer().unwrap(), &texts);
    }
}

/// Catches: training rules that are not SentencePiece's. It approximates its counts, so that late pieces may differ.
fn sentencepiece_learns_nearly_the_same_pieces([python]: [&Path; 1]) {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.txt");
    let lines: Vec<&str> = LINES.iter().flat_map(|line| line.lines()).collect();
    std::fs::write(&text, lines.join("\n")).unwrap();
    let theirs = folder.path().join("theirs.model");
    let size = 3 + 256 + 420;
    let (text, out) = (text.to_str().unwrap(), theirs.to_str().unwrap());
    run(python, &["--train", text, out, &size.to_string()], "");
    let theirs = Tokenizer::open(&theirs).unwrap();
    let options = TrainingOptions {
        vocab_size: size,
        ..TrainingOptions::default()
    };
    let ours = options.train(&lines, |_, _| ()).unwrap();
    let ours = ours.tokenizer().unwrap();
    let set = |t: &Tokenizer| -> BTreeSet<String> {
        t.vocabulary()
            .iter()
            .map(|piece| piece.text.to_owned())
            .collect()
    };
    let (ours, theirs) = (set(&ours), set(&theirs));
    let share = ours.intersection(&theirs).count() as f64 / size as f64;
    eprintln!("{share:.3} of {size} pieces are the same");
    eprintln!(
        "only ours: {:?}",
        ours.difference(&theirs).collect::<Vec<_>>()
    );
    eprintln!(
        "only theirs: {:?}",
        theirs.difference(&ours).collect::<Vec<_>>()
    );
    assert!(share > 0.97, "{share}");
}

/// A `tokenizer.json` as `tokenizers` writes it, around a vocabulary and merges.
fn tokenizer_json(parts: Value, vocab: &[String], merges: &[(String, String)]) -> Value {
    let ids: serde_json::Map<String, Value> = vocab
        .iter()
        .zip(0..)
        .map(|(piece, id)| (piece.clone(), json!(id)))
        .collect();
    let specials: Vec<Value> = ["<unk>", "<s>", "</s>"]
        .iter()
        .enumerate()
        .map(|(id, name)| {
            json!({ "id": id, "content": name, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": true })
        })
        .collect();
    let mut file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": specials, "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                   "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                   "vocab": ids, "merges": merges },
    });
    for (path, value) in parts.as_object().unwrap() {
        *file.pointer_mut(path).unwrap() = value.clone();
    }
    file
}

/// Catches: a step of the pipeline in the wrong place, or done otherwise than `tokenizers` does it.
fn tokenizers_reads_the_same_json([python]: [&Path; 1]) {
    let metaspace = |scheme: &str, split: bool| json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split });
    let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    let llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let restore = json!({ "type": "Sequence", "decoders": [
        { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
        { "type": "ByteFallback" }, { "type": "Fuse" },
        { "type": "Strip", "content": " ", "start": 1, "stop": 0 } ] });
    let llama = json!({
        "/normalizer": { "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": "▁" },
            { "type": "Replace", "pattern": { "String": " " }, "content": "▁" } ] },
        "/decoder": restore,
        "/model/byte_fallback": true, "/model/fuse_unk": true, "/model/unk_token": "<unk>",
    });
    let with_metaspace = |scheme, split| {
        json!({
            "/pre_tokenizer": metaspace(scheme, split), "/decoder": restore,
            "/model/byte_fallback": true, "/model/unk_token": "<unk>",
        })
    };
    let unknown = json!({
        "/pre_tokenizer": metaspace("always", true), "/decoder": restore,
        "/model/fuse_unk": true, "/model/unk_token": "<unk>",
    });
    let gpt2 = json!({ "/pre_tokenizer": byte_level, "/decoder": byte_level });
    let smollm2 = json!({
        "/pre_tokenizer": { "type": "Sequence", "pretokenizers": [ { "type": "Digits", "individual_digits": true }, byte_level ] },
        "/decoder": byte_level, "/post_processor": byte_level,
    });
    let llama3 = json!({
        "/pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": llama3 }, "behavior": "Isolated", "invert": false },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false } ] },
        "/decoder": byte_level, "/model/ignore_merges": true,
    });
    let by_letter = |json: &Value| json["/decoder"]["type"] == "ByteLevel";

    let folder = tempfile::tempdir().unwrap();
    let mut texts = texts();
    texts.extend(["it's we'll I'd", "a<s>b</s> c", "  <s> x", "<s><s>"].map(String::from));
    let variants = [
        llama,
        with_metaspace("always", true),
        with_metaspace("first", false),
        json!({
            "/pre_tokenizer": metaspace("never", true), "/decoder": metaspace("never", true),
            "/model/unk_token": "<unk>",
        }),
        unknown,
        gpt2,
        smollm2,
        llama3,
    ];
    for (i, parts) in variants.into_iter().enumerate() {
        let (vocab, merges) = small_bpe(by_letter(&parts));
        let json = tokenizer_json(parts, &vocab, &merges).to_string();
        let file = folder.path().join(format!("{i}.json"));
        std::fs::write(&file, &json).unwrap();
        let tokenizer = Tokenizer::from_bytes(json.as_bytes()).unwrap();
        agree(python, &file, &tokenizer, &texts);
    }
}

/// A vocabulary and its merges, trained on the lines: over characters, or over GPT-2's letters for bytes.
fn small_bpe(by_letter: bool) -> (Vec<String>, Vec<(String, String)>) {
    let letters = |text: &str| -> String { text.bytes().map(gpt2_letter).collect() };
    let lines: Vec<String> = LINES
        .iter()
        .map(|line| {
            if by_letter {
                letters(line)
            } else {
                line.replace(' ', "▁")
            }
        })
        .collect();
    let learned = baichuan2::bpe::learn_merges(
        lines.iter().map(|line| (line.as_str(), 1)),
        300,
        |piece| piece.chars().count() < 9,
        |_| (),
    );
    let merges: Vec<(String, String)> = learned
        .unwrap()
        .into_iter()
        .map(|m| (m.left, m.right))
        .collect();
    let mut vocab: Vec<String> = ["<unk>", "<s>", "</s>"].map(String::from).into();
    if by_letter {
        vocab.extend((0..=255).map(|byte| gpt2_letter(byte).to_string()));
    } else {
        vocab.extend((0..=255).map(byte_piece));
        let characters: BTreeSet<char> = lines.iter().flat_map(|line| line.chars()).collect();
        vocab.extend(characters.into_iter().map(String::from));
    }
    vocab.extend(
        merges
            .iter()
            .map(|(left, right)| [left.as_str(), right].concat()),
    );
    let mut seen = HashSet::new();
    vocab.retain(|piece| seen.insert(piece.clone()));
    (vocab, merges)
}

/// GPT-2's letter of a byte, by its definition.
fn gpt2_letter(byte: u8) -> char {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&b| !printable(b)).count() as u32;
    char::from_u32(256 + before).unwrap()
}
