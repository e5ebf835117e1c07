//! Products of stored rows with one vector, $y_i = w_i \cdot x$: what the decoder does for one token.
//!
//! Each weight is read once and used once, so that the time is that of reading $W$ from memory, and the work per byte must stay below it. No weight is
//! written back: rows are widened in registers. Four rows are read side by side, from places far apart, one line of the cache of each in turn, and the
//! lines after them are asked for: a processor keeps more of such requests under way than of one stream, and reads half as much again.
//!
//! * f16, bf16 and eight bits are widened to f32 and multiplied there; many sums side by side keep the vector units of any processor full.
//! * Four bits would take longer to widen than to read. So $x$ is rounded once, to 16-bit steps of its own for each group
//!   ($\lvert x_j - t_g k_j \rvert \le t_g / 2$, $t_g = \max_{j \in g} \lvert x_j \rvert / 32767$), and products of whole numbers are summed exactly:
//!   $w_i \cdot x \approx \sum_g s_{ig} t_g \bigl(\sum_{j \in g} c_{ij} k_j - 8 \sum_{j \in g} k_j\bigr)$ with the codes $c = q + 8$ as stored. What
//!   rounding $x$ adds is a thousandth of what four bits took from $W$.

use super::{
    Dtype, StoredTensor,
    machine::ask_for_what_follows,
    quantized::{GROUP, WORDS},
};
use half::bf16;
use multiversion::multiversion;

/// A vector as the rows of one tensor are to meet it.
pub(super) enum Vector<'x> {
    /// As it is.
    Floats(&'x [f32]),
    /// In steps, for rows in four bits.
    Steps(Steps),
}

impl<'x> Vector<'x> {
    pub(super) fn new(x: &'x [f32], dtype: Dtype) -> Self {
        match dtype {
            Dtype::Int4 => Vector::Steps(Steps::new(x, Kernel::of_this_machine())),
            _ => Vector::Floats(x),
        }
    }
}

/// Rows that are read side by side.
const SIDE_BY_SIDE: usize = 4;

/// Something of each of them.
type Each<T> = [T; SIDE_BY_SIDE];

impl StoredTensor {
    /// The products of the rows from `first` on with a vector that was made for this tensor's format, as many as `y` holds.
    pub(super) fn row_dots(&self, first: usize, x: &Vector, y: &mut [f32]) {
        let (bytes, scales) = self.rows_bytes(first..first + y.len());
        match (x, self.dtype()) {
            (Vector::Floats(x), Dtype::F32) => dots_f32(bytes.as_chunks().0, x, y),
            (Vector::Floats(x), Dtype::F16) => dots_f16(bytes.as_chunks().0, x, y),
            (Vector::Floats(x), Dtype::BF16) => dots_bf16(bytes.as_chunks().0, x, y),
            (Vector::Floats(x), Dtype::Int8) => dots_int8(bytes.as_chunks().0, scales, x, y),
            (Vector::Steps(x), Dtype::Int4) => x.dots(bytes, scales, y),
            (_, dtype) => unreachable!("a vector made for another format than {dtype}"),
        }
    }
}

/// The indices below `len`, four at a time, a quarter of `len` apart. Each product is the same whatever the others are.
///
/// They are looped over, and not handed to a closure: in a generic function that would be a function of its own, without the features of the processor that
/// its caller was compiled for.
#[inline(always)]
fn fours(len: usize) -> impl Iterator<Item = Each<usize>> {
    let stride = len.div_ceil(SIDE_BY_SIDE);
    // What is behind the last is the last, again.
    (0..stride).map(move |i| std::array::from_fn(|k| (k * stride + i).min(len - 1)))
}

#[inline(always)]
fn put(y: &mut [f32], rows: Each<usize>, products: Each<f32>) {
    for (row, product) in rows.into_iter().zip(products) {
        y[row] = product;
    }
}

