use crate::{
    compare::equal,
    harness::{Finding, Trial, case, property, say},
};
use baichuan2::bpe::{Kind, Vocabulary, encode_formal};
use proptest::{collection::vec, prelude::*};
use your_code::merge_pair::{merge_pair, undo};

type Pair = (u32, u32);

fn undone() -> String {
    say("with every merge undone", "撤销所有合并之后")
}

/// What a BPE encoder does whose vocabulary has one piece of two letters.
fn oracle(tokens: &[u32], (left, right): Pair, new: u32) -> Vec<u32> {
    let letter = |token| char::from_u32(u32::from('a') + token).expect("few symbols");
    let piece: String = [letter(left), letter(right)].iter().collect();
    let mut vocabulary = Vocabulary::default();
    vocabulary
        .push(&piece, 0.0, Kind::Normal)
        .expect("a new piece");
    let text: String = tokens.iter().copied().map(letter).collect();
    let id = |piece: &str| match piece.chars().collect::<Vec<_>>()[..] {
        [only] => u32::from(only) - u32::from('a'),
        _ => new,
    };
    encode_formal(&vocabulary, &text)
        .into_iter()
        .map(id)
        .collect()
}

/// The same from right to left.
fn from_the_right(tokens: &[u32], (left, right): Pair, new: u32) -> Vec<u32> {
    let turned: Vec<u32> = tokens.iter().rev().copied().collect();
    let mut merged = oracle(&turned, (right, left), new);
    merged.reverse();
    merged
}

/// A new symbol for every place, the middle of `0 0 0` used twice.
fn overlapping(tokens: &[u32], pair: Pair, new: u32) -> Vec<u32> {
    let mut merged = Vec::new();
    for (i, &token) in tokens.iter().enumerate() {
        let starts = |i: usize| tokens.get(i..i + 2).is_some_and(|t| (t[0], t[1]) == pair);
        if starts(i) {
            merged.push(new);
        } else if i == 0 || !starts(i - 1) {
            merged.push(token);
        }
    }
    merged
}

/// A new symbol for the left half, and the right half looked at again.
fn right_half_stays(tokens: &[u32], pair: Pair, new: u32) -> Vec<u32> {
    let starts = |i: usize| tokens.get(i..i + 2).is_some_and(|t| (t[0], t[1]) == pair);
    tokens
        .iter()
        .enumerate()
        .map(|(i, &token)| if starts(i) { new } else { token })
        .collect()
}

/// Replaces the symbols that merges made by their halves, merge by merge.
fn expanded(tokens: &[u32], merges: impl Iterator<Item = (u32, Pair)>) -> Vec<u32> {
    merges.fold(tokens.to_vec(), |tokens, (made, (left, right))| {
        let halves = |token| {
            if token == made {
                vec![left, right]
            } else {
                vec![token]
            }
        };
        tokens.into_iter().flat_map(halves).collect()
    })
}

