//! The shipped form of encoding: longest match, made right.
//!
//! Merging cares little for what is far away. Let the tokens of a text be $t_1 \dots t_n$. No merge ever reached over the end of one, so each two
//! neighbours alone, $t_i t_{i+1}$, were merged in the same order as among all the others, and are the tokens of their own text. The other way
//! round: where each two neighbours are, no merge is ever the first to reach from one token into the next, in the whole text as little as in those two. So
//!
//! > the tokens of a text are the one way to cut it in which every two neighbours *stand apart*: merged alone, they give these two again.
//!
//! Nothing of this asks which pairs merge, or when: it holds for any list of merges. And as with merging, the tokens up to any end of a token are those of
//! the text up to there. So they can be found from left to right: the longest piece that stands apart from the one before; if none does, back by one
//! token, to a shorter one there. Where this went back from, no token ends, and it need not be tried again: each place of a text is tried once, whatever
//! the text.
//!
//! This is the page's longest match with one more question. [`Merger`](super::encoding::Merger) is the same by merging, and the properties in
//! `tests/bpe_properties.rs` hold both to [`encode_formal`](super::encode_formal).

#[cfg(test)]
use super::trie::STEPS;
use super::{
    Vocabulary,
    encoding::{Merges, Pairs},
    trie::NONE,
};
use rustc_hash::FxHashMap;

/// How a token comes to be in a text that is nothing but it. Times are ranks plus one.
///
/// Merges do not come by rank alone: where a part of `abc` has a later rank than `abc` itself, the one follows the other at once. So the time of
/// a token is the latest of its own rank and the times of its parts, and what is merged elsewhere goes by that.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Token {
    /// When it is there: 0 for a character, `NONE` if no text has it.
    made: u32,
    /// What its last merge joined.
    parts: [u32; 2],
    /// A merge of the left part with what is before it, or of the right part with what is after it, must have come before these times.
    until: [u32; 2],
    /// Its first and its last character.
    characters: [u32; 2],
    /// When those are merged inside the token: a merge of one with what is outside must have come before.
    merged: [u32; 2],
    /// Where the token, or a part that is not merged yet, merges with something outside: a bit for the character that it meets there, to the
    /// left and to the right. Most neighbours lack the bit of one for the other, and stand apart at sight. Some characters share a bit.
    reach: [u64; 2],
    /// Its bytes.
    length: u32,
    /// The longest token that it begins with, or `NONE`.
    shorter: u32,
}

/// A vocabulary prepared for longest match. What a text needs besides is a bit for each of its bytes, at most.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    pub(super) merges: Merges,
    /// By id; see [`Merges`] about ids above the vocabulary's.
    tokens: Vec<Token>,
    times: Times,
    /// Characters without a piece that pieces are made of, by id.
    extra: FxHashMap<u32, char>,
}

impl Matcher {
    pub(super) fn new(vocabulary: &Vocabulary, merges: Merges, pairs: Pairs) -> Self {
        let highest = merges.characters().map(|(_, id)| id as usize + 1).max();
        let symbols = vocabulary.len().max(highest.unwrap_or(0));
        let unknown = Token {
            made: NONE,
            parts: [NONE; 2],
            until: [NONE; 2],
            characters: [NONE; 2],
            merged: [NONE; 2],
            reach: [0; 2],
            length: 0,
            shorter: NONE,
        };
        let mut matcher = Matcher {
            tokens: vec![unknown; symbols],
            times: Times::new(4 * vocabulary.len()),
            extra: merges
                .characters()
                .filter(|&(_, id)| id as usize >= vocabulary.len())
                .map(|(character, id)| (id, character))
                .collect(),
            merges,
        };
        for (_, id) in matcher.merges.characters() {
            let token = &mut matcher.tokens[id as usize];
            (token.made, token.characters) = (0, [id; 2]);
        }
        let made = matcher.take_apart(pairs);
        for side in [0, 1] {
            matcher.look_across(side, &made);
        }
        // Pieces that merging never makes are no tokens.
        let symbols = &mut matcher.merges.symbols;
        symbols.retain(|id| matcher.tokens[id as usize].made != NONE);
        symbols.each(|id, length, shorter| {
            let token = &mut matcher.tokens[id as usize];
            (token.length, token.shorter) = (length, shorter);
        });
        matcher
    }

