//! Each algorithm by itself, the formal form beside the shipped one where it has both:
//!
//!     cargo bench --bench algorithms                          # all
//!     cargo bench --bench algorithms -- attention             # those with the word in their names
//!     cargo bench --bench algorithms -- --save-baseline old   # then, after a change: --baseline old
//!
//! Shapes are those of the 7B: 4,096 wide, heads of 128, 512 tokens. What reads weights is given in bytes of them a second, what multiplies matrices in
//! floating-point operations ("elements"), what reads text in bytes of it.

use baichuan2::{
    alibi::slopes,
    attention::{
        AttentionParameters, Bias, Visibility, attend, attend_in_blocks, attention_formal,
        causal_mask,
    },
    bpe::{TrainingOptions, encode_formal, encode_longest_match},
    embedded::EmbeddedModel,
    generation::Sampling,
    rms_norm::{RmsNorm, rms_norm_formal},
    rope::{Rotation, rope_formal},
    tensor::{Dtype, GROUP, LinearMap, StoredTensor, softmax, softmax_formal},
    unembedding::{Unembedding, norm_head_formal},
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array, Array1, Array2, ArrayD, Axis, Dimension, ShapeBuilder, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cell::LazyCell;

const TOKENS: usize = 512;
const WIDTH: usize = 4096;
const HEAD: usize = 128;

/// Numbers between −1 and 1, the same ones each time.
fn numbers<D: Dimension, S: ShapeBuilder<Dim = D>>(shape: S) -> Array<f32, D> {
    let mut chance = ChaCha8Rng::seed_from_u64(1);
    Array::from_shape_simple_fn(shape, || chance.random_range(-1.0..1.0))
}

fn small_parts(c: &mut Criterion) {
    let x: Array2<f32> = numbers((TOKENS, WIDTH));
    let mut group = c.benchmark_group("softmax");
    group.throughput(Throughput::Elements(x.len() as u64));
    group.bench_function("formal", |b| {
        b.iter(|| x.rows().into_iter().map(softmax_formal).collect::<Vec<_>>())
    });
    group.bench_function("shipped", |b| b.iter(|| softmax(x.view())));
    group.finish();

    let (gamma, beta) = (Array1::ones(WIDTH), Array1::zeros(WIDTH));
    let norm = RmsNorm {
        gamma: gamma.clone(),
        eps: 1e-6,
    };
    let formal = |row| rms_norm_formal(row, gamma.view(), beta.view());
    let mut group = c.benchmark_group("rms_norm");
    group.throughput(Throughput::Elements(x.len() as u64));
    group.bench_function("formal", |b| {
        b.iter(|| x.rows().into_iter().map(formal).collect::<Vec<_>>())
    });
    group.bench_function("shipped", |b| b.iter(|| norm.forward(x.view())));
    group.finish();

    let head: Array2<f32> = numbers((TOKENS, HEAD));
    let wide = head.mapv(f64::from);
    let rotation = Rotation::<f32>::new(HEAD, 1e4, 0, TOKENS);
    let formal = |(position, row)| rope_formal(row, position, 1e4);
    let mut group = c.benchmark_group("rope");
    group.throughput(Throughput::Elements(head.len() as u64));
    group.bench_function("formal", |b| {
        b.iter(|| {
            wide.rows()
                .into_iter()
                .enumerate()
                .map(formal)
                .collect::<Vec<_>>()
        })
    });
    group.bench_function("shipped", |b| {
        b.iter_batched_ref(
            || head.clone(),
            |head| rotation.rotate(head.view_mut()),
            BatchSize::SmallInput,
        )
    });
    group.finish();

    // The 7B's vocabulary.
    let logits: Array1<f32> = 10.0 * numbers(125_696);
    let sampling = Sampling::default();
    let text: Vec<u32> = (0..TOKENS as u32).collect();
    c.bench_function("sampling/distribution", |b| {
        b.iter_batched_ref(
            || logits.clone(),
            |logits| sampling.distribution(logits.view_mut(), &text),
            BatchSize::LargeInput,
        )
    });
}

/// One causal head, from its queries, keys and values on: without a bias, and with the steepest of ALiBi's slopes.
fn attention(c: &mut Criterion) {
    let mut group = c.benchmark_group("attention");
    group.sample_size(10);
    for tokens in [TOKENS, 4096] {
        let x: Array2<f32> = numbers((tokens, HEAD));
        if tokens == TOKENS {
            let (w, b) = (Array2::eye(HEAD), Array1::zeros(HEAD));
            let parameters = AttentionParameters {
                w_q: w.clone(),
                b_q: b.clone(),
                w_k: w.clone(),
                b_k: b.clone(),
                w_v: w,
                b_v: b,
            };
            let mask = causal_mask(0, tokens, tokens);
            group.bench_function(BenchmarkId::new("formal", tokens), |b| {
                b.iter(|| attention_formal(x.view(), x.view(), &parameters, mask.view()))
            });
        }
        for (name, alibi_slope) in [("", None), (", ALiBi", Some(slopes(40)[0]))] {
            let bias = Bias {
                visibility: Visibility::Causal { first: 0 },
                alibi_slope,
            };
            group.bench_function(BenchmarkId::new(format!("whole map{name}"), tokens), |b| {
                b.iter(|| attend(x.view(), x.view(), x.view(), &bias))
            });
            let mut out = Array2::zeros((tokens, HEAD));
            group.bench_function(BenchmarkId::new(format!("in blocks{name}"), tokens), |b| {
                b.iter(|| {
                    attend_in_blocks(x.view(), x.view(), x.view(), &bias, 512, out.view_mut())
                })
            });
        }
    }
    group.finish();
}

/// The gate of a layer, in each format: one token is bound by reading it, many by multiplying.
fn products(c: &mut Criterion) {
    const OUT: usize = 65_536; // what one token reads should fit no cache
    const GATE: usize = 11_008;
    let x: Array2<f32> = numbers((TOKENS, WIDTH));
    // Made where one of them is asked for.
    let weight = LazyCell::new(|| numbers(vec![OUT, WIDTH]));
    let stored = [
        Dtype::F32,
        Dtype::F16,
        Dtype::BF16,
        Dtype::Int8,
        Dtype::Int4,
    ]
    .map(|dtype| {
        let weight = &weight;
        let stored = LazyCell::new(move || StoredTensor::rounded(ArrayD::clone(weight), dtype));
        (dtype, stored)
    });
    let mut group = c.benchmark_group("product");
    group.sample_size(10);
    for (dtype, weight) in &stored {
        let scales = if dtype.has_scales() { 16 } else { 0 };
        let bytes = OUT * WIDTH / GROUP * (GROUP * dtype.bits() + scales) / 8;
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::new("one token", dtype), |b| {
            b.iter(|| weight.apply(x.slice(s![..1, ..])))
        });
    }
    group.throughput(Throughput::Elements((2 * TOKENS * WIDTH * GATE) as u64));
    for (dtype, weight) in &stored {
        group.bench_function(BenchmarkId::new(format!("{TOKENS} tokens"), dtype), |b| {
            let gate = weight.rows(0..GATE);
            b.iter(|| gate.apply(x.view()))
        });
    }
    group.finish();

    let head: LazyCell<Array2<f32>> = LazyCell::new(|| numbers((16_000, WIDTH)));
    let row = x.index_axis(Axis(0), 0).insert_axis(Axis(0));
    let mut group = c.benchmark_group("norm_head");
    group.sample_size(10);
    group.bench_function("formal, at every token", |b| {
        b.iter(|| row.dot(&norm_head_formal(head.view()).t()))
    });
    group.bench_function("shipped, once", |b| {
        let unembedding = Unembedding::new(head.clone(), true);
        b.iter(|| unembedding.logits(row))
    });
    group.finish();
}