/// Merges, each of symbols that are there by then; the first makes 3.
fn merges() -> impl Strategy<Value = Vec<Pair>> {
    vec(
        (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        0..6,
    )
    .prop_map(|choices| {
        let pair = |(k, (l, r)): (usize, (prop::sample::Index, prop::sample::Index))| {
            (l.index(3 + k) as u32, r.index(3 + k) as u32)
        };
        choices.into_iter().enumerate().map(pair).collect()
    })
}

fn check(tokens: &[u32], pair: Pair, new: u32) -> Finding {
    let expected = oracle(tokens, pair, new);
    let first = tokens.windows(2).position(|t| (t[0], t[1]) == pair);
    let only_first = first.map_or(tokens.to_vec(), |at| {
        [&tokens[..at], &[new], &tokens[at + 2..]].concat()
    });
    let without_last = expected[..expected.len().saturating_sub(1)].to_vec();
    equal(
        say("after the merge", "合并之后"),
        &merge_pair(tokens, pair, new),
        &expected,
    )
    .given("tokens", &tokens.to_vec())
    .given("pair", &vec![pair.0, pair.1])
    .given("new", &new)
    .smell(
        say(
            "pairs are taken from the right; take them from the left",
            "从右往左取了；应从左往右",
        ),
        from_the_right(tokens, pair, new),
    )
    .smell(
        say(
            "a symbol is used for two pairs: after a merge go on behind both",
            "一个符号用了两次：合并之后，应从两者之后继续",
        ),
        overlapping(tokens, pair, new),
    )
    .smell(
        say(
            "the right half of a pair is written once more: after a merge go on behind both",
            "右边那一半又写了一遍：合并之后，应从两者之后继续",
        ),
        right_half_stays(tokens, pair, new),
    )
    .smell(
        say(
            "the two are looked for in the other order",
            "两个符号的次序反了",
        ),
        oracle(tokens, (pair.1, pair.0), new),
    )
    .smell(
        say("only the first place is merged", "只合并了第一处"),
        only_first,
    )
    .smell(
        say("the last symbol got lost", "丢了最后一个符号"),
        without_last,
    )
    .smell(say("nothing is merged", "什么也没有合并"), tokens.to_vec())
    .check()
}

pub fn trials() -> Vec<Trial> {
    vec![
        case(
            "does_the_example_of_the_page",
            "做对页面上的例子",
            || check(&[0, 0, 0, 1, 3, 0, 0, 0, 1, 0, 2], (0, 0), 4),
        ),
        property(
            "merges_from_left_to_right",
            "从左到右合并",
            (vec(0..3_u32, 0..10), (0..3_u32, 0..3_u32)),
            |(tokens, pair)| check(&tokens, pair, 3),
        ),
        property(
            "takes_everything_apart",
            "能全部拆开",
            merges().prop_flat_map(|merges| {
                let symbols = 3 + merges.len() as u32;
                (vec(0..symbols, 0..6), Just(merges))
            }),
            |(tokens, merges)| {
                let made = || (3..).zip(merges.iter().copied());
                let mut backwards: Vec<_> = made().collect();
                backwards.reverse();
                let exchanged = backwards.iter().map(|&(made, (l, r))| (made, (r, l)));
                equal(
                    undone(),
                    &undo(&tokens, &merges, 3),
                    &expanded(&tokens, backwards.iter().copied()),
                )
                .given("tokens", &tokens)
                .given("merges", &merges)
                .given("first", &3_u32)
                .smell(
                    // To take every symbol apart once gives the same.
                    say(
                        "symbols that merges made are still there: begin with the last merge, or take apart what comes out, too",
                        "还剩下合并出来的符号：应从最后一次合并开始，或把拆出来的接着拆",
                    ),
                    expanded(&tokens, made()),
                )
                .smell(
                    say("left and right change places", "左右对调了"),
                    expanded(&tokens, exchanged),
                )
                .smell(say("nothing is undone", "什么也没有撤销"), tokens.clone())
                .check()
            },
        ),
        property(
            "loses_nothing",
            "什么也不丢",
            (
                vec(0..3_u32, 0..24),
                vec(any::<prop::sample::Index>(), 0..8),
            ),
            |(text, choices)| {
                // Merges what stands side by side somewhere, as training does.
                let (mut tokens, mut merges) = (text.clone(), Vec::new());
                for (choice, new) in choices.iter().zip(3..) {
                    if tokens.len() < 2 {
                        break;
                    }
                    let at = choice.index(tokens.len() - 1);
                    let pair = (tokens[at], tokens[at + 1]);
                    tokens = merge_pair(&tokens, pair, new);
                    merges.push(pair);
                }
                equal(
                    say("merged, and undone", "合并，再撤销"),
                    &undo(&tokens, &merges, 3),
                    &text,
                )
                .given("text", &text)
                .given("merges", &merges)
                .given("merged", &tokens)
                .check()
            },
        ),
        case(
            "goes_as_deep_as_the_merges_do",
            "合并有多深就拆多深",
            || {
                // The k-th symbol stands for k + 2 letters.
                let merges: Vec<Pair> = (0..5_000)
                    .map(|k| if k == 0 { (0, 1) } else { (k + 1, 1) })
                    .collect();
                let expected = [vec![0], vec![1; 5_000]].concat();
                let got = undo(&[5_001], &merges, 2);
                equal(
                    say("how many symbols", "符号的个数"),
                    &got.len(),
                    &expected.len(),
                )
                .check()?;
                equal(undone(), &got, &expected).check()
            },
        ),
    ]
}