    /// Finds how each token is made: by that one of its pairs whose halves stand apart until then. Parts are shorter, and so are known before.
    /// No other pair is ever side by side, in any text, and so no other is kept. Returns the times of these merges and what they make, in this order.
    fn take_apart(&mut self, pairs: Pairs) -> Vec<(u32, u32)> {
        let mut order = Vec::new();
        for (left, right, merged) in pairs.into_values().flatten() {
            let [l, r] = [left, right].map(|id| self.tokens[id as usize]);
            if l.made == NONE || r.made == NONE {
                continue; // no text has either
            }
            let meet = self.time(l.characters[1], r.characters[0]);
            if !self.stand_apart(left, right, meet) {
                continue; // no text has these two side by side
            }
            let own = merged.rank + 1;
            order.push((own, merged.id));
            self.merges.insert(left, right, merged);
            self.times.insert(left, right, own);
            let made = own.max(l.made).max(r.made);
            // A part that came last of all waited for nothing but this merge; the other part, for the last one too.
            let left_until = if r.made < made { made } else { own };
            let right_until = if l.made < made || r.made == made {
                made
            } else {
                own
            };
            let until = [right_until + 1, left_until]; // of merges of one rank the leftmost is first
            // In a part that is more than a character, the one at the end was merged before.
            let first_until = if l.made == 0 { until[0] } else { l.merged[0] };
            let last_until = if r.made == 0 { until[1] } else { r.merged[1] };
            self.tokens[merged.id as usize] = Token {
                made,
                parts: [left, right],
                until,
                characters: [l.characters[0], r.characters[1]],
                merged: [first_until, last_until],
                ..self.tokens[merged.id as usize]
            };
        }
        order
    }

    /// Fills in the `reach` of each token to one side: by merges of its own, and by those of a part that come before the part is merged inside.
    fn look_across(&mut self, side: usize, made: &[(u32, u32)]) {
        let part = |id: u32| self.tokens[id as usize].parts[side] as usize;
        let until = |id: u32| self.tokens[id as usize].until[side];
        let mut by_time = made.to_vec();
        by_time.sort_unstable();
        let mut by_until: Vec<(u32, u32)> = made.iter().map(|&(_, id)| (until(id), id)).collect();
        by_until.sort_unstable();

        let mut own = vec![0; self.tokens.len()];
        let mut parts = own.clone();
        let merge = |own: &mut [u64], id: u32| {
            let Token { parts, .. } = &self.tokens[id as usize];
            let other = &self.tokens[parts[side] as usize];
            own[parts[1 - side] as usize] |= 1 << bit(other.characters[1 - side]);
        };
        let mut merges = by_time.into_iter().peekable();
        for (until, id) in by_until {
            while let Some((_, id)) = merges.next_if(|&(time, _)| time < until) {
                merge(&mut own, id);
            }
            parts[id as usize] = own[part(id)];
        }
        merges.for_each(|(_, id)| merge(&mut own, id));
        for &(_, id) in made {
            parts[id as usize] |= parts[part(id)];
        }
        for (token, (own, parts)) in self.tokens.iter_mut().zip(own.iter().zip(parts)) {
            token.reach[side] = own | parts;
        }
    }

    /// The character that an id above the vocabulary's stands for.
    pub(super) fn character(&self, id: u32) -> Option<char> {
        self.extra.get(&id).copied()
    }

    /// When two tokens side by side merge, `NONE` if they do not.
    #[inline]
    fn time(&self, left: u32, right: u32) -> u32 {
        let merged = self.merges.get(left, right);
        merged.map_or(NONE, |merged| merged.rank + 1)
    }

