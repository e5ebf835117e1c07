use crate::{
    compare::equal,
    harness::{Finding, Trial, case, property, say},
};
use baichuan2::{
    bpe::{SPACE, learn_merges},
    training::corpus::{Corpus, Kind},
};
use proptest::collection::vec;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};
use your_code::train_bpe::train_bpe;

type Learned = Vec<(String, String)>;

fn oracle(words: &[(&str, u64)], merges: usize) -> Learned {
    let learned = learn_merges(words.iter().copied(), merges, |_| true, |_| ());
    let learned = learned.expect("few words");
    learned
        .into_iter()
        .map(|merge| (merge.left, merge.right))
        .collect()
}

/// What people get wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mistake {
    OverlapsCountTwice,
    TimesForgotten,
    AcrossWords,
    CountedOnce,
    LengthInBytes,
    LongerFirst,
    LengthForgotten,
    LastFirst,
}

/// What training gives with a mistake in it.
fn mistaken(words: &[(&str, u64)], merges: usize, mistake: Mistake) -> Learned {
    use Mistake::*;
    let mut text: Vec<(Vec<String>, u64)> = words
        .iter()
        .map(|&(w, n)| (w.chars().map(String::from).collect(), n))
        .collect();
    if mistake == TimesForgotten {
        text.iter_mut().for_each(|(_, times)| *times = 1);
    }
    if mistake == AcrossWords {
        let all = text
            .iter()
            .flat_map(|(word, times)| (0..*times).flat_map(|_| word.clone()));
        text = vec![(all.collect(), 1)];
    }
    let count = |text: &[(Vec<String>, u64)]| {
        let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
        for (word, times) in text {
            let mut last: HashMap<[&str; 2], usize> = HashMap::new();
            for (i, two) in word.windows(2).enumerate() {
                let pair = [two[0].as_str(), &two[1]];
                if mistake == OverlapsCountTwice || last.get(&pair).is_none_or(|&at| at + 1 < i) {
                    last.insert(pair, i);
                    *counts.entry((two[0].clone(), two[1].clone())).or_default() += times;
                }
            }
        }
        counts
    };
    let in_front = |((l, r), n): (&(String, String), &u64)| {
        let piece = [l.as_str(), r].concat();
        let length = match mistake {
            LengthInBytes => piece.len() as i64,
            LongerFirst => -(piece.chars().count() as i64),
            LengthForgotten => 0,
            _ => piece.chars().count() as i64,
        };
        let (first, last) = if mistake == LastFirst {
            (String::new(), piece)
        } else {
            (piece, String::new())
        };
        (*n, Reverse((length, first)), last)
    };
    let mut learned = Learned::new();
    let once = count(&text);
    while learned.len() < merges {
        let counts = if mistake == CountedOnce {
            once.clone()
        } else {
            count(&text)
        };
        let candidates = counts
            .iter()
            .filter(|(pair, _)| mistake != CountedOnce || !learned.contains(pair));
        let Some((pair, _)) = candidates.max_by_key(|&c| in_front(c)) else {
            break;
        };
        for (word, _) in &mut text {
            let mut i = 0;
            while i + 1 < word.len() {
                if word[i] == pair.0 && word[i + 1] == pair.1 {
                    let right = word.remove(i + 1);
                    word[i].push_str(&right);
                }
                i += 1;
            }
        }
        learned.push(pair.clone());
    }
    learned
}

