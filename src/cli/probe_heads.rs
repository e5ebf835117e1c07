//! `baichuan2 probe-heads`: what the heads of a model look at, and since when.

use super::{
    checkpoints::{self, Opened},
    model::ModelArgs,
    trace::{lines, table},
    train::spinner,
};
use anyhow::{Context, ensure};
use baichuan2::{
    bpe::Tokenizer,
    checkpoint::tokens_seen,
    dtransformer::Decoder,
    heads::{Behaviour, Head, HeadScores, Repeated, formed, ordinary_pieces},
    training::{
        corpus::{Corpus, Item, Split, copied_words},
        held_out::{Tally, read},
        skills::{Skill, SkillError, accuracy, probes},
    },
};
use clap::builder::RangedU64ValueParser;
use serde_json::json;
use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
};

/// Score the heads of a model by what they look at, on random tokens that stand there twice
///
/// A score is the mean attention weight on one place: `previous` on the token before; `induction` on what followed this token the last time; `duplicate` on
/// this token where it stood before; `first` on the first token of all, where attention goes that has nothing to find; `own` on the token itself. `chance` is
/// the score of a head that looks at everything alike; a head with linear biases looks near from its first step, and has a chance by its slope.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  baichuan2 probe-heads
  baichuan2 probe-heads --words                            on the words that the corpus copies
  baichuan2 probe-heads --model embedded:alibi --top 3     the three best of each kind
  baichuan2 probe-heads --model models/rope --checkpoints  when the best two formed

Heads are named layer.head, counted from 0, as `baichuan2 attention --layer --head` takes them. With --checkpoints, the best previous-token head and the \
best induction head of the final model are followed through training, beside the loss on held-out text of the built-in corpus and the share of its \
induction probes that are answered. A head has formed at the first checkpoint where its score has come half of the way from chance to the final one, \
provided that the final score is at least twice what chance gives.")]
pub struct ProbeHeads {
    #[command(flatten)]
    of: ModelArgs,
    /// Take its checkpoints too: those in the folder, or in `checkpoints` in it, named tokens-N, in the order of N.
    #[arg(long)]
    checkpoints: bool,
    /// Only heads that are among the N best of some kind.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    top: Option<usize>,
    /// Draw the tokens from the words that the built-in corpus copies, in place of all pieces: a small model may have learned to copy these alone.
    #[arg(long)]
    words: bool,
    /// Random tokens of a sequence, each of which stands there twice; 50, or as many as the trained length has room for.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = RangedU64ValueParser::<usize>::new().range(2..=100_000))]
    length: Option<usize>,
    /// Sequences to take the mean over.
    #[arg(long, default_value_t = 16, value_name = "N", allow_negative_numbers = true, value_parser = RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    sequences: usize,
    /// The same seed gives the same sequences.
    #[arg(
        long,
        default_value_t = 0,
        value_name = "N",
        allow_negative_numbers = true
    )]
    seed: u64,
    /// One JSON object in place of the tables.
    #[arg(long)]
    json: bool,
}

/// Those that are followed through training.
const FOLLOWED: [Behaviour; 2] = [Behaviour::Previous, Behaviour::Induction];
/// Tokens of held-out text, and induction probes, for each checkpoint.
const TOKENS: usize = 20_000;
const PROBES: usize = 200;

/// The words of the corpus's copies that are one token, with the space before them.
fn words(tokenizer: &Tokenizer) -> Vec<u32> {
    let ids = copied_words()
        .into_iter()
        .map(|word| tokenizer.encode(&format!(" {word}")));
    let one = ids.filter_map(|ids| <[u32; 1]>::try_from(ids).ok());
    let found: BTreeSet<u32> = one.flatten().collect();
    found.into_iter().collect()
}

/// A model along a run.
struct Measured {
    folder: PathBuf,
    scores: HeadScores,
    /// Nats a token on held-out text, and the share of probes answered, where the tokenizer can put them.
    loss: f64,
    accuracy: Option<f64>,
}

impl ProbeHeads {
    /// Scores and prints.
    ///
    /// # Errors
    /// A model that cannot be opened, or that does not take the sequences.
    pub fn run(self) -> anyhow::Result<()> {
        let name = || self.of.model.display().to_string();
        let along = match self.checkpoints {
            true => self.along()?,
            false => Vec::new(),
        };
        // The last of a run is the run itself, or its last checkpoint.
        let last = along.last().map_or(&self.of.model, |last| &last.folder);
        let opened = checkpoints::open(last, &self.of.model).with_context(name)?;
        let n = self.length(&opened.decoder)?;
        let scores = self.scores(&opened).with_context(name)?;

        let mut out = anstream::stdout().lock();
        if self.json {
            writeln!(out, "{:#}", self.report(n, &scores, &along))?;
            return Ok(());
        }
        writeln!(out, "{}\n\n{}", self.all(&scores), self.best(&scores))?;
        if self.checkpoints {
            writeln!(out, "\n{}", followed(&scores, &along))?;
        }
        Ok(())
    }