    #[inline]
    fn merge_before(&self, left: u32, right: u32, time: u32) -> bool {
        self.times.may_be_before(left, right, time) && self.time(left, right) < time
    }

    /// Whether two tokens side by side stand apart: nothing of the one is ever merged with anything of the other.
    ///
    /// Both are taken apart, the last merge first, down to the characters on both sides of where they meet. Whatever stood side by side there, until the
    /// merge that is undone next, must not have had an earlier turn. The characters, which come last and merge at the time `meet`, are looked at first:
    /// there most fail that do.
    #[inline]
    fn stand_apart(&self, mut left: u32, mut right: u32, meet: u32) -> bool {
        let (l, r) = (&self.tokens[left as usize], &self.tokens[right as usize]);
        if meet < l.merged[1].min(r.merged[0]) {
            return false;
        }
        let mut time = NONE; // of the two themselves, any
        loop {
            #[cfg(test)]
            STEPS.set(STEPS.get() + 1);
            let (l, r) = (&self.tokens[left as usize], &self.tokens[right as usize]);
            if l.made == 0 && r.made == 0 {
                return true;
            }
            if self.merge_before(left, right, time) {
                return false;
            }
            let undo_left = l.made > r.made;
            time = if undo_left { l.until[1] } else { r.until[0] };
            left = if undo_left { l.parts[1] } else { left };
            right = if undo_left { right } else { r.parts[0] };
        }
    }

    /// Appends the tokens of the text up to the first character that is no part of any token, and returns what is from there.
    pub(super) fn encode<'t>(&self, text: &'t str, ids: &mut Vec<u32>) -> &'t str {
        let begin = ids.len();
        let mut no_end: Vec<u64> = Vec::new(); // a bit for each place of the text
        let tried = |no_end: &[u64], place: usize| {
            let bits = no_end.get(place / 64);
            bits.is_some_and(|bits| (bits >> (place % 64)) & 1 == 1)
        };
        let mut at = 0;
        let mut before = NONE;
        let symbols = &self.merges.symbols;
        while let Some([first, longest]) = symbols.shortest_and_longest(&text.as_bytes()[at..]) {
            let (mut next, length) = longest;
            let mut end = at + length;
            let mut meet = self.meet(before, first.0); // the shortest is its first character
            while tried(&no_end, end) || !self.fits(before, next, meet) {
                next = self.tokens[next as usize].shorter;
                while next == NONE {
                    // no token begins here: the one before must be a shorter one
                    no_end.resize(text.len() / 64 + 1, 0);
                    no_end[at / 64] |= 1 << (at % 64);
                    if before == NONE {
                        debug_assert!(false, "every text has its tokens: {text:?}");
                        return &text[at..];
                    }
                    let last = &self.tokens[before as usize];
                    at -= last.length as usize;
                    next = last.shorter;
                    ids.pop();
                    before = ids[begin..].last().map_or(NONE, |&id| id);
                    meet = self.meet(before, last.characters[0]);
                }
                end = at + self.tokens[next as usize].length as usize;
            }
            ids.push(next);
            (at, before) = (end, next);
        }
        &text[at..]
    }

    /// When the last character of `before` would merge with the first one after it, if that is of interest: if anything of `before` could merge
    /// with anything that begins so.
    #[inline]
    fn meet(&self, before: u32, first: u32) -> Option<u32> {
        let l = self.tokens.get(before as usize)?; // at the beginning of a text there is none
        let near = (l.reach[1] >> bit(first)) & 1 == 1;
        near.then(|| self.time(l.characters[1], first))
    }

    /// Whether `next` stands apart from `before`, as most do at sight.
    #[inline]
    fn fits(&self, before: u32, next: u32, meet: Option<u32>) -> bool {
        let Some(meet) = meet else { return true };
        let (l, r) = (&self.tokens[before as usize], &self.tokens[next as usize]);
        let near = (r.reach[0] >> bit(l.characters[1])) & 1 == 1;
        !near || self.stand_apart(before, next, meet)
    }
}

