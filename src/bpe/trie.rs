//! Texts with numbers, found as beginnings of another text.
//!
//! A tree with a byte on each edge, all nodes in one array: the child of a node by a byte $b$ is at $\mathrm{base} \oplus b$, if the node there says
//! that it is one (a *double array*, Aoe 1989). A step reads one place, and the children of a node lie side by side.

/// No number, no node.
pub(super) const NONE: u32 = u32::MAX;

/// As many children as a node can have: `base` and a byte do not leave a block of so many places.
const BLOCK: usize = 256;

/// Blocks in which room is looked for. What is left free in older ones stays free.
const OPEN: usize = 8;

#[cfg(test)]
thread_local! {
    /// Steps so far, here and in [`Matcher`](super::matching::Matcher): nearly all the work of encoding.
    pub(super) static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[derive(Clone, Copy, Debug)]

struct Node {
    base: u32,
    /// `NONE` at a free place and at the root.
    parent: u32,
    /// Of the text that ends here, or `NONE`.
    number: u32,
}

const FREE: Node = Node {
    base: 0,
    parent: NONE,
    number: NONE,
};

/// A text and its number.
pub(super) type Text<'t> = (&'t [u8], u32);

/// Texts in one piece of memory, which is quick to sort and to read again and again.
#[derive(Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    ends: Vec<(usize, u32)>,
}

impl Texts {
    pub(super) fn push(&mut self, text: &str, number: u32) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push((self.bytes.len(), number));
    }

    pub(super) fn sorted(&self) -> Vec<Text<'_>> {
        let mut start = 0;
        let texts = self.ends.iter().map(|&(end, number)| {
            let text = &self.bytes[std::mem::replace(&mut start, end)..end];
            let mut first = [0; 8]; // most comparisons need no more
            let known = text.len().min(8);
            first[..known].copy_from_slice(&text[..known]);
            (u64::from_be_bytes(first), text, number)
        });
        let mut texts: Vec<_> = texts.collect();
        texts.sort_unstable();
        texts
            .into_iter()
            .map(|(_, text, number)| (text, number))
            .collect()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Trie {
    /// The root is the first.
    nodes: Vec<Node>,
}

impl Trie {
    /// Texts in order, all different.
    pub(super) fn new(texts: &[Text]) -> Self {
        let mut trie = Trie {
            nodes: vec![FREE; BLOCK],
        };
        let mut open = vec![Block {
            start: 0,
            free: [!1, !0, !0, !0], // the first place is the root's
        }];
        let mut children: Vec<(u8, &[Text])> = Vec::new();
        let mut todo = vec![(0, 0, texts)];
        while let Some((node, depth, mut texts)) = todo.pop() {
            if let Some((&(text, number), rest)) = texts.split_first()
                && text.len() == depth
            {
                trie.nodes[node].number = number;
                texts = rest;
            }
            children.clear();
            while let Some(&(text, _)) = texts.first() {
                let byte = text[depth];
                let same = |(text, _): &Text| text[depth] == byte;
                let end = match texts.last() {
                    Some(last) if same(last) => texts.len(),
                    _ => texts.partition_point(same),
                };
                children.push((byte, &texts[..end]));
                texts = &texts[end..];
            }
            if children.is_empty() {
                continue;
            }
            let base = trie.room(&mut open, &children);
            trie.nodes[node].base = base as u32;
            for &(byte, texts) in &children {
                let child = base ^ usize::from(byte);
                trie.nodes[child].parent = node as u32;
                todo.push((child, depth + 1, texts));
            }
        }
        trie
    }

    /// A base at which the places of all children are free, and takes them.
    ///
    /// $u$ places that are taken rule out at most $nu$ of a block's 256 bases for $n$ children. So a block that had no room has at least $256 / n$
    /// nodes and the next one begins with $n$: whatever the texts, there are at most about 16 places for a node.
    fn room<T>(&mut self, open: &mut Vec<Block>, children: &[(u8, T)]) -> usize {
        let mut found = open
            .iter()
            .enumerate()
            .find_map(|(i, block)| Some((i, block.room(children)?)));
        let (i, offset) = *found.get_or_insert_with(|| {
            if open.len() == OPEN {
                open.remove(0);
            }
            open.push(Block {
                start: self.nodes.len(),
                free: [!0; 4],
            });
            self.nodes.resize(self.nodes.len() + BLOCK, FREE);
            (open.len() - 1, 0)
        });
        let block = &mut open[i];
        let base = block.start + offset;
        for (byte, _) in children {
            let place = offset ^ usize::from(*byte);
            block.free[place / 64] &= !(1 << (place % 64));
        }
        if block.free == [0; 4] {
            open.remove(i);
        }
        base
    }

    #[inline]
    fn child(&self, node: u32, byte: u8) -> Option<u32> {
        #[cfg(test)]
        STEPS.set(STEPS.get() + 1);
        let child = self.nodes[node as usize].base ^ u32::from(byte);
        (self.nodes[child as usize].parent == node).then_some(child)
    }

