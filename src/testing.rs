//! Random inputs for property tests, and a tokenizer.

use crate::bpe::{
    Tokenizer,
    sentencepiece::{ModelProto, ModelType, NormalizerSpec, SentencePiece, TrainerSpec, Type},
};
use ndarray::{Array1, Array2};
use proptest::prelude::*;
use std::ops::Range;

/// A sequence of vectors, `[tokens, d]`, with numbers between −4 and 4.
pub fn sequence(tokens: Range<usize>, d: Range<usize>) -> impl Strategy<Value = Array2<f64>> {
    (tokens, d).prop_flat_map(|(tokens, d)| matrix(tokens, d))
}

/// A matrix of this shape, with numbers between −4 and 4.
pub fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Array2<f64>> {
    prop::collection::vec(-4.0..4.0, rows * columns)
        .prop_map(move |v| Array2::from_shape_vec((rows, columns), v).expect("rows × columns"))
}

/// A vector of this length, with numbers between −4 and 4.
pub fn vector(len: usize) -> impl Strategy<Value = Array1<f64>> {
    prop::collection::vec(-4.0..4.0, len).prop_map(Array1::from)
}

/// The largest difference of two arrays of one shape; the shapes are compared first.
#[track_caller]
pub fn largest_difference<D: ndarray::Dimension>(
    a: &ndarray::Array<f64, D>,
    b: &ndarray::Array<f64, D>,
) -> f64 {
    assert_eq!(a.shape(), b.shape(), "shapes differ");
    ndarray::Zip::from(a).and(b).fold(0.0, |max, a, b| {
        let difference = (a - b).abs();
        // NaN is the largest difference of all, and `max` alone would drop it.
        if difference.is_nan() {
            f64::INFINITY
        } else {
            difference.max(max)
        }
    })
}

/// `<unk>`, `<s>` and `</s>`, one token for each byte, from 3 on, and `pieces` from 259 on, each of which must be a merge of two before it.
pub fn byte_tokenizer(pieces: &[&str]) -> Tokenizer {
    let piece = |piece: String, r#type: Type| SentencePiece {
        piece: Some(piece),
        score: Some(0.0),
        r#type: Some(r#type as i32),
    };
    let special = [
        ("<unk>", Type::Unknown),
        ("<s>", Type::Control),
        ("</s>", Type::Control),
    ];
    let special = special.map(|(name, kind)| piece(name.into(), kind));
    let bytes = (0..=255).map(|byte| piece(crate::bpe::byte_piece(byte), Type::Byte));
    let normal = pieces
        .iter()
        .map(|text| piece((*text).into(), Type::Normal));
    let model = ModelProto {
        pieces: special.into_iter().chain(bytes).chain(normal).collect(),
        trainer_spec: Some(TrainerSpec {
            model_type: Some(ModelType::Bpe as i32),
            byte_fallback: Some(true),
            ..TrainerSpec::default()
        }),
        normalizer_spec: Some(NormalizerSpec {
            add_dummy_prefix: Some(false),
            remove_extra_whitespaces: Some(false),
            ..NormalizerSpec::default()
        }),
        ..ModelProto::default()
    };
    model.try_into().expect("a tokenizer")
}