/// Products with rows that `widen` makes floats of, `LINE` to a line of the cache, with as many sums for each row.
#[inline(always)]
fn dots<T: Copy, const LINE: usize>(w: &[T], x: &[f32], y: &mut [f32], widen: impl Fn(T) -> f32) {
    let width = x.len();
    let (x_lines, x_rest) = x.as_chunks::<LINE>();
    for rows in fours(y.len()) {
        let mut w_rows = [&w[..0]; SIDE_BY_SIDE];
        for (w_row, row) in w_rows.iter_mut().zip(rows) {
            *w_row = &w[row * width..][..width];
        }
        let mut sums = [[0.0_f32; LINE]; SIDE_BY_SIDE];
        for (b, x) in x_lines.iter().enumerate() {
            for (sums, w_row) in sums.iter_mut().zip(w_rows) {
                let w = &w_row[b * LINE..][..LINE];
                ask_for_what_follows(w);
                for i in 0..LINE {
                    sums[i] += widen(w[i]) * x[i];
                }
            }
        }
        let mut products = [0.0; SIDE_BY_SIDE];
        for ((product, sums), w_row) in products.iter_mut().zip(sums).zip(w_rows) {
            *product = total(sums);
            for (&w, x) in w_row[width - x_rest.len()..].iter().zip(x_rest) {
                *product += widen(w) * x;
            }
        }
        put(y, rows, products);
    }
}

/// The sum of several numbers, half of them added to the other half at a time.
#[inline(always)]
fn total<const N: usize>(mut sums: [f32; N]) -> f32 {
    let mut half = N / 2;
    while half > 0 {
        for i in 0..half {
            sums[i] += sums[half + i];
        }
        half /= 2;
    }
    sums[0]
}

#[multiversion(targets("x86_64+avx512f+avx512bw", "x86_64+avx2", "aarch64+neon"))]
fn dots_f32(w: &[[u8; 4]], x: &[f32], y: &mut [f32]) {
    dots::<_, 16>(w, x, y, f32::from_le_bytes);
}

#[multiversion(targets("x86_64+avx512f+avx512bw", "x86_64+avx2", "aarch64+neon"))]
fn dots_bf16(w: &[[u8; 2]], x: &[f32], y: &mut [f32]) {
    dots::<_, 32>(w, x, y, |w| {
        f32::from_bits(u32::from(u16::from_le_bytes(w)) << 16)
    });
}

#[multiversion(targets("x86_64+avx512f+avx512bw", "x86_64+avx2", "aarch64+neon"))]
fn dots_f16(w: &[[u8; 2]], x: &[f32], y: &mut [f32]) {
    dots::<_, 32>(w, x, y, widen_f16);
}

/// The f32 of an f16, without a branch, so that many are widened at once.
///
/// An exponent counts from another zero: 112 is added to it, twice that where it is the highest, of ∞ and NaN. A denormal number is $1 + m$ less $1$, of the
/// scale where $m$ are the last bits.
#[inline(always)]
fn widen_f16(w: [u8; 2]) -> f32 {
    const LEAST: u32 = 113 << 23; // 2⁻¹⁴
    let bits = u32::from(u16::from_le_bytes(w));
    let rest = (bits & 0x7fff) << 13;
    let denormal = f32::from_bits(rest + LEAST) - f32::from_bits(LEAST);
    let highest = if rest < 31 << 23 {
        112 << 23
    } else {
        224 << 23
    };
    let size = if rest < 1 << 23 {
        denormal.to_bits()
    } else {
        rest + highest
    };
    f32::from_bits(size | (bits & 0x8000) << 16)
}