    /// Tokens of a copy: as asked, or as many as there is room for.
    fn length(&self, decoder: &Decoder) -> anyhow::Result<usize> {
        let context = decoder.config().context;
        let room = context.saturating_sub(1) / 2;
        let n = self.length.unwrap_or(room.min(50));
        ensure!(
            (2..=room).contains(&n),
            "a copy of {n} tokens: twice as many, and one before them, must fit the {context} that the model was trained on at a time, and a copy \
             must have 2 at the least; choose --length from 2 to {room}"
        );
        Ok(n)
    }

    fn scores(&self, opened: &Opened) -> anyhow::Result<HeadScores> {
        let (decoder, lead) = (&opened.decoder, opened.end()?);
        let (count, n) = (self.sequences, self.length(decoder)?);
        let pieces = match self.words {
            true => words(&opened.tokenizer),
            false => ordinary_pieces(opened.tokenizer.vocabulary()),
        };
        let sequences = Repeated::draw(&pieces, lead, n, count, self.seed)?;
        Ok(HeadScores::of(decoder, &sequences)?)
    }

    /// Every checkpoint of the run.
    fn along(&self) -> anyhow::Result<Vec<Measured>> {
        let probes = probes(Skill::Induction, PROBES, self.seed);
        let mut along = Vec::new();
        for folder in checkpoints::of_run(&self.of.model)? {
            let bar = spinner("following the heads through training");
            let measured = self.at(&folder, &probes);
            bar.finish_and_clear();
            along.push(measured.with_context(|| folder.display().to_string())?);
        }
        Ok(along)
    }