fn tokenizer(c: &mut Criterion) {
    let text = concat!(
        include_str!("../README.md"),
        include_str!("../book/zh/bpe-encoding.md"),
        include_str!("../src/bpe/encoding.rs")
    );
    let tokenizer = EmbeddedModel::Rope.tokenizer();
    let ids = tokenizer.encode(text);
    let mut group = c.benchmark_group("tokenizer");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("encode, the page's longest match", |b| {
        b.iter(|| encode_longest_match(tokenizer.vocabulary(), text))
    });
    group.bench_function("encode, merging watched", |b| {
        b.iter(|| tokenizer.encode_observed(text, |_| ()))
    });
    group.bench_function("encode, shipped", |b| b.iter(|| tokenizer.encode(text)));
    group.bench_function("decode", |b| b.iter(|| tokenizer.decode(&ids)));
    let options = TrainingOptions {
        vocab_size: 1000,
        ..TrainingOptions::default()
    };
    group.bench_function("train 1,000 pieces", |b| {
        b.iter(|| options.train(text.lines(), |_, _| ()))
    });
    // The definition looks at every pair for every merge: a sentence is what it can do.
    let sentence = text.lines().find(|line| line.len() > 100).unwrap_or(text);
    group.throughput(Throughput::Bytes(sentence.len() as u64));
    group.bench_function("encode a sentence, formal", |b| {
        b.iter(|| encode_formal(tokenizer.vocabulary(), sentence))
    });
    group.finish();
}

criterion_group!(algorithms, small_parts, attention, products, tokenizer);
criterion_main!(algorithms);
