//! Products of stored rows with one vector, $y_i = w_i \cdot x$: what the decoder does for one token.
//!
//! Each weight is read once and used once, so that the time is that of reading $W$ from memory, and the work per byte must stay below it. No weight is
//! written back: rows are widened in registers.
//!
//! * f16, bf16 and eight bits are widened to f32 and multiplied there; many sums side by side keep the vector units of any processor full.
//! * Four bits would take longer to widen than to read. So $x$ is rounded once, to 16-bit steps of its own for each group
//!   ($\lvert x_j - t_g k_j \rvert \le t_g / 2$, $t_g = \max_{j \in g} \lvert x_j \rvert / 32767$), and products of whole numbers are summed exactly:
//!   $w_i \cdot x \approx \sum_g s_{ig} t_g \bigl(\sum_{j \in g} c_{ij} k_j - 8 \sum_{j \in g} k_j\bigr)$ with the codes $c = q + 8$ as stored. What
//!   rounding $x$ adds is a thousandth of what four bits took from $W$.

use super::{
    Dtype, StoredTensor,
    quantized::{GROUP, WORDS},
};
use half::{bf16, f16, slice::HalfFloatSliceExt};
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

impl StoredTensor {
    /// The product of row `i` with a vector that was made for this tensor's format.
    pub(super) fn row_dot(&self, i: usize, x: &Vector) -> f32 {
        let (bytes, scales) = self.row_bytes(i);
        match (x, self.dtype()) {
            (Vector::Floats(x), Dtype::F32) => dot_f32(bytes.as_chunks().0, x),
            (Vector::Floats(x), Dtype::F16) => dot_f16(bytes, x),
            (Vector::Floats(x), Dtype::BF16) => dot_bf16(bytes.as_chunks().0, x),
            (Vector::Floats(x), Dtype::Int8) => dot_int8(bytes, scales, x),
            (Vector::Steps(x), Dtype::Int4) => x.dot(bytes, scales),
            (_, dtype) => unreachable!("a vector made for another format than {dtype}"),
        }
    }
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn dot_f32(w: &[[u8; 4]], x: &[f32]) -> f32 {
    let (w_blocks, w_rest) = w.as_chunks::<64>();
    let (x_blocks, x_rest) = x.as_chunks::<64>();
    let mut sums = [0.0_f32; 64];
    for (w, x) in w_blocks.iter().zip(x_blocks) {
        for i in 0..64 {
            sums[i] += f32::from_le_bytes(w[i]) * x[i];
        }
    }
    let rest = w_rest.iter().zip(x_rest);
    sums.iter().sum::<f32>() + rest.map(|(w, x)| f32::from_le_bytes(*w) * x).sum::<f32>()
}

/// Widening is a shift, and 64 sums keep the vector units of any processor full.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn dot_bf16(w: &[[u8; 2]], x: &[f32]) -> f32 {
    let widen = |w: [u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(w)) << 16);
    let (w_blocks, w_rest) = w.as_chunks::<64>();
    let (x_blocks, x_rest) = x.as_chunks::<64>();
    let mut sums = [0.0_f32; 64];
    for (w, x) in w_blocks.iter().zip(x_blocks) {
        for i in 0..64 {
            sums[i] += widen(w[i]) * x[i];
        }
    }
    let rest = w_rest.iter().zip(x_rest);
    sums.iter().sum::<f32>() + rest.map(|(&w, x)| widen(w) * x).sum::<f32>()
}

/// Widened in a buffer that stays in the nearest cache, by the instruction that processors have for it.
fn dot_f16(w: &[u8], x: &[f32]) -> f32 {
    const BLOCK: usize = 512;
    let mut widened = [0.0_f32; BLOCK];
    let mut aligned = [f16::ZERO; BLOCK];
    let mut sum = 0.0;
    for (w, x) in w.chunks(2 * BLOCK).zip(x.chunks(BLOCK)) {
        let halves = match bytemuck::try_cast_slice::<u8, f16>(w) {
            Ok(halves) => halves,
            Err(_) => {
                for (half, &w) in aligned.iter_mut().zip(w.as_chunks::<2>().0) {
                    *half = f16::from_le_bytes(w);
                }
                &aligned[..x.len()]
            }
        };
        let widened = &mut widened[..x.len()];
        halves.convert_to_f32_slice(widened);
        sum += dot_f32(bytemuck::cast_slice::<f32, [u8; 4]>(widened), x);
    }
    sum
}

