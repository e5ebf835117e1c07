//! `baichuan2 corpus`: the texts that the small models learn from.

use super::{
    output::Outputs,
    trace::{lines, table},
};
use baichuan2::training::corpus::{Corpus, Document, Kind, Split};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufWriter, Write},
    path::PathBuf,
};

/// Show or write the built-in corpus.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  baichuan2 corpus                            ten documents
  baichuan2 corpus --kind brackets --documents 3
  baichuan2 corpus --bytes 20000000 --out corpus.txt
  baichuan2 corpus --bytes 1000000 --stats    what it consists of, not the text

The same seed gives the same documents. Documents are separated by an empty line; --jsonl keeps those apart that have one inside.")]
pub struct CorpusArgs {
    /// Where the choices come from.
    #[arg(
        long,
        default_value_t = 0,
        value_name = "N",
        allow_negative_numbers = true
    )]
    seed: u64,
    /// What is held out, in place of what to train on.
    #[arg(long)]
    validation: bool,
    /// Documents of one kind alone.
    #[arg(long)]
    kind: Option<Kind>,
    /// So many documents; ten where neither this nor --bytes is given.
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        conflicts_with = "bytes"
    )]
    documents: Option<u64>,
    /// Whole documents of so many bytes of text together, at the least.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    bytes: Option<u64>,
    /// One JSON object a line, with kind and bits.
    #[arg(long)]
    jsonl: bool,
    /// Counts of each kind in place of the text.
    #[arg(long, conflicts_with = "jsonl")]
    stats: bool,
    /// Write to a file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite the file.
    #[arg(long)]
    force: bool,
}

impl CorpusArgs {
    /// Writes the documents, or counts them.
    ///
    /// # Errors
    /// An output that cannot be written, or that is there already.
    pub fn run(self) -> anyhow::Result<()> {
        let outputs = Outputs::new(&self.out, self.force)?;
        match &self.out {
            None => Ok(self.write(&mut BufWriter::new(io::stdout().lock()))?),
            Some(path) => outputs.write(path, |out| Ok(self.write(out)?)),
        }
    }

    fn documents(&self) -> impl Iterator<Item = Document> {
        let split = match self.validation {
            true => Split::Validation,
            false => Split::Train,
        };
        let mut corpus = Corpus::of(self.seed, split);
        if let Some(kind) = self.kind {
            corpus = corpus.only(kind);
        }
        let most = match (self.documents, self.bytes) {
            (Some(n), _) => n,
            (None, Some(_)) => u64::MAX,
            (None, None) => 10,
        };
        let mut left = self.bytes.unwrap_or(u64::MAX);
        (0..most).zip(corpus).map_while(move |(_, document)| {
            let more = left > 0;
            left = left.saturating_sub(document.text.len() as u64);
            more.then_some(document)
        })
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.stats {
            writeln!(out, "{}", self.counts())?;
        } else if self.jsonl {
            for document in self.documents() {
                serde_json::to_writer(&mut *out, &document)?;
                writeln!(out)?;
            }
        } else {
            for (i, document) in self.documents().enumerate() {
                let gap = if i == 0 { "" } else { "\n" };
                writeln!(out, "{gap}{}", document.text)?;
            }
        }
        out.flush()
    }

    fn counts(&self) -> String {
        let mut kinds: BTreeMap<Kind, Count> = BTreeMap::new();
        let mut all = Count::default();
        for document in self.documents() {
            kinds.entry(document.kind).or_default().add(&document);
            all.add(&document);
        }
        let mut table = table([
            "kind",
            "documents",
            "characters",
            "share",
            "distinct",
            "a document",
            "bits a character",
        ]);
        let named = kinds.iter().map(|(kind, count)| (kind.to_string(), count));
        for (name, count) in named.chain([("all".to_owned(), &all)]) {
            let characters = count.characters as f64;
            let share = 100.0 * characters / all.characters.max(1) as f64;
            table.add_row([
                name,
                count.documents.to_string(),
                count.characters.to_string(),
                format!("{share:.1}%"),
                count.distinct.len().to_string(),
                format!("{:.0}", characters / count.documents.max(1) as f64),
                format!("{:.3}", count.bits / characters.max(1.0)),
            ]);
        }
        lines(&table)
    }
}

#[derive(Default)]
struct Count {
    documents: u64,
    characters: u64,
    distinct: BTreeSet<char>,
    bits: f64,
}

impl Count {
    fn add(&mut self, document: &Document) {
        self.documents += 1;
        self.characters += document.text.chars().count() as u64;
        self.distinct.extend(document.text.chars());
        self.bits += document.bits;
    }
}
