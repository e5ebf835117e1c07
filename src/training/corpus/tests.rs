//! What must hold of the corpus as a whole: where documents come from, what they cost, and which items each split has.

mod kinds;

use super::{
    draw::{TRAINING_SHARE, held_out},
    *,
};
use crate::training::skills::{Skill, probes};
use aho_corasick::AhoCorasick;
use std::collections::{BTreeMap, HashMap};

/// Catches: a choice that does not come from the seed; documents that depend on those before them; splits or seeds that share a stream.
#[test]
fn documents_follow_from_seed_and_index_alone() {
    let corpus = Corpus::new(3);
    let first: Vec<_> = corpus.clone().take(50).collect();
    assert_eq!(first, Corpus::new(3).take(50).collect::<Vec<_>>());
    assert_eq!(corpus.clone().nth(31).as_ref(), first.get(31));
    assert_eq!(corpus.document(17), first[17]);
    for other in [Corpus::new(4), Corpus::of(3, Split::Validation)] {
        let other: Vec<_> = other.take(50).collect();
        assert!(first.iter().zip(&other).all(|(a, b)| a.text != b.text));
    }
}

/// Catches: another way of drawing, which would change every corpus ever made from a seed.
#[test]
fn draws_are_those_of_ever() {
    let mut draw = Draw::new(1, 2, Split::Train);
    let drawn: Vec<usize> = (0..6).map(|_| draw.below(1000)).collect();
    assert_eq!(drawn, [662, 405, 413, 802, 573, 37]);
}