    /// The texts that `text` begins with, from the shortest on, and their lengths.
    #[inline]
    pub(super) fn beginnings(&self, text: &[u8]) -> impl Iterator<Item = (u32, usize)> {
        let mut node = 0;
        let nodes = text.iter().zip(1..).map_while(move |(&byte, length)| {
            node = self.child(node, byte)?;
            Some((self.nodes[node as usize].number, length))
        });
        nodes.filter(|&(number, _)| number != NONE)
    }

    /// The shortest and the longest text that `text` begins with, and their lengths.
    #[inline]
    pub(super) fn shortest_and_longest(&self, text: &[u8]) -> Option<[(u32, usize); 2]> {
        let mut found = self.beginnings(text);
        let shortest = found.next()?;
        Some([shortest, found.last().unwrap_or(shortest)])
    }

    /// The number of a text.
    pub(super) fn get(&self, text: &[u8]) -> Option<u32> {
        let mut bytes = text.iter();
        let node = bytes.try_fold(0, |node, &byte| self.child(node, byte))?;
        Some(self.nodes[node as usize].number).filter(|&number| number != NONE)
    }

    /// Forgets some texts.
    pub(super) fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        for node in &mut self.nodes {
            if node.number != NONE && !keep(node.number) {
                node.number = NONE;
            }
        }
    }

    /// Calls `found` with each text's number, its length and the number of the longest text that it begins with, or `NONE`.
    pub(super) fn each(&self, mut found: impl FnMut(u32, u32, u32)) {
        for node in &self.nodes {
            if node.number == NONE {
                continue;
            }
            let (mut length, mut shorter) = (1, NONE);
            let mut up = node.parent;
            while up != 0 {
                if shorter == NONE {
                    shorter = self.nodes[up as usize].number;
                }
                up = self.nodes[up as usize].parent;
                length += 1;
            }
            found(node.number, length, shorter);
        }
    }
}

/// Places that are being filled.
struct Block {
    start: usize,
    /// A bit for each place.
    free: [u64; 4],
}

impl Block {
    /// An offset that has a free place for each child.
    fn room<T>(&self, children: &[(u8, T)]) -> Option<usize> {
        (0..4).find_map(|word| {
            let free = |byte: u8| exchanged(self.free[word ^ usize::from(byte >> 6)], byte & 63);
            let fit = children.iter().fold(!0, |fit, (byte, _)| fit & free(*byte));
            (fit != 0).then(|| 64 * word + fit.trailing_zeros() as usize)
        })
    }
}

/// Bit $i$ of the result is bit $i \oplus b$.
fn exchanged(mut bits: u64, b: u8) -> u64 {
    for (k, low) in [
        0x5555_5555_5555_5555,
        0x3333_3333_3333_3333,
        0x0f0f_0f0f_0f0f_0f0f,
        0x00ff_00ff_00ff_00ff,
        0x0000_ffff_0000_ffff,
        0x0000_0000_ffff_ffff,
    ]
    .into_iter()
    .enumerate()
    {
        if b >> k & 1 == 1 {
            bits = ((bits & low) << (1 << k)) | ((bits >> (1 << k)) & low);
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a text lost or found where it is not, children that overwrite others, an array that grows beyond its bound.
    #[test]
    fn texts_are_found_and_take_little_room() {
        let mut state = 1_u64;
        let mut chance = |n: u64| {
            state = state * 48_271 % 0x7fff_ffff;
            state % n
        };
        for (letters, longest, count) in [(2, 12, 400), (26, 6, 3000), (128, 3, 3000), (90, 1, 90)]
        {
            let mut texts: Vec<String> = (0..count)
                .map(|_| {
                    let length = 1 + chance(longest);
                    let letter = |_| char::from(chance(letters) as u8);
                    (0..length).map(letter).collect()
                })
                .collect();
            texts.sort_unstable();
            texts.dedup();
            let numbered = texts.iter().map(String::as_bytes).zip(0..);
            let trie = Trie::new(&numbered.collect::<Vec<_>>());
            let edges = trie.nodes.iter().filter(|node| node.parent != NONE).count();
            assert!(trie.nodes.len() <= 16 * edges + OPEN * BLOCK);
            for (text, number) in texts.iter().zip(0..) {
                assert_eq!(trie.get(text.as_bytes()), Some(number), "{text:?}");
                let mut expected: Vec<&str> = (1..=text.len()).map(|end| &text[..end]).collect();
                expected.retain(|text| texts.binary_search_by(|t| t.as_str().cmp(text)).is_ok());
                let longer = format!("{text}\u{7f}");
                let found: Vec<&str> = trie
                    .beginnings(longer.as_bytes())
                    .map(|(_, length)| &text[..length.min(text.len())])
                    .collect();
                assert_eq!(found[..expected.len()], expected);
            }
            let mut found = 0;
            trie.each(|number, length, shorter| {
                let text = &texts[number as usize];
                let known = (1..text.len())
                    .rev()
                    .find_map(|end| trie.get(&text.as_bytes()[..end]));
                assert_eq!(
                    (length as usize, shorter),
                    (text.len(), known.unwrap_or(NONE))
                );
                found += 1;
            });
            assert_eq!(found, texts.len());
        }
    }
}
