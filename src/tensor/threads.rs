//! Work shared between threads where the feature `parallel` has them, and done in turn where not.
//!
//! The threads are ours, each calling a BLAS that runs on that thread alone: two layers of threads would fight for the cores.

use ndarray::{ArrayViewMut, Axis, Dimension};

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
