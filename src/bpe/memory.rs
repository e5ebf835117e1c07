//! What parts of texts became, kept from one text to the next: most parts of a text have been in one before.

use rustc_hash::FxHashMap;
use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

/// Longer parts, in bytes, hardly come again.
const LONGEST: usize = 128;

/// Bytes of one memory, about: it then begins anew.
const MOST: usize = 16 << 20;

/// Bytes for a part beside its text and its ids: its place in the table and what allocating it costs.
const EACH: usize = 64;

/// Ids of parts.
#[derive(Debug, Default)]
pub(super) struct Memory {
    places: FxHashMap<Box<str>, Range<usize>>,
    ids: Vec<u32>,
    bytes: usize,
}

impl Memory {
    pub(super) fn get(&self, part: &str) -> Option<&[u32]> {
        self.places.get(part).map(|at| &self.ids[at.clone()])
    }

    pub(super) fn insert(&mut self, part: &str, ids: &[u32]) {
        let bytes = part.len() + size_of_val(ids) + EACH;
        if part.len() > LONGEST {
            return;
        }
        if self.bytes + bytes > MOST {
            self.places.clear();
            self.ids.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        let start = self.ids.len();
        self.ids.extend_from_slice(ids);
        self.places.insert(part.into(), start..self.ids.len());
    }
}

/// The memories of a tokenizer that no call is using: as many as calls were ever made at once.
#[derive(Debug, Default)]
pub(super) struct Memories(Mutex<Vec<Memory>>);

impl Memories {
    pub(super) fn take(&self) -> Memory {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop().unwrap_or_default()
    }

    pub(super) fn give_back(&self, memory: Memory) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(memory);
    }
}

/// A copy has memories of its own.
impl Clone for Memories {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::TrainingOptions;
    use super::*;

    /// Catches: a memory that grows with the texts, or that knows a part wrongly after it began anew.
    #[test]
    fn a_memory_stays_small_and_right() {
        let mut memory = Memory::default();
        for n in 0..400_000_u32 {
            let part = format!("part {n}");
            memory.insert(&part, &[n, n + 1]);
            assert_eq!(memory.get(&part), Some(&[n, n + 1][..]));
            assert!(memory.bytes <= MOST);
        }
        assert!(memory.places.len() < 400_000, "it never began anew");
        assert!(memory.ids.capacity() * size_of::<u32>() < MOST);
        memory.insert(&"a".repeat(LONGEST + 1), &[0]);
        assert_eq!(memory.get(&"a".repeat(LONGEST + 1)), None);
    }

    /// Catches: ids that depend on what was encoded before, or on a copy's or another thread's texts.
    #[test]
    fn ids_do_not_depend_on_the_texts_before() {
        let options = TrainingOptions {
            vocab_size: 280,
            ..TrainingOptions::default()
        };
        let trained = options.train(["low lower lowest new newer newest"], |_, _| ());
        let tokenizer = trained.unwrap().tokenizer().unwrap();
        let words = [
            "low", "lowest", " newer", "  ", "nest", "你low", "renew ", "\n",
        ];
        let texts: Vec<String> = (0..4096_usize)
            .map(|n| (0..4).map(|digit| words[n >> (3 * digit) & 7]).collect())
            .collect();
        let encoded = tokenizer.encode_batch(&texts);
        let copy = tokenizer.clone();
        for (text, ids) in texts.iter().zip(encoded).rev() {
            assert_eq!(ids, tokenizer.encode_observed(text, |_| ()), "{text:?}");
            assert_eq!(ids, copy.encode(text), "{text:?}");
        }
    }
}