/// Codes times input, summed in each group before its scale comes in: one multiplication by it for every 16 weights.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn dots_int8(w: &[[u8; GROUP]], scales: &[[u8; 2]], x: &[f32], y: &mut [f32]) {
    const HALF: usize = GROUP / 2;
    let x = x.as_chunks::<GROUP>().0;
    let groups = x.len();
    for rows in fours(y.len()) {
        let mut sums = [[0.0_f32; HALF]; SIDE_BY_SIDE];
        for (g, x) in x.iter().enumerate() {
            for (sums, row) in sums.iter_mut().zip(rows) {
                let at = row * groups + g;
                let (w, scale) = (&w[at], bf16::from_le_bytes(scales[at]).to_f32());
                ask_for_what_follows(w);
                let mut group = [0.0_f32; HALF];
                for i in 0..HALF {
                    group[i] = f32::from(w[i] as i8) * x[i];
                }
                for i in 0..HALF {
                    group[i] += f32::from(w[HALF + i] as i8) * x[HALF + i];
                }
                for i in 0..HALF {
                    sums[i] += group[i] * scale;
                }
            }
        }
        let mut products = [0.0; SIDE_BY_SIDE];
        for (product, sums) in products.iter_mut().zip(sums) {
            *product = total(sums);
        }
        put(y, rows, products);
    }
}

/// How whole numbers are multiplied here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    /// Registers of 512 bits that multiply and add pairs of 16 bits in one instruction.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// Registers of 256 bits.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// As the compiler does it.
    Plain,
}

impl Kernel {
    fn of_this_machine() -> Self {
        Kernel::available()[0]
    }

    /// Those that this machine has, the fastest first.
    fn available() -> Vec<Self> {
        let mut kernels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni")
            {
                kernels.push(Kernel::Avx512Vnni);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                kernels.push(Kernel::Avx2);
            }
        }
        kernels.push(Kernel::Plain);
        kernels
    }

    /// Groups that lie side by side in a register.
    fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Vnni => 4,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => 2,
            Kernel::Plain => 1,
        }
    }
}

/// A vector in 16-bit steps, laid out as the weights of a register come.
///
/// Groups are taken `lanes` at a time. Shifted right by $4k$, such a block of weights shows the codes of the words $k$ of each of its groups, side by side.
pub(super) struct Steps {
    kernel: Kernel,
    /// $k_j$: of each block the words 0 of its groups, then the words 1, and so on; zeros behind the last group.
    numbers: Vec<i16>,
    /// $-8 \sum_j k_j$ of each group, in the first of the four 32-bit sums that a group has in a register.
    shifts: Vec<i32>,
    /// $t_g$.
    steps: Vec<f32>,
}

impl Steps {
    fn new(x: &[f32], kernel: Kernel) -> Self {
        let lanes = kernel.lanes();
        let groups = x.as_chunks::<GROUP>().0;
        let padded = groups.len().next_multiple_of(lanes);
        let mut this = Steps {
            kernel,
            numbers: vec![0; padded * GROUP],
            shifts: vec![0; padded * 4],
            steps: vec![0.0; padded],
        };
        for (g, x) in groups.iter().enumerate() {
            let most = x.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let step = most / f32::from(i16::MAX);
            let inverse = if step > 0.0 { step.recip() } else { 0.0 };
            // A number that is not finite must not be lost in a conversion: as a step it comes through.
            let finite = x.iter().all(|x| x.is_finite()) && inverse.is_finite();
            this.steps[g] = if finite {
                step
            } else {
                x.iter().sum::<f32>() * 0.0
            };
            let (block, lane) = (g / lanes, g % lanes);
            let mut sum = 0;
            for (k, x) in x.as_chunks::<WORDS>().0.iter().enumerate() {
                let at = block * lanes * GROUP + (k * lanes + lane) * WORDS;
                for (number, x) in this.numbers[at..].iter_mut().zip(x) {
                    *number = (x * inverse).round() as i16;
                    sum += i32::from(*number);
                }
            }
            this.shifts[4 * g] = -8 * sum;
        }
        this
    }

