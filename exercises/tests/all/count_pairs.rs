use crate::{
    compare::equal,
    harness::{Finding, Trial, case, property, say},
};
use baichuan2::bpe::learn_merges;
use proptest::{collection::vec, prelude::*, sample::select};
use std::collections::{BTreeMap, BTreeSet};
use your_code::count_pairs::{Pair, Word, count_pairs, most_frequent};

type Counts = BTreeMap<Pair, u64>;

/// Words of few letters, so that pairs meet and overlap.
fn words() -> impl Strategy<Value = Vec<Word>> {
    let symbol = select(vec!["a", "b", "ab", "界"]).prop_map(str::to_owned);
    vec((vec(symbol, 0..6), 1..4_u64), 0..4)
}

fn word(symbols: &str, frequency: u64) -> Word {
    (
        symbols.split_whitespace().map(str::to_owned).collect(),
        frequency,
    )
}

fn pair(left: &str, right: &str) -> Pair {
    (left.to_owned(), right.to_owned())
}

/// By the definition: merges each pair everywhere, and counts how often that replaced something.
fn oracle(words: &[Word]) -> Counts {
    let pairs: BTreeSet<Pair> = words
        .iter()
        .flat_map(|(symbols, _)| symbols.windows(2))
        .map(|two| (two[0].clone(), two[1].clone()))
        .collect();
    let replaced = |symbols: &[String], pair: &Pair| {
        let (mut i, mut count) = (0, 0);
        while i + 1 < symbols.len() {
            if symbols[i] == pair.0 && symbols[i + 1] == pair.1 {
                count += 1;
                i += 1;
            }
            i += 1;
        }
        count
    };
    let count = |pair: &Pair| {
        words
            .iter()
            .map(|(symbols, n)| n * replaced(symbols, pair))
            .sum()
    };
    pairs
        .into_iter()
        .map(|pair| (pair.clone(), count(&pair)))
        .collect()
}

/// Every two neighbours, overlapping or not.
fn overlapping(words: &[Word]) -> Counts {
    let mut counts = Counts::new();
    for (symbols, n) in words {
        for two in symbols.windows(2) {
            *counts.entry((two[0].clone(), two[1].clone())).or_default() += n;
        }
    }
    counts
}

fn check(words: &[Word]) -> Finding {
    let got = count_pairs(words);
    let once: Vec<Word> = words
        .iter()
        .map(|(symbols, _)| (symbols.clone(), 1))
        .collect();
    let shorter: Vec<Word> = words
        .iter()
        .map(|(symbols, n)| (symbols[..symbols.len().saturating_sub(1)].to_vec(), *n))
        .collect();
    let joined = vec![(
        words
            .iter()
            .flat_map(|(symbols, _)| symbols.clone())
            .collect(),
        1,
    )];
    let mut swapped = Counts::new();
    for ((left, right), n) in oracle(words) {
        swapped.insert((right, left), n);
    }
    equal(say("the counts", "计数"), &got, &oracle(words))
        .given("words", &words.to_vec())
        .smell(
            say(
                "overlapping pairs count twice: in `a a a` only one can be \
                merged",
                "重叠的对数了两次：`a a a` 里只有一对能合并",
            ),
            overlapping(words),
        )
        .smell(
            say(
                "the frequency of a word is not used: a word that occurs n \
                times counts n times",
                "没有用词频：出现 n 次的词要计 n 次",
            ),
            oracle(&once),
        )
        .smell(
            say("pairs reach across words", "对跨越了词的边界"),
            oracle(&joined),
        )
        .smell(
            say(
                "the last pair of each word is missing",
                "每个词的最后一对漏了",
            ),
            oracle(&shorter),
        )
        .smell(say("left and right change places", "左右对调了"), swapped)
        .check()
}

fn first(counts: &Counts) -> Option<Pair> {
    // The definition once more: the best of all that beat none.
    let key = |p: &Pair| {
        let piece = format!("{}{}", p.0, p.1);
        (piece.chars().count(), piece, p.0.len())
    };
    let most = counts.values().max()?;
    let mut best: Vec<&Pair> = counts
        .iter()
        .filter(|(_, n)| *n == most)
        .map(|(p, _)| p)
        .collect();
    best.sort_by_key(|p| key(p));
    best.first().map(|p| (*p).clone())
}

