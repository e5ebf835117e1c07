//! Tokenizer speed on texts of your own: `cargo bench --bench tokenizer -- TOKENIZER TEXT…`.
//!
//! Prints megabytes a second, line by line and as one text on one thread, and by document on all, medians of five.
//! `benches/peers/tokenizer.py` starts it with `--drive [TOKENIZER]` and asks by lines of JSON on standard input, so that other
//! libraries and this take turns on one machine.

use baichuan2::bpe::{Tokenizer, TrainingOptions};
use serde_json::{Value, json};
use std::{hint::black_box, io::BufRead, path::Path, time::Instant};

/// How a text is given to the tokenizer.
const WAYS: [&str; 3] = ["line", "whole", "batch"];

fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let made = work();
    (start.elapsed().as_secs_f64(), made)
}

/// Documents of about 10 kB, each of whole lines.
fn documents(text: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let least = rest.ceil_char_boundary(10_000.min(rest.len()));
        let end = rest[least..]
            .find('\n')
            .map_or(rest.len(), |at| least + at + 1);
        let (document, after) = rest.split_at(end);
        documents.push(document);
        rest = after;
    }
    documents
}

fn encode(tokenizer: &Tokenizer, text: &str, by: &str) -> (f64, Vec<Vec<u32>>) {
    match by {
        "line" => {
            let lines: Vec<&str> = text.split('\n').collect();
            timed(|| lines.iter().map(|line| tokenizer.encode(line)).collect())
        }
        "batch" => {
            let documents = documents(text);
            timed(|| tokenizer.encode_batch(&documents))
        }
        _ => timed(|| vec![tokenizer.encode(text)]),
    }
}

fn train(text: &Path, vocab_size: usize, character_coverage: f64) -> f64 {
    let options = TrainingOptions {
        vocab_size,
        character_coverage,
        ..TrainingOptions::default()
    };
    let (seconds, trained) = timed(|| {
        let text = std::fs::read_to_string(text).expect("a text in UTF-8");
        options.train(text.lines(), |_, _| ())
    });
    black_box(trained.expect("enough text"));
    seconds
}

fn drive(file: Option<&String>) {
    let tokenizer = file.map(|file| Tokenizer::open(file).expect("a tokenizer"));
    let mut last = (String::new(), String::new()); // a text, and its path
    for line in std::io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        let path = asked["text"].as_str().unwrap_or_default();
        let answer = match (asked["do"].as_str(), &tokenizer, file) {
            (Some("open"), _, Some(file)) => {
                let (seconds, opened) = timed(|| Tokenizer::open(file));
                black_box(opened.expect("a tokenizer"));
                json!({ "seconds": seconds })
            }
            (Some("encode"), Some(tokenizer), _) => {
                if last.1 != path {
                    let text = std::fs::read_to_string(path).expect("a text in UTF-8");
                    last = (text, path.to_owned());
                }
                let by = asked["by"].as_str().unwrap_or_default();
                let (seconds, ids) = encode(tokenizer, &last.0, by);
                if let Some(out) = asked["ids"].as_str() {
                    let bytes: Vec<u8> = ids
                        .iter()
                        .flatten()
                        .flat_map(|id| id.to_ne_bytes())
                        .collect();
                    std::fs::write(out, bytes).expect("a file to write to");
                }
                json!({ "seconds": seconds, "tokens": ids.iter().map(Vec::len).sum::<usize>() })
            }
            (Some("train"), ..) => {
                let vocab_size = asked["vocab_size"].as_u64().expect("a number");
                let coverage = asked["coverage"].as_f64().expect("a number");
                json!({ "seconds": train(path.as_ref(), vocab_size as usize, coverage) })
            }
            _ => panic!("not understood: {line:?}", line = asked),
        };
        println!("{answer}");
    }
}

fn median(mut work: impl FnMut() -> f64) -> f64 {
    let mut seconds: Vec<f64> = (0..5).map(|_| work()).collect();
    seconds.sort_by(f64::total_cmp);
    seconds[2]
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let Some((file, texts)) = arguments.split_first() else {
        return eprintln!("skipped: pass a tokenizer and texts after --");
    };
    if file == "--drive" {
        return drive(texts.first());
    }
    let tokenizer = Tokenizer::open(file).expect("a tokenizer");
    let opened = median(|| timed(|| Tokenizer::open(file)).0);
    println!("opened in {:.1} ms", opened * 1e3);
    for path in texts {
        let text = std::fs::read_to_string(path).expect("a text in UTF-8");
        let megabytes = text.len() as f64 / 1e6;
        let ids = tokenizer.encode(&text);
        print!("{path}: {megabytes:.1} MB, {} tokens; encode", ids.len());
        for by in WAYS {
            print!(
                " {:.1} MB/s by {by},",
                megabytes / median(|| encode(&tokenizer, &text, by).0)
            );
        }
        let decoding = median(|| timed(|| tokenizer.decode(&ids)).0);
        println!(" decode {:.1} MB/s", megabytes / decoding);
    }
}