    /// The products with rows of as many groups in four bits.
    fn dots(&self, words: &[u8], scales: &[[u8; 2]], y: &mut [f32]) {
        let groups = scales.len() / y.len().max(1);
        assert_eq!(
            words.len(),
            scales.len() * GROUP / 2,
            "bytes of whole groups"
        );
        assert_eq!(
            groups.next_multiple_of(self.kernel.lanes()),
            self.steps.len(),
            "as many groups"
        );
        match self.kernel {
            // SAFETY: `of_this_machine` and `available` give these kernels only where the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Vnni => unsafe { x86::dots_avx512(self, words, scales, y) },
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => unsafe { x86::dots_avx2(self, words, scales, y) },
            Kernel::Plain => {
                let rows = words.chunks(groups * GROUP / 2).zip(scales.chunks(groups));
                for ((words, scales), y) in rows.zip(y) {
                    *y = dot_plain(self, words, scales);
                }
            }
        }
    }
}

#[multiversion(targets("x86_64+avx2", "aarch64+neon"))]
fn dot_plain(x: &Steps, words: &[u8], scales: &[[u8; 2]]) -> f32 {
    let groups = words.as_chunks::<2>().0.as_chunks::<WORDS>().0;
    let mut sum = 0.0;
    for (g, (words, scale)) in groups.iter().zip(scales).enumerate() {
        let mut products = [0_i32; WORDS];
        products[0] = x.shifts[4 * g];
        for k in 0..4 {
            let numbers = &x.numbers[g * GROUP + k * WORDS..][..WORDS];
            for j in 0..WORDS {
                let code = u16::from_le_bytes(words[j]) >> (4 * k) & 15;
                products[j] += i32::from(code) * i32::from(numbers[j]);
            }
        }
        let products: i32 = products.iter().sum();
        sum += products as f32 * (bf16::from_le_bytes(*scale).to_f32() * x.steps[g]);
    }
    sum
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{GROUP, SIDE_BY_SIDE, Steps, ask_for_what_follows, fours, put, total};
    use std::arch::x86_64::*;

    /// Four groups at a time, each in a quarter of the register.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn dots_avx512(x: &Steps, words: &[u8], scales: &[[u8; 2]], y: &mut [f32]) {
        const LANES: usize = 4;
        const BYTES: usize = LANES * GROUP / 2;
        let lowest = _mm512_set1_epi16(15);
        let spread = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
        // What a block of a row adds to its sums.
        let block = |sum, b: usize, words: &[u8; BYTES], scales: &[[u8; 2]; LANES]| {
            let numbers: &[[i16; 32]; 4] = x.numbers[b * LANES * GROUP..]
                .as_chunks()
                .0
                .first_chunk()
                .expect("a block");
            let shifts: &[i32; 16] = x.shifts[b * 16..].first_chunk().expect("a block");
            let steps: &[f32; LANES] = x.steps[b * LANES..].first_chunk().expect("a block");
            // SAFETY: each load is of an array of just its length.
            unsafe {
                let number = |k: usize| _mm512_loadu_si512(numbers[k].as_ptr().cast());
                let words = _mm512_loadu_si512(words.as_ptr().cast());
                let products = _mm512_loadu_si512(shifts.as_ptr().cast());
                let codes = _mm512_and_si512(words, lowest);
                let products = _mm512_dpwssd_epi32(products, codes, number(0));
                let codes = _mm512_and_si512(_mm512_srli_epi16(words, 4), lowest);
                let products = _mm512_dpwssd_epi32(products, codes, number(1));
                let codes = _mm512_and_si512(_mm512_srli_epi16(words, 8), lowest);
                let products = _mm512_dpwssd_epi32(products, codes, number(2));
                let codes = _mm512_srli_epi16(words, 12);
                let products = _mm512_dpwssd_epi32(products, codes, number(3));
                let scales = _mm_cvtepu16_epi32(_mm_loadl_epi64(scales.as_ptr().cast()));
                let scales = _mm_castsi128_ps(_mm_slli_epi32(scales, 16));
                let scales = _mm_mul_ps(scales, _mm_loadu_ps(steps.as_ptr()));
                let scales = _mm512_permutexvar_ps(spread, _mm512_castps128_ps512(scales));
                _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), scales, sum)
            }
        };
        let groups = scales.len() / y.len().max(1);
        let whole = groups / LANES;
        for rows in fours(y.len()) {
            let mut sums = [_mm512_setzero_ps(); SIDE_BY_SIDE];
            for b in 0..whole {
                for (sum, row) in sums.iter_mut().zip(rows) {
                    let group = row * groups + b * LANES;
                    let words = words[group * GROUP / 2..].first_chunk().expect("a block");
                    let scales = scales[group..].first_chunk().expect("a block");
                    ask_for_what_follows(words);
                    *sum = block(*sum, b, words, scales);
                }
            }
            if whole * LANES < groups {
                for (sum, row) in sums.iter_mut().zip(rows) {
                    let rest = row * groups + whole * LANES..(row + 1) * groups;
                    let words = padded(&words[rest.start * GROUP / 2..rest.end * GROUP / 2]);
                    *sum = block(*sum, whole, &words, &padded(&scales[rest]));
                }
            }
            let mut products = [0.0; SIDE_BY_SIDE];
            for (product, sum) in products.iter_mut().zip(sums) {
                *product = _mm512_reduce_add_ps(sum);
            }
            put(y, rows, products);
        }
    }

    /// Two groups at a time, each in a half of the register.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn dots_avx2(x: &Steps, words: &[u8], scales: &[[u8; 2]], y: &mut [f32]) {
        const LANES: usize = 2;
        const BYTES: usize = LANES * GROUP / 2;
        let lowest = _mm256_set1_epi16(15);
        let spread = _mm256_set_epi32(1, 1, 1, 1, 0, 0, 0, 0);
        // What a block of a row adds to its sums.
        let block = |sum, b: usize, words: &[u8; BYTES], scales: &[[u8; 2]; LANES]| {
            let numbers: &[[i16; 16]; 4] = x.numbers[b * LANES * GROUP..]
                .as_chunks()
                .0
                .first_chunk()
                .expect("a block");
            let shifts: &[i32; 8] = x.shifts[b * 8..].first_chunk().expect("a block");
            let steps: &[f32; LANES] = x.steps[b * LANES..].first_chunk().expect("a block");
            let scales = scales.map(|s| f32::from_bits(u32::from(u16::from_le_bytes(s)) << 16));
            let scales = _mm_set_ps(0.0, 0.0, scales[1] * steps[1], scales[0] * steps[0]);
            // SAFETY: each load is of an array of just its length.
            unsafe {
                let add = |products, codes, k: usize| {
                    let numbers = _mm256_loadu_si256(numbers[k].as_ptr().cast());
                    _mm256_add_epi32(products, _mm256_madd_epi16(codes, numbers))
                };
                let words = _mm256_loadu_si256(words.as_ptr().cast());
                let products = _mm256_loadu_si256(shifts.as_ptr().cast());
                let products = add(products, _mm256_and_si256(words, lowest), 0);
                let codes = _mm256_and_si256(_mm256_srli_epi16(words, 4), lowest);
                let products = add(products, codes, 1);
                let codes = _mm256_and_si256(_mm256_srli_epi16(words, 8), lowest);
                let products = add(products, codes, 2);
                let products = add(products, _mm256_srli_epi16(words, 12), 3);
                let scales = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(scales), spread);
                _mm256_fmadd_ps(_mm256_cvtepi32_ps(products), scales, sum)
            }
        };
        let groups = scales.len() / y.len().max(1);
        let whole = groups / LANES;
        for rows in fours(y.len()) {
            let mut sums = [_mm256_setzero_ps(); SIDE_BY_SIDE];
            for b in 0..whole {
                for (sum, row) in sums.iter_mut().zip(rows) {
                    let group = row * groups + b * LANES;
                    let words = words[group * GROUP / 2..].first_chunk().expect("a block");
                    let scales = scales[group..].first_chunk().expect("a block");
                    ask_for_what_follows(words);
                    *sum = block(*sum, b, words, scales);
                }
            }
            if whole * LANES < groups {
                for (sum, row) in sums.iter_mut().zip(rows) {
                    let rest = row * groups + whole * LANES..(row + 1) * groups;
                    let words = padded(&words[rest.start * GROUP / 2..rest.end * GROUP / 2]);
                    *sum = block(*sum, whole, &words, &padded(&scales[rest]));
                }
            }
            let mut products = [0.0; SIDE_BY_SIDE];
            let mut lanes = [0.0; 8];
            for (product, sum) in products.iter_mut().zip(sums) {
                // SAFETY: the array has just its length.
                unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sum) };
                *product = total(lanes);
            }
            put(y, rows, products);
        }
    }

    /// The last block of a row, filled up with zeros.
    fn padded<T: Copy + Default, const N: usize>(rest: &[T]) -> [T; N] {
        std::array::from_fn(|i| rest.get(i).copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{matrix, vector};
    use half::f16;
    use ndarray::{Array1, Array2};
    use proptest::prelude::*;

    /// Rows of whole groups and a vector as long.
    fn groups() -> impl Strategy<Value = (Array2<f32>, Array1<f32>)> {
        (1..7_usize, 1..12_usize)
            .prop_flat_map(|(rows, groups)| (matrix(rows, groups * GROUP), vector(groups * GROUP)))
            .prop_map(|(w, x)| (w.mapv(|w| w as f32), x.mapv(|x| x as f32)))
    }

    proptest! {
        /// Catches: a last block cut short or read past its end, groups or words in another order, the scale of another group, the shift by 8 forgotten
        /// or added twice; in every kernel that this machine has.
        #[test]
        fn four_bits_are_multiplied_as_they_are_widened((w, x) in groups()) {
            let stored = StoredTensor::quantized(w.view(), Dtype::Int4);
            let dense = stored.to_matrix("w").unwrap();
            for kernel in Kernel::available() {
                let steps = Vector::Steps(Steps::new(x.as_slice().unwrap(), kernel));
                let mut products = vec![0.0; dense.nrows()];
                stored.row_dots(0, &steps, &mut products);
                for (row, product) in dense.rows().into_iter().zip(products) {
                    let exact: f64 = row.iter().zip(&x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
                    // Half a step of the largest input, times each weight; and the rounding of sums.
                    let bound: f32 = row.iter().map(|w| w.abs() * 4.0 * 3e-5).sum();
                    prop_assert!((f64::from(product) - exact).abs() <= f64::from(bound), "{kernel:?}: {product} for {exact}");
                }
            }
        }
    }

    /// Catches: a denormal number, an infinity or a sign lost where f16 is widened by its bits.
    #[test]
    fn every_f16_is_widened_as_it_is() {
        for bits in 0..=u16::MAX {
            let (ours, exact) = (widen_f16(bits.to_le_bytes()), f16::from_bits(bits).to_f32());
            assert!(
                ours.to_bits() == exact.to_bits() || ours.is_nan() && exact.is_nan(),
                "{bits:#06x}"
            );
        }
    }

    /// Catches: a NaN or ∞ in the input that becomes 0 on its way to whole numbers, so that a broken stream looks sound; inputs of zero that become NaN.
    #[test]
    fn what_is_not_finite_stays_so_and_zeros_stay_zero() {
        let w = Array2::from_elem((1, 2 * GROUP), 1.0);
        let stored = StoredTensor::quantized(w.view(), Dtype::Int4);
        let product = |x: &[f32], kernel| {
            let mut product = [1.0];
            stored.row_dots(0, &Vector::Steps(Steps::new(x, kernel)), &mut product);
            product[0]
        };
        for kernel in Kernel::available() {
            for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut x = [1.0; 2 * GROUP];
                x[GROUP + 3] = broken;
                let product = product(&x, kernel);
                assert!(!product.is_finite(), "{kernel:?}: {product}");
            }
            assert_eq!(product(&[0.0; 2 * GROUP], kernel), 0.0, "{kernel:?}");
            // So small that the step is denormal, or its inverse infinite.
            let small = product(&[1e-42; 2 * GROUP], kernel);
            assert!(small.abs() < 1e-38, "{kernel:?}");
        }
    }
}
