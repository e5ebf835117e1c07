//! Work shared between threads where the feature `parallel` has them, and done in turn where not.
//!
//! The threads are ours, each calling a BLAS that runs on that thread alone: two layers of threads would fight for the cores.

use ndarray::{ArrayViewMut, ArrayViewMut2, Axis, Dimension};

/// Bytes to be worked through that are worth handing to another thread: some ten microseconds.
const LEAST: usize = 1 << 17;

/// Bytes after which it is time to look whether another thread has nothing left to do.
const MOST: usize = 1 << 19;

/// Items of a chunk, where an item is so many bytes to work through: as many chunks for each thread, and none for what is not worth it.
pub(crate) fn share(items: usize, bytes: usize) -> usize {
    let (total, threads) = (items * bytes, super::machine::threads());
    if total < 2 * LEAST {
        return items.max(1);
    }
    let rounds = total.div_ceil(MOST * threads);
    items.div_ceil(rounds * threads).max(1)
}

/// Runs `work` on one of the threads, and keeps the others awake for what it shares: a thread that slept takes longer to wake than most products of one token take.
pub(crate) fn inside<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    #[cfg(feature = "parallel")]
    {
        use std::sync::atomic::{AtomicBool, Ordering};
        /// Ends the waiting, also where `work` panics.
        struct Done<'a>(&'a AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        let done = AtomicBool::new(false);
        let wait = |_: &rayon::Scope| {
            let mut idle = 0_u32;
            while !done.load(Ordering::Acquire) {
                match rayon::yield_now() {
                    Some(rayon::Yield::Executed) => idle = 0,
                    // Somebody else may need the core more.
                    _ if idle > IDLE => std::thread::yield_now(),
                    _ => {
                        idle += 1;
                        std::hint::spin_loop();
                    }
                }
            }
        };
        rayon::scope(|scope| {
            let _done = Done(&done);
            for _ in 1..rayon::current_num_threads() {
                scope.spawn(wait);
            }
            work()
        })
    }
    #[cfg(not(feature = "parallel"))]
    work()
}

/// How often a thread looks for work before it asks whether other processes have some.
#[cfg(feature = "parallel")]
const IDLE: u32 = 2000;

/// Calls `work(first, chunk)` on the chunks of `out` along `axis`, `first` being the index of a chunk's first element on it.
pub(crate) fn for_each_chunk<A: Send + Sync, D: Dimension>(
    mut out: ArrayViewMut<A, D>,
    axis: Axis,
    chunk: usize,
    work: impl Fn(usize, ArrayViewMut<A, D>) + Send + Sync,
) {
    #[cfg(feature = "parallel")]
    super::blas::use_calling_thread_only();
    if out.len_of(axis) <= chunk {
        return work(0, out); // what one thread does need not be handed to another
    }
    let chunks = out.axis_chunks_iter_mut(axis, chunk);
    #[cfg(feature = "parallel")]
    {
        use ndarray::parallel::prelude::*;
        chunks
            .into_par_iter()
            .enumerate()
            .for_each(|(i, out)| work(i * chunk, out));
    }
    #[cfg(not(feature = "parallel"))]
    for (i, out) in chunks.into_iter().enumerate() {
        work(i * chunk, out);
    }
}

/// Calls `work([row, column], tile)` on tiles of `out`, the first two being the indices of the tile's first element.
pub(crate) fn for_each_tile<A: Send + Sync>(
    mut out: ArrayViewMut2<A>,
    [rows, columns]: [usize; 2],
    work: impl Fn([usize; 2], ArrayViewMut2<A>) + Send + Sync,
) {
    let mut tiles = Vec::new();
    let mut row = 0;
    while !out.is_empty() {
        let height = rows.min(out.nrows());
        let (mut band, below) = out.split_at(Axis(0), height);
        out = below;
        let mut column = 0;
        while !band.is_empty() {
            let width = columns.min(band.ncols());
            let (tile, right) = band.split_at(Axis(1), width);
            band = right;
            tiles.push(([row, column], tile));
            column += columns;
        }
        row += rows;
    }
    if let [_] = tiles[..] {
        tiles.into_iter().for_each(|(at, tile)| work(at, tile));
    } else {
        map(tiles.into_iter(), |(at, tile)| work(at, tile));
    }
}

/// `work` on each item, results in the items' order.
pub(crate) fn map<T: Send, R: Send>(
    items: impl Iterator<Item = T>,
    work: impl Fn(T) -> R + Send + Sync,
) -> Vec<R> {
    #[cfg(feature = "parallel")]
    {
        use rayon::prelude::*;
        super::blas::use_calling_thread_only();
        let items: Vec<T> = items.collect();
        items.into_par_iter().map(work).collect()
    }
    #[cfg(not(feature = "parallel"))]
    items.map(work).collect()
}
