//! Learning a vocabulary, solved.

use std::{cmp::Reverse, collections::HashMap};

/// What is learned from `words`, each with how often it occurs: at most `merges` pairs, the first one first.
pub fn train_bpe(words: &[(&str, u64)], merges: usize) -> Vec<(String, String)> {
    let mut words: Vec<(Vec<String>, u64)> = words
        .iter()
        .map(|&(word, times)| (word.chars().map(String::from).collect(), times))
        .collect();
    let mut learned = Vec::new();
    while learned.len() < merges {
        let best = count(&words).into_iter().max_by_key(|((l, r), times)| {
            let piece = [l.as_str(), r].concat();
            (*times, Reverse((piece.chars().count(), piece)))
        });
        let Some((pair, _)) = best else { break };
        for (symbols, _) in &mut words {
            merge(symbols, &pair);
        }
        learned.push(pair);
    }
    learned
}

type Pair = (String, String);

/// How often each pair would be replaced.
fn count(words: &[(Vec<String>, u64)]) -> HashMap<Pair, u64> {
    let mut counts = HashMap::new();
    for (symbols, times) in words {
        let mut last = HashMap::new();
        for (i, pair) in symbols.windows(2).enumerate() {
            let pair = (pair[0].clone(), pair[1].clone());
            // A pair that overlaps itself has two equal halves; its right one is used up.
            if last.get(&pair).is_some_and(|&at| at + 1 == i) {
                continue;
            }
            last.insert(pair.clone(), i);
            *counts.entry(pair).or_default() += times;
        }
    }
    counts
}

fn merge(symbols: &mut Vec<String>, (left, right): &Pair) {
    let mut i = 0;
    while i + 1 < symbols.len() {
        if symbols[i] == *left && symbols[i + 1] == *right {
            symbols[i].push_str(right);
            symbols.remove(i + 1);
        }
        i += 1;
    }
}
