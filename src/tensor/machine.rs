//! What a machine can do: the two limits that everything here runs into.

use super::threads;
use ndarray::{Array2, linalg::general_mat_mul};
use std::{hint::black_box, time::Instant};

/// Threads that products are shared between.
pub fn threads() -> usize {
    #[cfg(feature = "parallel")]
    {
        rayon::current_num_threads()
    }
    #[cfg(not(feature = "parallel"))]
    1
}

/// Floating-point operations per second of the BLAS on all threads: each multiplies square matrices of f32, 1024 wide, for some time.
pub fn arithmetic() -> f64 {
    const N: usize = 1024;
    const TIMES: usize = 6;
    let wave =
        |seed: usize| Array2::from_shape_fn((N, N), |(i, j)| ((i * 31 + j * 7 + seed) % 17) as f32);
    let (a, b) = (wave(0), wave(1));
    let mut products = vec![Array2::<f32>::zeros((N, N)); threads()];
    let mut multiply = |times: usize| {
        let begin = Instant::now();
        threads::map(products.iter_mut(), |c| {
            for _ in 0..times {
                general_mat_mul(1.0, &a, &b.t(), 0.0, c);
            }
        });
        begin.elapsed().as_secs_f64()
    };
    multiply(1); // pages and buffers
    let seconds = multiply(TIMES);
    black_box(&products);
    (2 * N.pow(3) * TIMES * threads()) as f64 / seconds
}

/// Bytes per second that all threads together read from memory: a sum over more than any cache holds, read as the products of one token read weights.
pub fn bandwidth() -> f64 {
    const NUMBERS: usize = 1 << 27;
    const CHUNK: usize = 1 << 17;
    let numbers = vec![1_u32; NUMBERS];
    let sums = || threads::map(numbers.chunks(CHUNK), sum);
    black_box(sums()); // while what was just written is still on its way to memory
    let begin = Instant::now();
    let sums = sums();
    let seconds = begin.elapsed().as_secs_f64();
    assert_eq!(sums.iter().sum::<u32>() as usize, NUMBERS);
    (4 * NUMBERS) as f64 / seconds
}

/// From four places at once, a line of the cache from each.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn sum(numbers: &[u32]) -> u32 {
    const LINE: usize = 16;
    let mut sums = [[0_u32; LINE]; 4];
    let mut parts = [&numbers[..0]; 4];
    for (part, numbers) in parts.iter_mut().zip(numbers.chunks(numbers.len() / 4)) {
        *part = numbers;
    }
    for b in 0..numbers.len() / 4 / LINE {
        for (sums, part) in sums.iter_mut().zip(parts) {
            let line = &part[b * LINE..][..LINE];
            ask_for_what_follows(line);
            for i in 0..LINE {
                sums[i] = sums[i].wrapping_add(line[i]);
            }
        }
    }
    sums.iter().flatten().fold(0, |sum, x| sum.wrapping_add(*x))
}

/// Has the processor fetch what stands some lines of the cache behind this, if it takes such hints.
#[inline(always)]
pub(super) fn ask_for_what_follows<T>(this: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        const BYTES: usize = 1024;
        // SAFETY: nothing is read. A hint has no effect on memory, and may name any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(this.as_ptr().cast::<i8>().wrapping_add(BYTES)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = this;
}
