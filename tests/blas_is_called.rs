//! Proof that products are made by the BLAS that was linked, and not by ndarray's own loops.
//!
//! The test defines `cblas_sgemm` itself. The linker takes its definition before the library's, so that every product of f32 matrices
//! in this program comes by here; it is counted, and handed on to the same library's Fortran entry `sgemm_`.
#![cfg(feature = "_blas")]

use baichuan2::{
    attention::{Bias, Visibility, attend, attend_in_blocks},
    tensor::{Dtype, LinearMap, StoredTensor},
};
use ndarray::{Array2, ArrayView2};
use std::{
    ffi::{c_char, c_int},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

static CALLS: AtomicUsize = AtomicUsize::new(0);
/// Multiplications that were asked of the BLAS.
static WORK: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    fn sgemm_(
        trans_a: *const c_char,
        trans_b: *const c_char,
        m: *const c_int,
        n: *const c_int,
        k: *const c_int,
        alpha: *const f32,
        a: *const f32,
        lda: *const c_int,
        b: *const f32,
        ldb: *const c_int,
        beta: *const f32,
        c: *mut f32,
        ldc: *const c_int,
    );
}

const ROW_MAJOR: c_int = 101;

#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "the standard's signature")]
unsafe extern "C" fn cblas_sgemm(
    layout: c_int,
    trans_a: c_int,
    trans_b: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: f32,
    a: *const f32,
    lda: c_int,
    b: *const f32,
    ldb: c_int,
    beta: f32,
    c: *mut f32,
    ldc: c_int,
) {
    CALLS.fetch_add(1, Relaxed);
    WORK.fetch_add(m as usize * n as usize * k as usize, Relaxed);
    let letter = |transpose| match transpose {
        111 => b'N' as c_char,
        _ => b'T' as c_char,
    };
    let (trans_a, trans_b) = (letter(trans_a), letter(trans_b));
    // SAFETY: the caller's promise is passed on. Fortran's matrices are column-major; a row-major C = A B is, read so, Cᵀ = Bᵀ Aᵀ.
    unsafe {
        if layout == ROW_MAJOR {
            sgemm_(
                &trans_b, &trans_a, &n, &m, &k, &alpha, b, &ldb, a, &lda, &beta, c, &ldc,
            );
        } else {
            sgemm_(
                &trans_a, &trans_b, &m, &n, &k, &alpha, a, &lda, b, &ldb, &beta, c, &ldc,
            );
        }
    }
}

fn wave(rows: usize, columns: usize, seed: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        ((i * 31 + j * 7 + seed) as f32).sin()
    })
}

/// X·Yᵀ by its definition.
fn by_hand(x: ArrayView2<f32>, y: ArrayView2<f32>) -> Array2<f32> {
    Array2::from_shape_fn((x.nrows(), y.nrows()), |(i, j)| {
        let products = x.row(i).into_iter().zip(y.row(j));
        products
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum::<f64>() as f32
    })
}

/// What `work` returns, with the calls and the multiplications that the BLAS was asked for meanwhile, in this process.
fn counted<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    // The counts are of the process, and tests run side by side.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    let (calls, work_before) = (CALLS.load(Relaxed), WORK.load(Relaxed));
    let result = work();
    (
        result,
        CALLS.load(Relaxed) - calls,
        WORK.load(Relaxed) - work_before,
    )
}

fn close(a: &Array2<f32>, b: &Array2<f32>) -> bool {
    a.dim() == b.dim() && (a - b).iter().all(|e| e.abs() < 1e-3)
}

const TOKENS: usize = 12;
const OUT: usize = 300; // more than one tile, and not a multiple
const IN: usize = 40;

/// Catches: ndarray without its `blas` feature; strides that make it fall back in silence; a hand loop.
#[test]
fn linear_maps_call_it_for_all_of_their_work() {
    let (x, w) = (wave(TOKENS, IN, 0), wave(OUT, IN, 1));
    let expected = by_hand(x.view(), w.view());
    let all = TOKENS * OUT * IN;
    let (y, calls, work) = counted(|| w.apply(x.view()));
    assert!(close(&y, &expected));
    assert_eq!((calls, work), (1, all), "a dense matrix");
    let bytes: Vec<u8> = w.iter().flat_map(|x| x.to_le_bytes()).collect();
    let stored = StoredTensor::new(Dtype::F32, vec![OUT, IN], bytes.into()).unwrap();
    // In how many tiles depends on the threads.
    let (y, _, work) = counted(|| stored.apply(x.view()));
    assert!(close(&y, &expected));
    assert_eq!(work, all, "stored f32, tile by tile");
    let bytes: Vec<u8> = w
        .iter()
        .flat_map(|x| half::bf16::from_f32(*x).to_le_bytes())
        .collect();
    let stored = StoredTensor::new(Dtype::BF16, vec![OUT, IN], bytes.into()).unwrap();
    let rounded = w.mapv(|x| half::bf16::from_f32(x).to_f32());
    let (y, _, work) = counted(|| stored.apply(x.view()));
    assert!(close(&y, &by_hand(x.view(), rounded.view())));
    assert_eq!(work, all, "stored bf16, widened tile by tile");
}

/// Catches: heads that are strided views which ndarray multiplies by itself.
#[test]
fn attention_calls_it_for_scores_and_for_values() {
    // Heads side by side, as the decoder has them: rows of 3 × 16, of which one head is a third.
    let all = wave(TOKENS, 48, 2);
    let head = all.slice(ndarray::s![.., 16..32]);
    let bias = Bias {
        visibility: Visibility::All,
        alibi_slope: None,
    };
    let products = 2 * TOKENS * TOKENS * 16; // q·kᵀ and weights·v
    let (whole, calls, work) = counted(|| attend(head, head, head, &bias));
    assert_eq!((calls, work), (2, products), "with the whole map");
    let scores = by_hand(head, head) / 4.0;
    assert!(close(&whole.scores, &scores));
    let mut out = Array2::zeros((TOKENS, 16));
    let ((), calls, work) =
        counted(|| attend_in_blocks(head, head, head, &bias, 8, out.view_mut()));
    assert_eq!((calls, work), (4, products), "in two blocks");
    assert!(close(&out, &whole.output));
}

/// Catches: a decoder whose products lie outside the BLAS.
#[cfg(feature = "files")]
#[test]
fn a_pass_of_the_decoder_calls_it_for_every_product() {
    use baichuan2::checkpoint::Checkpoint;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny7b");
    let decoder = Checkpoint::open(folder).unwrap().decoder().unwrap();
    let c = decoder.config().clone();
    let ids: Vec<u32> = (3..35).collect();
    let (_, calls, work) = counted(|| {
        decoder
            .forward(&ids, &mut decoder.new_cache(), None)
            .unwrap()
    });
    let [t, d] = [ids.len(), c.hidden_size];
    let maps = c.num_hidden_layers * (4 * d * d + 3 * d * c.intermediate_size) + c.vocab_size * d;
    let attention = c.num_hidden_layers * c.num_attention_heads * 2 * t * c.head_dim;
    eprintln!("{t} tokens of the tiny 7B: {calls} calls of cblas_sgemm, {work} multiplications");
    assert_eq!(work, t * (maps + attention));
}
