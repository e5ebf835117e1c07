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

/// Bytes per second that all threads together read from memory: a sum over more than any cache holds.
pub fn bandwidth() -> f64 {
    const NUMBERS: usize = 1 << 27;
    const CHUNK: usize = 1 << 16;
    let numbers = vec![1_u32; NUMBERS];
    let begin = Instant::now();
    let sums = threads::map(numbers.chunks(CHUNK), sum);
    let seconds = begin.elapsed().as_secs_f64();
    assert_eq!(sums.iter().sum::<u32>() as usize, NUMBERS);
    (4 * NUMBERS) as f64 / seconds
}

#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn sum(numbers: &[u32]) -> u32 {
    let mut sums = [0_u32; 64];
    for block in numbers.as_chunks::<64>().0 {
        for i in 0..64 {
            sums[i] = sums[i].wrapping_add(block[i]);
        }
    }
    sums.iter().fold(0, |sum, x| sum.wrapping_add(*x))
}