/// Codes times input, summed in each group before its scale comes in: one multiplication by it for every 16 weights.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn dot_int8(w: &[u8], scales: &[[u8; 2]], x: &[f32]) -> f32 {
    const HALF: usize = GROUP / 2;
    let mut sums = [0.0_f32; HALF];
    let groups = w.as_chunks::<GROUP>().0.iter().zip(scales);
    for ((w, scale), x) in groups.zip(x.as_chunks::<GROUP>().0) {
        let scale = f32::from_bits(u32::from(u16::from_le_bytes(*scale)) << 16);
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
    sums.iter().sum()
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

    /// The product with a row of as many groups in four bits.
    fn dot(&self, words: &[u8], scales: &[[u8; 2]]) -> f32 {
        assert_eq!(
            words.len(),
            scales.len() * GROUP / 2,
            "bytes of whole groups"
        );
        assert_eq!(
            scales.len().next_multiple_of(self.kernel.lanes()),
            self.steps.len(),
            "as many groups"
        );
        match self.kernel {
            // SAFETY: `of_this_machine` and `available` give these kernels only where the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Vnni => unsafe { x86::dot_avx512(self, words, scales) },
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => unsafe { x86::dot_avx2(self, words, scales) },
            Kernel::Plain => dot_plain(self, words, scales),
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
    use super::{GROUP, Steps};
    use std::arch::x86_64::*;

    /// Four groups at a time, each in a quarter of the register.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn dot_avx512(x: &Steps, words: &[u8], scales: &[[u8; 2]]) -> f32 {
        const LANES: usize = 4;
        const BYTES: usize = LANES * GROUP / 2;
        let lowest = _mm512_set1_epi16(15);
        let spread = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
        let mut sum = _mm512_setzero_ps();
        let mut block = |b: usize, words: &[u8; BYTES], scales: &[[u8; 2]; LANES]| {
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
                sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), scales, sum);
            }
        };
        let (word_blocks, words) = words.as_chunks::<BYTES>();
        let (scale_blocks, scales) = scales.as_chunks::<LANES>();
        for (b, (words, scales)) in word_blocks.iter().zip(scale_blocks).enumerate() {
            block(b, words, scales);
        }
        if !scales.is_empty() {
            block(word_blocks.len(), &padded(words), &padded(scales));
        }
        _mm512_reduce_add_ps(sum)
    }

    /// Two groups at a time, each in a half of the register.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn dot_avx2(x: &Steps, words: &[u8], scales: &[[u8; 2]]) -> f32 {
        const LANES: usize = 2;
        const BYTES: usize = LANES * GROUP / 2;
        let lowest = _mm256_set1_epi16(15);
        let spread = _mm256_set_epi32(1, 1, 1, 1, 0, 0, 0, 0);
        let mut sum = _mm256_setzero_ps();
        let mut block = |b: usize, words: &[u8; BYTES], scales: &[[u8; 2]; LANES]| {
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
                sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(products), scales, sum);
            }
        };
        let (word_blocks, words) = words.as_chunks::<BYTES>();
        let (scale_blocks, scales) = scales.as_chunks::<LANES>();
        for (b, (words, scales)) in word_blocks.iter().zip(scale_blocks).enumerate() {
            block(b, words, scales);
        }
        if !scales.is_empty() {
            block(word_blocks.len(), &padded(words), &padded(scales));
        }
        let mut sums = [0.0; 8];
        // SAFETY: the array has just its length.
        unsafe { _mm256_storeu_ps(sums.as_mut_ptr(), sum) };
        sums.iter().sum()
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
    use ndarray::{Array1, Array2};
    use proptest::prelude::*;

    /// A row of whole groups and a vector as long.
    fn groups() -> impl Strategy<Value = (Array2<f32>, Array1<f32>)> {
        (1..12_usize)
            .prop_flat_map(|groups| (matrix(2, groups * GROUP), vector(groups * GROUP)))
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
                for (i, row) in dense.rows().into_iter().enumerate() {
                    let exact: f64 = row.iter().zip(&x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
                    // Half a step of the largest input, times each weight; and the rounding of sums.
                    let bound: f32 = row.iter().map(|w| w.abs() * 4.0 * 3e-5).sum();
                    let product = stored.row_dot(i, &steps);
                    prop_assert!((f64::from(product) - exact).abs() <= f64::from(bound), "{kernel:?}: {product} for {exact}");
                }
            }
        }
    }

    /// Catches: a NaN or ∞ in the input that becomes 0 on its way to whole numbers, so that a broken stream looks sound; inputs of zero that become NaN.
    #[test]
    fn what_is_not_finite_stays_so_and_zeros_stay_zero() {
        let w = Array2::from_elem((1, 2 * GROUP), 1.0);
        let stored = StoredTensor::quantized(w.view(), Dtype::Int4);
        for kernel in Kernel::available() {
            for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut x = [1.0; 2 * GROUP];
                x[GROUP + 3] = broken;
                let product = stored.row_dot(0, &Vector::Steps(Steps::new(&x, kernel)));
                assert!(!product.is_finite(), "{kernel:?}: {product}");
            }
            let zeros = Vector::Steps(Steps::new(&[0.0; 2 * GROUP], kernel));
            assert_eq!(stored.row_dot(0, &zeros), 0.0, "{kernel:?}");
            // So small that the step is denormal, or its inverse infinite.
            let small = Vector::Steps(Steps::new(&[1e-42; 2 * GROUP], kernel));
            assert!(stored.row_dot(0, &small).abs() < 1e-38, "{kernel:?}");
        }
    }
}