/// One of 64 bits for a character, by its id.
#[inline]
fn bit(character: u32) -> u32 {
    character % 64
}

/// Roughly when pairs merge: a byte for each place that a pair can have, with the earliest time of all that have it. Mostly it tells enough, and few
/// bytes say so, which stay in the processor's cache.
#[derive(Clone, Debug)]
struct Times {
    bytes: Box<[u8]>,
}

impl Times {
    /// With at least so many places.
    fn new(places: usize) -> Self {
        Times {
            bytes: vec![u8::MAX; places.max(64).next_power_of_two()].into(),
        }
    }

    fn insert(&mut self, left: u32, right: u32, time: u32) {
        let byte = &mut self.bytes[self.place(left, right)];
        *byte = rough(time).min(*byte);
    }

    #[inline]
    fn may_be_before(&self, left: u32, right: u32, time: u32) -> bool {
        self.bytes[self.place(left, right)] <= rough(time)
    }

    #[inline]
    fn place(&self, left: u32, right: u32) -> usize {
        let pair = u64::from(left) << 32 | u64::from(right);
        (pair.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32) as usize & (self.bytes.len() - 1)
    }
}

/// A number in eight bits, not 255 and in the same order: where its highest bit is, and the three bits after it.
#[inline]
fn rough(number: u32) -> u8 {
    let shift = 28 - (number | 15).leading_zeros();
    (8 * shift + (number >> shift)) as u8
}

#[cfg(test)]
mod tests {
    use super::super::{Tokenizer, TrainingOptions, trie::STEPS};

    fn steps(tokenizer: &Tokenizer, text: &str) -> u64 {
        let before = STEPS.get();
        assert!(!tokenizer.encode(text).is_empty());
        STEPS.get() - before
    }

    /// Catches: a text that takes more than its share of work, however long its words are; tokens that are taken apart though nothing reaches across.
    /// (A step is to a node of the tree or to a part of a token.)
    #[test]
    fn work_grows_with_the_text_and_with_nothing_else() {
        let mut state = 1_u64;
        let mut chance = |n: u64| {
            state = state * 48_271 % 0x7fff_ffff;
            state % n
        };
        let letter = |n: u64| char::from(b'a' + n as u8);
        let words: Vec<String> = (0..3000)
            .map(|_| {
                let length = 2 + chance(9);
                (0..length).map(|_| letter(chance(7) * chance(4))).collect()
            })
            .collect();
        let mut ordinary: String = String::new();
        while ordinary.len() < 400_000 {
            ordinary += &words[(chance(3000) * chance(3000) / 3000) as usize];
            ordinary.push(' ');
        }
        ordinary += &"a".repeat(5000);
        let options = TrainingOptions {
            vocab_size: 3 + 256 + 2000,
            ..TrainingOptions::default()
        };
        let trained = options.train([&ordinary], |_, _| ()).unwrap();
        let tokenizer = trained.tokenizer().unwrap();

        let each = |text: &str| steps(&tokenizer, text) as f64 / text.len() as f64;
        let usual = each(&ordinary);
        assert!(
            usual < 2.0,
            "{usual:.2} steps a byte where most tokens stand apart at sight"
        );
        let n = 200_000;
        for (name, text) in [
            ("one letter", "a".repeat(n)),
            ("two letters", "ab".repeat(n / 2)),
            (
                "letters by chance",
                (0..n).map(|_| letter(chance(19))).collect(),
            ),
            ("no space", ordinary.replace(' ', "")),
            ("spaces", " ".repeat(n)),
            ("digits", "7".repeat(n)),
            ("no piece", "你".repeat(n / 3)),
        ] {
            let found = each(&text);
            assert!(
                found < 8.0,
                "{name}: {found:.2} steps a byte, usually {usual:.2}"
            );
            let long = each(&text.repeat(4));
            assert!(
                long < 1.1 * found,
                "{name}: {long:.2} steps a byte, in a shorter text {found:.2}"
            );
        }
    }
}
