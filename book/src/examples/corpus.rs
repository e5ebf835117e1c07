//! What the documents of the corpus cost, and what the small model pays for one of them, token by token.

use crate::numbers::{Numbers, rounded};
use baichuan2::{
    embedded::EmbeddedModel,
    training::{
        corpus::{Corpus, Kind, Split},
        held_out,
    },
};
use std::f64::consts::LN_2;

/// The numbers of the chapter *A corpus with structure*.
pub(super) fn numbers(n: &mut Numbers) {
    for kind in Kind::all() {
        let documents = Corpus::new(1).only(kind).take(200);
        let shortest = documents.min_by_key(|document| document.text.len());
        let text = shortest.expect("two hundred of them").text;
        n.text(&kind.to_string(), text);
    }

    // Two lines of counting, in English: every choice can be written down.
    let corpus = Corpus::of(1, Split::Validation).only(Kind::Counting);
    let begins = |text: &'static str| {
        let mut corpus = corpus.clone();
        let found = corpus.find(|d| d.text.starts_with(text) && d.text.lines().count() == 1);
        found.expect("the corpus has no end")
    };
    let document = begins("Count: 78, 77");
    n.text("document", &document.text);
    let (kind, starts) = ((100.0_f64 / 3.0).log2(), 100.0 - 7.0);
    n.number("starts", starts, 0);
    n.number("kind_bits", kind, 2);
    n.number("start_bits", starts.log2(), 2);
    n.number("bits", kind + document.bits, 2);
    n.number("known_bits", document.split_bits, 2);
    n.number("learnable", kind + document.bits + document.split_bits, 2);

    let words = paid(&document.text);
    let mut choices = vec![kind + 1.0, starts.log2(), 3.0];
    choices.resize(words.len() - 1, 0.0);
    choices.push(1.0);
    let rows: Vec<Vec<String>> = words
        .iter()
        .zip(choices)
        .map(|((word, paid), choice)| vec![word.clone(), rounded(choice, 2), rounded(*paid, 2)])
        .collect();
    n.table(
        "paid",
        &["read", "the choice costs", "the model pays"],
        &rows,
    );
    n.table("paid_zh", &["读到", "选择值", "模型付"], &rows);
    n.number("paid_bits", words.iter().map(|(_, bits)| bits).sum(), 2);

    let hard = begins("Count: 15, 25");
    n.text("hard", &hard.text);
    n.number("hard_second", paid(&hard.text)[2].1, 1);

    // The loss that the choices alone cost, over held-out documents of every kind.
    let mut rows = Vec::new();
    for kind in Kind::all() {
        let documents: Vec<_> = Corpus::of(1, Split::Validation)
            .only(kind)
            .take(200)
            .collect();
        let bits: f64 = documents.iter().map(|d| d.bits + d.split_bits).sum();
        let characters: usize = documents.iter().map(|d| d.text.chars().count()).sum();
        let share = baichuan2::training::corpus::MIXTURE
            .into_iter()
            .find(|(of, _)| *of == kind)
            .expect("every kind is in the mixture")
            .1;
        rows.push(vec![
            kind.to_string(),
            format!("{share}%"),
            format!("{:.0}", characters as f64 / 200.0),
            format!("{:.0}", bits / 200.0),
            format!("{:.2}", bits / characters as f64),
        ]);
    }
    n.table(
        "costs",
        &[
            "kind",
            "of the documents",
            "characters",
            "bits",
            "bits a character",
        ],
        &rows,
    );
    n.table(
        "costs_zh",
        &["种类", "占文档", "字符", "比特", "每字符比特"],
        &rows,
    );
}

/// What `embedded:rope` pays for a line of counting, in bits: a word at a time, and the end.
fn paid(text: &str) -> Vec<(String, f64)> {
    let model = EmbeddedModel::Rope;
    let tokenizer = model.tokenizer();
    let decoder = model.checkpoint().decoder().expect("an embedded model");
    let eos = tokenizer.eos().expect("it has an end");
    let ids = held_out::packed([text], &tokenizer, eos);
    let losses = held_out::losses(&decoder, &ids).expect("its own tokens");
    let mut words = vec![(String::new(), 0.0)];
    for (&id, nats) in ids[1..].iter().zip(losses) {
        let piece = tokenizer.vocabulary().get(id).expect("its own token");
        let word = words.last_mut().expect("never empty");
        word.0 += piece.text.trim_start_matches('▁');
        word.1 += nats / LN_2;
        if [":", ",", "."].contains(&piece.text) {
            words.push((String::new(), 0.0));
        }
    }
    let end = words.last_mut().expect("never empty");
    end.0 = "`</s>`".to_owned();
    words
}