    fn at(&self, folder: &Path, probes: &[Item]) -> anyhow::Result<Measured> {
        let opened = checkpoints::open(folder, &self.of.model)?;
        let scores = self.scores(&opened)?;
        let accuracy = match accuracy(&opened.decoder, &opened.tokenizer, probes) {
            Ok(share) => Some(share),
            Err(SkillError::NoBoundary { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Measured {
            folder: folder.to_owned(),
            scores,
            loss: held_out_loss(&opened, self.seed)?,
            accuracy,
        })
    }

    /// A head a line.
    fn all(&self, scores: &HeadScores) -> String {
        let names = Behaviour::ALL.map(|behaviour| behaviour.to_string());
        let mut table = table(Vec::from_iter(["head".to_owned()].into_iter().chain(names)));
        let numbers = |of: &dyn Fn(Behaviour) -> f64| Behaviour::ALL.map(|b| score(of(b)));
        // With linear biases each head has a chance of its own, which the list of the best tells.
        let chance = |head, b| scores.by_chance(head, b).unwrap_or(f64::NAN);
        let mut heads = scores.heads();
        if let Some(first) = heads.next()
            && heads.all(|head| {
                Behaviour::ALL
                    .iter()
                    .all(|&b| chance(head, b) == chance(first, b))
            })
        {
            let chances = numbers(&|b| chance(first, b));
            table.add_row(["chance".to_owned()].into_iter().chain(chances));
        }
        for head in self.chosen(scores) {
            let of_head = numbers(&|b| scores.get(head, b).unwrap_or(f64::NAN));
            table.add_row([head.to_string()].into_iter().chain(of_head));
        }
        lines(&table)
    }

    /// All heads, or those that are among the best of some kind.
    fn chosen(&self, scores: &HeadScores) -> Vec<Head> {
        let top = self.top.unwrap_or(usize::MAX);
        let mut chosen: Vec<Head> = Behaviour::ALL
            .into_iter()
            .flat_map(|behaviour| scores.ranking(behaviour).into_iter().take(top))
            .map(|(head, _)| head)
            .collect();
        chosen.sort();
        chosen.dedup();
        chosen
    }

    /// The best heads of each kind.
    fn best(&self, scores: &HeadScores) -> String {
        let best = Behaviour::ALL.map(|behaviour| {
            let ranking = scores.ranking(behaviour);
            let heads = ranking.iter().take(self.top.unwrap_or(1));
            let heads = heads.map(|&(head, value)| {
                let chance = scores.by_chance(head, behaviour).unwrap_or(f64::NAN);
                format!("{head} ({}, by chance {})", score(value), score(chance))
            });
            let heads: Vec<String> = heads.collect();
            format!("{:<25}{}", told(behaviour), heads.join(", "))
        });
        best.join("\n")
    }

    fn report(&self, n: usize, scores: &HeadScores, along: &[Measured]) -> serde_json::Value {
        let of = |scores: &HeadScores, head| {
            let named = Behaviour::ALL.map(|b| (b.to_string(), json!(scores.get(head, b))));
            serde_json::Map::from_iter(named)
        };
        let heads = self.chosen(scores).into_iter().map(|head| {
            let chance = Behaviour::ALL.map(|b| (b.to_string(), json!(scores.by_chance(head, b))));
            let chance = serde_json::Map::from_iter(chance);
            json!({ "layer": head.layer, "head": head.head, "scores": of(scores, head), "chance": chance })
        });
        let best = Behaviour::ALL.map(|behaviour| {
            let ranking = scores.ranking(behaviour);
            let heads = ranking.iter().take(self.top.unwrap_or(1));
            let heads = heads.map(|&(head, score)| {
                let chance = scores.by_chance(head, behaviour);
                json!({ "layer": head.layer, "head": head.head, "score": score, "chance": chance })
            });
            (behaviour.to_string(), heads.collect())
        });
        let mut report = json!({
            "model": self.of.model,
            "length": n,
            "sequences": self.sequences,
            "seed": self.seed,
            "heads": heads.collect::<Vec<_>>(),
            "best": serde_json::Map::from_iter(best),
        });
        if self.checkpoints {
            let all = along.iter().map(|measured| {
                let heads = scores.heads().map(|head| {
                    json!({ "layer": head.layer, "head": head.head, "scores": of(&measured.scores, head) })
                });
                json!({
                    "model": measured.folder,
                    "tokens": tokens_seen(&measured.folder),
                    "nats_a_token": measured.loss,
                    "induction_accuracy": measured.accuracy,
                    "heads": heads.collect::<Vec<_>>(),
                })
            });
            report["checkpoints"] = all.collect();
            let formed = FOLLOWED.into_iter().filter_map(|behaviour| {
                let (head, series) = series(behaviour, scores, along)?;
                let chance = scores.by_chance(head, behaviour)?;
                let at = formed(&series, chance).and_then(|at| along.get(at));
                let formed = json!({
                    "layer": head.layer,
                    "head": head.head,
                    "scores": series,
                    "formed": at.map(|at| &at.folder),
                });
                Some((behaviour.to_string(), formed))
            });
            report["followed"] = serde_json::Map::from_iter(formed).into();
        }
        report
    }
}

/// The best final head of a kind, and its score at every checkpoint.
fn series(
    behaviour: Behaviour,
    scores: &HeadScores,
    along: &[Measured],
) -> Option<(Head, Vec<f64>)> {
    let (head, _) = *scores.ranking(behaviour).first()?;
    let at = along
        .iter()
        .map(|measured| measured.scores.get(head, behaviour));
    Some((head, at.collect::<Option<_>>()?))
}

/// A checkpoint a line, and when each head formed.
fn followed(scores: &HeadScores, along: &[Measured]) -> String {
    let folders: Vec<PathBuf> = along.iter().map(|at| at.folder.clone()).collect();
    let names = checkpoints::names(&folders);
    let all: Vec<_> = FOLLOWED
        .into_iter()
        .filter_map(|behaviour| Some((behaviour, series(behaviour, scores, along)?)))
        .collect();
    let mut header = vec!["model".to_owned()];
    header.extend(
        all.iter()
            .map(|(behaviour, (head, _))| format!("{behaviour} {head}")),
    );
    header.extend(["loss", "induction probes"].map(str::to_owned));
    let mut table = table(header);
    for (i, (at, name)) in along.iter().zip(&names).enumerate() {
        let mut row = vec![name.clone()];
        row.extend(all.iter().map(|(_, (_, series))| score(series[i])));
        row.push(format!("{:.4}", at.loss));
        row.push(
            at.accuracy
                .map_or("–".to_owned(), |share| format!("{:.1}%", 100.0 * share)),
        );
        table.add_row(row);
    }
    let mut told_all = vec![lines(&table), String::new()];
    for (behaviour, (head, series)) in &all {
        let (Some(&last), Some(chance)) = (series.last(), scores.by_chance(*head, *behaviour))
        else {
            continue;
        };
        let head = format!("{} {head}", told(*behaviour));
        told_all.push(match formed(series, chance) {
            Some(at) => format!(
                "{head} formed by {}: {} is the first score half of the way from chance to the final {}",
                names[at],
                score(series[at]),
                score(last)
            ),
            None => format!(
                "{head} has not formed: its final {} is less than twice the {} of chance",
                score(last),
                score(chance)
            ),
        });
    }
    told_all.join("\n")
}

/// Nats a token on held-out text of the built-in corpus, each document alone.
fn held_out_loss(opened: &Opened, seed: u64) -> anyhow::Result<f64> {
    let (decoder, tokenizer) = (&opened.decoder, &opened.tokenizer);
    let mut tokens = 0;
    let texts: Vec<String> = Corpus::of(seed, Split::Validation)
        .map(|document| document.text)
        .take_while(|text| {
            let more = tokens < TOKENS;
            tokens += tokenizer.encode(text).len() + 1;
            more
        })
        .collect();
    let mut tally = Tally::default();
    for reading in read(decoder, tokenizer, opened.end()?, &texts)? {
        tally.add(&reading);
    }
    Ok(tally.loss())
}

fn told(behaviour: Behaviour) -> &'static str {
    match behaviour {
        Behaviour::Previous => "previous-token head",
        Behaviour::Induction => "induction head",
        Behaviour::Duplicate => "duplicate-token head",
        Behaviour::First => "first-token head",
        Behaviour::Own => "head on the token itself",
    }
}

fn score(score: f64) -> String {
    format!("{score:.3}")
}
