//! The built-in corpus in the tokens of a tokenizer that was trained on it, as the small models see it.

use baichuan2::{
    bpe::{Tokenizer, TrainingOptions},
    generation::chat::{self, ASSISTANT, USER},
    training::{
        Recipe,
        corpus::{self, Corpus, Kind},
        skills::{Skill, cut, probes},
    },
};
use std::sync::LazyLock;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    let options = TrainingOptions {
        vocab_size: Recipe::default().vocab_size,
        user_defined_symbols: chat::symbols(),
        ..TrainingOptions::default()
    };
    let text: String = Corpus::new(0)
        .take(20_000)
        .map(|document| document.text + "\n")
        .collect();
    options
        .train(text.lines(), |_, _| ())
        .unwrap()
        .tokenizer()
        .unwrap()
});

/// Catches: an answer that begins in the middle of a token, which no model could be asked for; a probe that is cut otherwise than the same text in a
/// document, which no model could have learned.
#[test]
fn every_probe_is_cut_where_the_tokenizer_cuts_it() {
    for skill in Skill::ALL {
        for probe in probes(skill, 500, 0) {
            let (ids, answer) = cut(&TOKENIZER, &probe).unwrap();
            assert!(
                answer < ids.len() && ids.len() <= 256,
                "{skill}: {} tokens",
                ids.len()
            );
            let lines = [&probe.text(), "1+1=2"]
                .map(|text| text.trim_end().to_owned())
                .join("\n");
            let as_lines = TOKENIZER.encode(&lines);
            let end = TOKENIZER.encode(probe.text().trim_end()).len();
            assert_eq!(as_lines[..end], ids[..end], "{probe:?}");
        }
    }
}

/// Catches: chat whose symbols are not the ids that `chat` sends; documents that do not fit the context; text that falls to bytes.
#[test]
fn documents_are_short_and_whole_in_tokens() {
    let documents: Vec<_> = Corpus::new(1).take(4_000).collect();
    let mut too_long = 0;
    let (mut tokens, mut bytes) = (0, 0);
    for document in &documents {
        let ids = TOKENIZER.encode(&document.text);
        tokens += ids.len();
        bytes += ids
            .iter()
            .filter(|&&id| TOKENIZER.piece(id).unwrap().text.starts_with("<0x"))
            .count();
        too_long += usize::from(ids.len() > 256);
        if document.kind == Kind::Chat {
            let assistants = document.text.matches(corpus::ASSISTANT).count();
            assert_eq!(ids[0], USER);
            assert_eq!(
                ids.iter().filter(|&&id| id == ASSISTANT).count(),
                assistants
            );
        }
        assert_eq!(TOKENIZER.decode(&ids).unwrap(), document.text);
    }
    // Line ends are bytes; hardly anything else is.
    let line_ends: usize = documents.iter().map(|d| d.text.matches('\n').count()).sum();
    eprintln!(
        "{} tokens a document, {too_long} of {} too long",
        tokens / documents.len(),
        documents.len()
    );
    assert!(
        bytes < line_ends + tokens / 500,
        "{bytes} bytes, {line_ends} line ends"
    );
    assert!(too_long * 200 < documents.len(), "{too_long}");
}
