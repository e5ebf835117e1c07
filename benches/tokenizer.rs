//! Tokenizer speed on texts of your own: `cargo bench --bench tokenizer -- TOKENIZER TEXT…`.
//!
//! Prints megabytes a second on one thread, line by line and as one text, best of three.

use baichuan2::bpe::{Tokenizer, TrainingOptions};
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let Some((file, texts)) = arguments.split_first() else {
        return eprintln!("skipped: pass a tokenizer and texts after --");
    };
    let start = Instant::now();
    let tokenizer = Tokenizer::open(file).expect("a tokenizer");
    println!("opened in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    for path in texts {
        let text = std::fs::read_to_string(path).expect("a text in UTF-8");
        let megabytes = text.len() as f64 / 1e6;
        let best = |work: &dyn Fn() -> usize| {
            let times = (0..3).map(|_| {
                let start = Instant::now();
                (work(), start.elapsed().as_secs_f64())
            });
            times
                .min_by(|a, b| a.1.total_cmp(&b.1))
                .expect("three times")
        };
        let (tokens, lines) = best(&|| text.lines().map(|line| tokenizer.encode(line).len()).sum());
        let (_, whole) = best(&|| tokenizer.encode(&text).len());
        let ids = tokenizer.encode(&text);
        let (_, decode) = best(&|| tokenizer.decode(&ids).expect("own ids").len());
        println!(
            "{path}: {megabytes:.1} MB, {tokens} tokens; encode {:.1} MB/s by line, {:.1} MB/s whole; decode {:.1} MB/s",
            megabytes / lines,
            megabytes / whole,
            megabytes / decode,
        );
        let options = TrainingOptions {
            vocab_size: 8000,
            ..TrainingOptions::default()
        };
        let start = Instant::now();
        match options.train(text.lines(), |_, _| ()) {
            Ok(_) => println!(
                "  8,000 pieces trained in {:.2} s",
                start.elapsed().as_secs_f64()
            ),
            Err(error) => println!("  not trained: {error}"),
        }
    }
}