/// Catches: weights that are not those of the table, or that are read off by one; names that do not lead back to their kinds.
#[test]
fn the_mixture_is_as_stated() {
    assert_eq!(MIXTURE.map(|(_, weight)| weight).iter().sum::<usize>(), 100);
    let n = 20_000;
    let mut seen: BTreeMap<Kind, usize> = BTreeMap::new();
    for document in Corpus::new(0).take(n) {
        *seen.entry(document.kind).or_default() += 1;
    }
    for (kind, weight) in MIXTURE {
        let share = weight as f64 / 100.0;
        let (drawn, spread) = (
            seen[&kind] as f64,
            (n as f64 * share * (1.0 - share)).sqrt(),
        );
        assert!(
            (drawn - n as f64 * share).abs() < 5.0 * spread,
            "{kind}: {drawn}"
        );
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    let error = "poem".parse::<Kind>().unwrap_err().to_string();
    assert!(
        error.contains("poem") && error.contains("brackets"),
        "{error}"
    );
}

/// Catches: a puzzle that does not keep its items apart, or one kind that lets out what another holds back.
#[test]
fn no_probe_is_in_the_training_text() {
    let mut wanted = Vec::new();
    for skill in Skill::ALL {
        for probe in probes(skill, 300, 5) {
            let text = probe.text();
            // The first copy alone, with the bar, would be too much to have seen.
            let seen = text
                .split_once(" | ")
                .map_or(text.trim(), |(first, _)| first);
            wanted.push(match skill {
                // Else 2+7=9 would be found in 92+7=99.
                Skill::Arithmetic => format!("\n{seen}\n"),
                Skill::Induction => format!("\n{seen} | "),
                _ => format!("\n{seen}\n"),
            });
            if skill == Skill::Translation {
                wanted.extend(seen.lines().map(|line| format!("\n{line}\n")));
            }
        }
    }
    let mut all = String::from("\n");
    for document in Corpus::new(9) {
        all.push_str(&document.text.replace('\n', "\n\n"));
        all.push_str("\n\n");
        if all.len() > 6_000_000 {
            break;
        }
    }
    let wanted: Vec<String> = wanted
        .iter()
        .map(|w| format!("\n{}\n", w.trim().replace('\n', "\n\n")))
        .collect();
    let found = AhoCorasick::new(&wanted).unwrap().find(&all);
    assert!(
        found.is_none(),
        "{:?}",
        found.map(|found| &wanted[found.pattern()])
    );
    // The scan does find what is there.
    let there = format!(
        "\n{}\n",
        Corpus::new(9)
            .only(Kind::Arithmetic)
            .nth(1)
            .unwrap()
            .text
            .lines()
            .next()
            .unwrap()
    );
    assert!(there.contains('=') && all.contains(&there), "{there}");
}

/// Catches: a hash that keeps too many or too few.
#[test]
fn an_eighth_is_held_out() {
    let n = 80_000;
    let kept = (0..n).filter(|i| !held_out(&i.to_string())).count() as f64 / f64::from(n);
    assert!((kept - TRAINING_SHARE).abs() < 0.005, "{kept}");
}

/// What `item` draws, and the bits that each text cost, which must be the same every time.
fn code(split: Split, n: u64, item: impl Fn(&mut Draw) -> String) -> HashMap<String, f64> {
    let mut bits = HashMap::new();
    for stream in 0..n {
        let mut draw = Draw::new(1, stream, split);
        let text = item(&mut draw);
        let cost = bits.entry(text).or_insert(draw.bits);
        assert!((*cost - draw.bits).abs() < 1e-9);
    }
    bits
}

/// Catches: a share of held-out items that is not theirs; a choice that is not counted, or counted twice. A code that reaches every text has
/// $\sum 2^{-\text{bits}} = 1$: below it bits are wasted, above it there are fewer than it takes.
#[test]
fn bits_are_those_of_the_enumeration() {
    for split in [Split::Train, Split::Validation] {
        for (name, item) in [
            ("arithmetic", puzzles::arithmetic as fn(&mut Draw) -> Item),
            ("counting", puzzles::counting),
        ] {
            let bits = code(split, 200_000, |draw| item(draw).text());
            let sum: f64 = bits.values().map(|bits| (-bits).exp2()).sum();
            assert!(
                (sum - 1.0).abs() < 2e-3,
                "{name}, {split:?}: {sum} over {}",
                bits.len()
            );
        }
    }
    let weighted = code(Split::Train, 2_000, |draw| {
        draw.weighted(&[1, 2, 5]).to_string()
    });
    assert_eq!((weighted["0"], weighted["1"]), (3.0, 2.0));
    let distinct = code(Split::Train, 2_000, |draw| {
        format!("{:?}", draw.distinct(4, 2))
    });
    assert_eq!(distinct.len(), 12);
    assert!(
        distinct
            .values()
            .all(|bits| (bits - 12_f64.log2()).abs() < 1e-12)
    );
}

/// Catches: a saving that is not said, or said twice: without it the code is one of both halves together.
#[test]
fn bits_without_the_split_are_those_of_both_halves_together() {
    let mut bits = HashMap::new();
    for split in [Split::Train, Split::Validation] {
        for stream in 0..200_000 {
            let mut draw = Draw::new(1, stream, split);
            let text = puzzles::arithmetic(&mut draw).text();
            bits.insert(text, draw.bits + draw.split_bits);
        }
    }
    let sum: f64 = bits.values().map(|bits| (-bits).exp2()).sum();
    assert!((sum - 1.0).abs() < 2e-3, "{sum}");
    let document = |kind, split| Corpus::of(1, split).only(kind).document(0).split_bits;
    assert_eq!(document(Kind::Story, Split::Validation), 0.0);
    let known = document(Kind::Recall, Split::Validation);
    assert!((known - 3.0).abs() < 1e-12, "{known}");
    assert!(document(Kind::Recall, Split::Train) < 0.2);
}

/// Catches: a kind whose choices cost nothing, or that costs more than its letters.
#[test]
fn bits_are_positive_and_plausible() {
    for kind in Kind::all() {
        for document in Corpus::new(2).only(kind).take(300) {
            let letters = document.text.chars().count() as f64;
            assert!(
                document.bits > 1.0 && document.bits < 6.0 * letters,
                "{document:?}"
            );
        }
    }
    let alone = Corpus::new(2).only(Kind::Rust).document(0);
    assert!(alone.bits.is_finite());
}
