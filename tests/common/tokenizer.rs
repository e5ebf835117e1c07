//! A tokenizer to put beside a small model.

use baichuan2::bpe::{byte_piece, sentencepiece::*};
use prost::Message;

/// A `.model` of `<unk>`, `<s>` and `</s>`, the bytes from 3 on, and `pieces` from 259 on.
pub fn of_bytes(pieces: &[&str]) -> Vec<u8> {
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
    let bytes = (0..=255).map(|byte| piece(byte_piece(byte), Type::Byte));
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
    model.encode_to_vec()
}