fn check_first(counts: &Counts) -> Finding {
    let got = most_frequent(counts);
    equal(
        say("the pair to be merged first", "最先合并的对"),
        &got,
        &first(counts),
    )
    .given("counts", &counts.iter().collect::<Vec<_>>())
    .smell(
        say(
            "of equals, the last in the order of pairs",
            "并列时取了排在最后的对",
        ),
        counts
            .iter()
            .max_by_key(|(_, n)| **n)
            .map(|(p, _)| p.clone()),
    )
    .smell(
        say(
            "of equals, the first in the order of pairs, whatever its \
                length",
            "并列时取了排在最前的对，没有看长短",
        ),
        counts
            .iter()
            .rev()
            .max_by_key(|(_, n)| **n)
            .map(|(p, _)| p.clone()),
    )
    .smell(
        say("the rarest", "取了最少见的"),
        counts
            .iter()
            .min_by_key(|(_, n)| **n)
            .map(|(p, _)| p.clone()),
    )
    .smell(
        say("of equals, the longer piece", "并列时取了更长的"),
        counts
            .iter()
            .max_by_key(|((l, r), n)| (**n, l.chars().count() + r.chars().count()))
            .map(|(p, _)| p.clone()),
    )
    .smell(
        say(
            "length is counted in bytes; characters are meant",
            "长度按字节算了；应按字符",
        ),
        counts
            .iter()
            .min_by_key(|((l, r), n)| {
                (
                    std::cmp::Reverse(**n),
                    l.len() + r.len(),
                    [l.as_str(), r].concat(),
                    l.len(),
                )
            })
            .map(|(p, _)| p.clone()),
    )
    .check()
}

pub fn trials() -> Vec<Trial> {
    vec![
        case(
            "counts_neighbours_of_a_word",
            "数一个词里的相邻对",
            || check(&[word("l o w e r", 2), word("l o w", 5)]),
        ),
        case("an_overlap_counts_once", "重叠只算一次", || {
            for n in 2..7 {
                check(&[(vec!["a".to_owned(); n], 1)])?;
            }
            // Two words side by side do not overlap.
            check(&[word("a a", 1), word("a a", 1)])
        }),
        property(
            "counts_what_a_merge_replaces",
            "数的是一次合并会替换多少处",
            words(),
            |words| check(&words),
        ),
        property(
            "of_equals_takes_the_shorter_then_the_first",
            "并列时先取短的，再取靠前的",
            words(),
            |words| check_first(&oracle(&words)),
        ),
        case("length_is_in_characters", "长度按字符数", || {
            // 界界 has two characters and six bytes; aaa has three and three.
            check_first(&[(pair("a", "aa"), 3), (pair("界", "界"), 3)].into())?;
            // ab + c and a + bc make the same piece.
            check_first(
                &[
                    (pair("ab", "c"), 3),
                    (pair("a", "bc"), 3),
                    (pair("c", "ab"), 2),
                ]
                .into(),
            )?;
            check_first(&Counts::new())
        }),
        property(
            "asks_what_the_trainer_asks_first",
            "选出的与训练器的第一次合并相同",
            vec(("[ab界]{1,6}", 1..4_u64), 1..4),
            |texts| {
                let words: Vec<Word> = texts
                    .iter()
                    .map(|(text, n)| (text.chars().map(String::from).collect(), *n))
                    .collect();
                let learned = learn_merges(
                    texts.iter().map(|(text, n)| (text.as_str(), *n)),
                    1,
                    |_| true,
                    |_| {},
                )
                .expect("few words");
                let counts = count_pairs(&words);
                let got = most_frequent(&counts).map(|pair| (counts.get(&pair).copied(), pair));
                let expected = learned
                    .first()
                    .map(|merge| (Some(merge.count), pair(&merge.left, &merge.right)));
                equal(
                    say("the first merge, with its count", "第一个合并及其次数"),
                    &got,
                    &expected,
                )
                .given("words", &words)
                .check()
            },
        ),
    ]
}