fn check(words: &[(&str, u64)], merges: usize) -> Finding {
    let (got, expected) = (train_bpe(words, merges), oracle(words, merges));
    if got == expected {
        return Ok(());
    }
    let smells = [
        (
            Mistake::OverlapsCountTwice,
            say(
                "the middle of aaa counts for two pairs; it can be replaced once",
                "aaa 中间那个算进了两对；它只能被替换一次",
            ),
        ),
        (
            Mistake::TimesForgotten,
            say(
                "each word counts once, however often it occurs",
                "每个词只算了一次，没有乘上出现的次数",
            ),
        ),
        (
            Mistake::AcrossWords,
            say(
                "a pair reaches from one word into the next",
                "有一对跨过了词的边界",
            ),
        ),
        (
            Mistake::CountedOnce,
            say(
                "counted once, before the first merge; after each merge the pairs are others",
                "只在第一次合并之前数过；每次合并之后，对就变了",
            ),
        ),
        (
            Mistake::LengthInBytes,
            say(
                "length is counted in bytes; count characters",
                "长度按字节算了；应按字符算",
            ),
        ),
        (
            Mistake::LongerFirst,
            say(
                "of equally frequent pairs the longer piece wins; the shorter one should",
                "次数相同时选了较长的片段；应选较短的",
            ),
        ),
        (
            Mistake::LengthForgotten,
            say(
                "of equally frequent pairs the first in order wins, whatever its length; the shorter one comes first",
                "次数相同时只看了字典序；应先看谁更短",
            ),
        ),
        (
            Mistake::LastFirst,
            say(
                "of equally frequent pairs the last in order wins; the first one should",
                "次数相同时选了字典序靠后的；应选靠前的",
            ),
        ),
    ];
    // Of a long list, what lies around the first difference.
    let first = (0..got.len().max(expected.len()))
        .find(|&i| got.get(i) != expected.get(i))
        .expect("they differ");
    let start = first.saturating_sub(2);
    let around = |learned: &Learned| {
        let end = learned.len().min(first + 3);
        (start..end)
            .map(|i| (i, learned[i].clone()))
            .collect::<Vec<_>>()
    };
    let (near_got, near_expected) = (around(&got), around(&expected));
    let what = say(
        "what is learned, around the first difference",
        "学到的合并，在第一处不同的附近",
    );
    let mut comparison = equal(what, &near_got, &near_expected)
        .given("words", &words.to_vec())
        .given("merges", &merges);
    for (mistake, text) in smells {
        if mistaken(words, merges, mistake) == got {
            comparison = comparison.smell(text, near_got.clone());
        }
    }
    comparison.check()
}

fn owned(words: &[(String, u64)]) -> Vec<(&str, u64)> {
    words
        .iter()
        .map(|(word, times)| (word.as_str(), *times))
        .collect()
}

pub fn trials() -> Vec<Trial> {
    vec![
        case(
            "does_the_example_of_the_page",
            "做对页面上的例子",
            || check(&[("aaabdaaabac", 1)], 3),
        ),
        property(
            "learns_from_a_word",
            "从一个词里学",
            ("[ab]{2,12}|(ab|aab|ba){1,6}|[abc]{2,16}", 1..12_usize),
            |(word, merges)| check(&[(&word, 1)], merges),
        ),
        property(
            "learns_from_words_that_occur_often",
            "从多次出现的词里学",
            (vec(("[abc]{1,6}", 1..5_u64), 0..5), 1..10_usize),
            |(words, merges)| check(&owned(&words), merges),
        ),
        case(
            "a_word_ends_where_it_ends",
            "词到哪里为止，就到哪里为止",
            || check(&[("ab", 1), ("ca", 1), ("ca", 1)], 5),
        ),
        case("takes_the_shorter_of_equals", "并列时取短的", || {
            // After `aa` there are `aab` and `yz`; the longer one is first in order.
            check(&[("aab", 2), ("aa", 1), ("yz", 2)], 3)
        }),
        case(
            "counts_characters_and_not_bytes",
            "数字符，不数字节",
            || {
                // After `bb`: `bba` is three bytes and three characters, `一二` is six and two.
                check(&[("bba", 2), ("bb", 1), ("一二", 2)], 3)
            },
        ),
        case(
            "ends_where_nothing_is_left",
            "没有可合并的就结束",
            || {
                check(&[], 3)?;
                check(&[("a", 9), ("", 9)], 3)?;
                check(&[("abc", 1)], 100)
            },
        ),
        case(
            "learns_from_stories_as_the_repository_does",
            "从故事里学到的与本仓库相同",
            || {
                let mut words: BTreeMap<String, u64> = BTreeMap::new();
                for story in Corpus::new(0).only(Kind::Story).take(20) {
                    for word in story.text.split_whitespace() {
                        *words.entry(format!("{SPACE}{word}")).or_default() += 1;
                    }
                }
                let words: Vec<_> = words.into_iter().collect();
                check(&owned(&words), 60)
            },
        ),
    ]
}
