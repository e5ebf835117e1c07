//! $e^x$ of many numbers at once.
//!
//! The C library computes one exponential in the time of some thirty multiplications, and a softmax over a context, SwiGLU and the loss are made of them.
//! Here f32 is computed in the vector registers of the machine, its range reduced as by Cody and Waite (1980):
//!
//! $$ e^x = 2^n e^r, \qquad n = \mathrm{round}(x \log_2 e), \qquad r = x - n \ln 2, \qquad \lvert r \rvert \le \tfrac12 \ln 2 $$
//!
//! and $e^r$ by the polynomial of Cephes (Moshier, `expf`). The largest error measured is below 1.5 units in the last place, denormal results aside (test
//! `it_is_the_exponential_to_the_last_place`). f64, which tests use, goes to the library.

use ndarray::NdFloat;
use std::any::TypeId;

/// Replaces every number by its exponential. NaN stays NaN, −∞ becomes 0, and what an f32 cannot hold ∞.
pub(crate) fn exp_in_place<A: NdFloat>(xs: &mut [A]) {
    if TypeId::of::<A>() == TypeId::of::<f32>() {
        // SAFETY: `A` is f32, so this is the same slice.
        exp_f32(unsafe { &mut *(std::ptr::from_mut(xs) as *mut [f32]) });
    } else {
        xs.iter_mut().for_each(|x| *x = x.exp());
    }
}

/// Replaces each score $s$ by $e^{s - m}$, what a softmax weighs it with, for the largest score $m$; below $10^{-30}$ by 0.
///
/// So little is lost beside the 1 of the largest score, in f64 too. Sums over it would be slow, though: where numbers get too small for a float's full
/// precision, many processors need a hundred times as long, and ALiBi's steep slopes make a dozen of such weights in every row.
pub(crate) fn weigh<A: NdFloat>(scores: &mut [A], max: A) {
    let least = A::from(-69.0).expect("a number fits a float");
    for s in scores.iter_mut() {
        let below = *s - max;
        *s = if below < least {
            A::neg_infinity()
        } else {
            below
        };
    }
    exp_in_place(scores);
}

#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn exp_f32(xs: &mut [f32]) {
    // Below, the result is 0, which is not computed: what comes near to it is what processors are slow at. Above it is ∞, and that is.
    const LEAST: f32 = -104.0;
    const MOST: f32 = 89.0;
    // ln 2 in two parts, the first short enough for n · LN2_HIGH to be exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Added and taken away, it leaves the nearest whole number; the low bits of the sum are that number.
    const ROUND: f32 = 12_582_912.0;
    for x in xs {
        let none = *x < LEAST;
        let clamped = if none { 0.0 } else { *x };
        let clamped = if clamped > MOST { MOST } else { clamped };
        let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = clamped - n * LN2_HIGH - n * LN2_LOW;
        let mut e = 1.987_569_1e-4;
        for c in [
            1.398_199_9e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            0.166_666_65,
            0.5,
        ] {
            e = e * r + c;
        }
        let e = e * r * r + r + 1.0;
        // 2ⁿ in two factors: one alone would leave the range of exponents where the result is denormal or ∞.
        let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
        let half = n >> 1;
        let power = |n: i32| f32::from_bits(n.wrapping_add(127).wrapping_shl(23) as u32);
        let e = e * power(half) * power(n.wrapping_sub(half));
        *x = if none { 0.0 } else { e };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exp(x: f32) -> f32 {
        let mut x = [x];
        exp_in_place(&mut x);
        x[0]
    }

    /// Catches: a coefficient mistyped; a rounding to the wrong side; a scale that is off by a power of two at one end of the range.
    #[test]
    fn it_is_the_exponential_to_the_last_place() {
        let mut worst = 0.0_f64;
        // Every 1,009th f32 from the least to the greatest normal result, of both signs.
        for bits in (0..0x4300_0000_u32).step_by(1009) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                let exact = f64::from(x).exp();
                if !(f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&exact) {
                    continue;
                }
                let place = f64::from((exact as f32).next_up()) - f64::from(exact as f32);
                worst = worst.max((f64::from(exp(x)) - exact).abs() / place);
            }
        }
        assert!(worst < 1.5, "{worst} units in the last place");
    }

    /// Catches: an infinity or NaN that a clamp swallows; a tail that is cut off at the least normal number.
    #[test]
    fn the_ends_are_those_of_the_library() {
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1e30), 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(88.8), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
        let denormal = f64::from(exp(-95.0));
        assert!((denormal / (-95.0_f64).exp() - 1.0).abs() < 1e-4);
    }

    /// Catches: weights, or products of them with values, that are too small for a processor to be quick with; others lost with them; a NaN that becomes 0.
    #[test]
    fn a_weight_is_zero_or_far_from_the_smallest_floats() {
        let mut weights: Vec<f32> = (0..1000).map(|i| 3.0 - 0.2 * i as f32).collect();
        weigh(&mut weights, 3.0);
        for (i, &weight) in weights.iter().enumerate() {
            let exact = (-0.2 * i as f64).exp();
            if exact > 1.1e-30 {
                assert!((f64::from(weight) / exact - 1.0).abs() < 1e-4, "{i}");
            } else {
                assert!(
                    weight == 0.0 || weight > 1e8 * f32::MIN_POSITIVE / 2.0,
                    "{i}"
                );
            }
        }
        assert_eq!(weights.last(), Some(&0.0));
        let mut broken = [f32::NAN, f32::NEG_INFINITY, 0.0];
        weigh(&mut broken, 0.0);
        assert!(broken[0].is_nan() && broken[1] == 0.0 && broken[2] == 1.0);
    }

    /// Catches: f64 read as pairs of f32.
    #[test]
    fn f64_is_the_librarys() {
        let mut x = [1.0_f64, -700.0];
        exp_in_place(&mut x);
        assert_eq!(x, [1.0_f64.exp(), (-700.0_f64).exp()]);
    }
}
