//! The one source of chance, which counts what it gives away.

use super::Split;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// One item in so many of each puzzle is kept for validation.
pub const HELD_OUT_ONE_IN: u64 = 8;

/// Draws choices and adds up their code length, $-\log_2 p$ of each.
#[derive(Clone, Debug)]
pub struct Draw {
    random: ChaCha8Rng,
    /// Bits of all choices so far.
    pub bits: f64,
    /// Bits that [`Draw::unseen`] has taken off them, for what is known of the split.
    pub split_bits: f64,
    /// Which items [`Draw::unseen`] lets through.
    pub split: Split,
}

impl Draw {
    /// Choices of document `stream` of a seed. Streams are independent of each other.
    pub fn new(seed: u64, stream: u64, split: Split) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream << 1 | u64::from(split == Split::Validation));
        Draw {
            random,
            bits: 0.0,
            split_bits: 0.0,
            split,
        }
    }

    /// A number below `n`, each as likely; 0 where `n` is 0. Costs $\log_2 n$ bits.
    pub fn below(&mut self, n: usize) -> usize {
        if n < 2 {
            return 0;
        }
        self.bits += (n as f64).log2();
        // The high half of a product, so that the corpus depends on no library's way of drawing.
        ((u128::from(self.random.next_u64()) * n as u128) >> 64) as usize
    }

    /// A number of `low..=high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high + 1 - low)
    }

    /// One of `items`, each as likely.
    pub fn pick<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len())]
    }

    /// True `n` times of `of`.
    pub fn chance(&mut self, n: usize, of: usize) -> bool {
        self.weighted(&[of - n, n]) == 1
    }

    /// An index, as likely as its weight. Costs $\log_2 (\sum w / w_i)$ bits.
    pub fn weighted(&mut self, weights: &[usize]) -> usize {
        let sum: usize = weights.iter().sum();
        let before = self.bits;
        let mut at = self.below(sum);
        for (i, &weight) in weights.iter().enumerate() {
            if at < weight {
                self.bits = before + (sum as f64 / weight as f64).log2();
                return i;
            }
            at -= weight;
        }
        unreachable!("a number below the sum of the weights")
    }

    /// `k` different numbers below `n`, in the order drawn.
    pub fn distinct(&mut self, n: usize, k: usize) -> Vec<usize> {
        let mut rest: Vec<usize> = (0..n).collect();
        (0..k.min(n))
            .map(|_| rest.swap_remove(self.below(rest.len())))
            .collect()
    }

    /// Draws until the item belongs to this split: the item whose `key` hashes to one residue of [`HELD_OUT_ONE_IN`] is validation's alone.
    ///
    /// The bits are those of the draw that was let through, less what is known beforehand: that it is of this split, whose share is
    /// `training` or what that leaves. Give the exact share of small sets, [`TRAINING_SHARE`] for those too big to count.
    pub fn unseen<T>(
        &mut self,
        training: f64,
        mut item: impl FnMut(&mut Draw) -> T,
        key: impl Fn(&T) -> String,
    ) -> T {
        let before = self.bits;
        loop {
            self.bits = before;
            let item = item(self);
            if held_out(&key(&item)) == (self.split == Split::Validation) {
                let share = match self.split {
                    Split::Train => training,
                    Split::Validation => 1.0 - training,
                };
                self.bits += share.log2();
                self.split_bits -= share.log2();
                return item;
            }
        }
    }
}

/// Share of a large set of items that training sees.
pub const TRAINING_SHARE: f64 = 1.0 - 1.0 / HELD_OUT_ONE_IN as f64;

/// Whether an item is validation's: FNV-1a of its key, mixed.
pub fn held_out(key: &str) -> bool {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // FNV's low bits are weak on short keys.
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40 & (HELD_OUT_ONE_IN - 1) == 0
}
