//! Steps, padding and parts.

use super::*;
use crate::dtransformer::Position;

fn model(position: Position) -> Parameters<f32> {
    let config = Config {
        vocab_size: 20,
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 4,
        head_dim: 4,
        position,
        context: 32,
        ..Config::baichuan2_7b()
    };
    Parameters::random(&config, 0.3, 5)
}

fn example(ids: &[u32], answer: usize) -> Example {
    let targets = ids[1..].iter().enumerate();
    Example {
        targets: targets
            .map(|(i, &id)| (i >= answer).then_some(id))
            .collect(),
        ids: ids[..ids.len() - 1].to_vec(),
        cut: false,
    }
}

/// Three conversations of different lengths.
fn examples() -> Vec<Example> {
    vec![
        example(&[5, 7, 8, 6, 9, 10, 11, 2], 3),
        example(&[5, 12, 6, 13, 2], 2),
        example(&[5, 14, 15, 6, 3, 2], 3),
    ]
}

fn lora(rank: usize) -> Option<LoraSettings> {
    Some(LoraSettings { rank, alpha: 8.0 })
}

/// Catches: padding that is seen, or counts; sequences that run into each other.
#[test]
fn padding_changes_nothing() {
    let examples = examples();
    let all: Vec<&Example> = examples.iter().collect();
    for position in [Position::Rope { base: 1e4 }, Position::Alibi] {
        let p = model(position);
        let count: usize = all.iter().map(|e| e.targets.iter().flatten().count()).sum();
        let of = |batches: &[Batch]| {
            let mut gradient = Parameters::zeros(&p.config);
            let loss = |batch| backward::loss_and_gradient(&p, batch, 0.0, count, &mut gradient);
            let loss: f64 = batches.iter().map(loss).map(|l| l.cross_entropy).sum();
            (loss, gradient)
        };
        let together = padded(&all);
        assert_eq!((together.tokens, together.ids.len()), (7, 21));
        let alone: Vec<Batch> = all.iter().map(|&e| padded(&[e])).collect();
        assert!(alone.iter().all(|batch| batch.ids.len() == batch.tokens));
        let ((loss, gradient), (expected, by_itself)) = (of(&[together]), of(&alone));
        assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
        for (a, b) in gradient.arrays.iter().zip(&by_itself.arrays) {
            let difference = (a - b).fold(0.0_f32, |max, x| max.max(x.abs()));
            assert!(difference < 1e-5, "{difference}");
        }
    }
}

/// Catches: examples lost between the parts; a mean of means.
#[test]
fn parts_share_the_examples_and_change_nothing() {
    let examples = examples();
    let all: Vec<&Example> = examples.iter().collect();
    let run = |parts| {
        let settings = Settings {
            parts,
            rate: 1e-2,
            ..Settings::default()
        };
        let mut tuner = Tuner::new(settings, model(Position::Alibi)).unwrap();
        let before = tuner.loss(&examples).unwrap().unwrap();
        let step = tuner.step(&all).unwrap();
        assert!((step.loss.cross_entropy - before).abs() < 1e-5);
        step
    };
    let one = run(1);
    assert_eq!(one.tokens, 16);
    for parts in [2, 3, 7] {
        let some = run(parts);
        assert!((some.loss.cross_entropy - one.loss.cross_entropy).abs() < 1e-5);
        assert!((some.gradient_norm - one.gradient_norm).abs() < 1e-4);
    }
}

/// Catches: a loss that does not fall; parameters that move although they are frozen; W that is not W₀ + (α/r)·B·A.
#[test]
fn lora_moves_the_projections_alone_and_learns() {
    let (examples, before) = (examples(), model(Position::Rope { base: 1e4 }));
    let all: Vec<&Example> = examples.iter().collect();
    let settings = Settings {
        lora: lora(2),
        rate: 1e-2,
        ..Settings::default()
    };
    let mut tuner = Tuner::new(settings, before.clone()).unwrap();
    let untrained = tuner.loss(&examples).unwrap().unwrap();
    for _ in 0..200 {
        tuner.step(&all).unwrap();
    }
    let loss = tuner.loss(&examples).unwrap().unwrap();
    assert!(loss < untrained / 3.0, "{loss} after {untrained}");
    let mut moved = 0;
    for (i, (parameter, after)) in tuner.parameters().named().enumerate() {
        let projection = parameter.name.ends_with("W_pack.weight");
        assert_eq!(tuner.moves(i), projection);
        assert_eq!(*after != before.arrays[i], projection, "{}", parameter.name);
        moved += usize::from(projection);
    }
    assert_eq!(moved, 2);
    for (place, a, b) in tuner.lora().unwrap().pairs() {
        let w = &before.arrays[place] + &(b.dot(a) * 4.0);
        let difference = (&w - &tuner.parameters().arrays[place]).mapv(f32::abs);
        assert!(difference.iter().all(|&d| d < 1e-5));
    }
}

/// Catches: a gradient with the wrong sign; parameters that stand still in full fine-tuning.
#[test]
fn full_fine_tuning_moves_everything_and_learns() {
    let (examples, before) = (examples(), model(Position::Alibi));
    let all: Vec<&Example> = examples.iter().collect();
    let settings = Settings {
        rate: 1e-2,
        ..Settings::default()
    };
    let mut tuner = Tuner::new(settings, before.clone()).unwrap();
    for _ in 0..60 {
        tuner.step(&all).unwrap();
    }
    let loss = tuner.loss(&examples).unwrap().unwrap();
    assert!(loss < 0.1, "{loss}");
    for (i, (parameter, after)) in tuner.parameters().named().enumerate() {
        assert!(
            tuner.moves(i) && *after != before.arrays[i],
            "{}",
            parameter.name
        );
    }
}

/// Catches: NaN written over good weights; ids that reach past the embedding.
#[test]
fn what_cannot_be_is_an_error_and_changes_nothing() {
    let mut broken = model(Position::Alibi);
    broken.arrays[4][[0, 0]] = f32::NAN;
    for lora in [None, lora(1)] {
        let settings = Settings {
            lora,
            ..Settings::default()
        };
        let mut tuner = Tuner::new(settings, broken.clone()).unwrap();
        let error = tuner.step(&[&examples()[0]]).unwrap_err();
        assert!(
            matches!(error, TunerError::Diverged { step: 1, .. }),
            "{error}"
        );
        assert_eq!(tuner.parameters().arrays[5], broken.arrays[5]);
        let far = example(&[5, 6, 20], 1);
        let expected = TunerError::NoSuchToken {
            id: 20,
            vocab_size: 20,
        };
        assert_eq!(tuner.step(&[&far]), Err(expected.clone()));
        assert_eq!(tuner.loss(&[far]), Err(expected));
    }
    for (lora, expected) in [
        (lora(0), "the rank is 0; it must be from 1 to 16"),
        (lora(17), "the rank is 17; it must be from 1 to 16"),
        (
            Some(LoraSettings {
                rank: 1,
                alpha: f64::NAN,
            }),
            "alpha is NaN; it must be a positive number",
        ),
    ] {
        let settings = Settings {
            lora,
            ..Settings::default()
        };
        let error = Tuner::new(settings, model(Position::Alibi)).err().unwrap();
        assert_eq!(error.to_string(), expected);
    }
}

/// Catches: a step that is taken again with the gradient of the one before, where a batch has none.
#[test]
fn a_batch_in_which_nothing_counts_is_an_error_and_changes_nothing() {
    let of_the_user = Example {
        targets: vec![None; 3],
        ids: vec![5, 7, 8],
        cut: false,
    };
    for lora in [None, lora(1)] {
        let settings = Settings {
            lora,
            ..Settings::default()
        };
        let mut tuner = Tuner::new(settings, model(Position::Alibi)).unwrap();
        tuner.step(&[&examples()[0]]).unwrap();
        let before = tuner.parameters().clone();
        for batch in [&[][..], &[&of_the_user]] {
            assert_eq!(tuner.step(batch), Err(TunerError::NothingCounts));
        }
        assert_eq!(*tuner.parameters(), before);
        assert_eq!(tuner.step(&[&examples()[1]]).unwrap().step, 2);
    }
}

/// Catches: ℓ in place of ℓ², a layer's maps in place of all, one part's in place of those that are computed at once.
#[test]
fn the_maps_of_the_sequences_at_once_are_estimated() {
    let config = model(Position::Alibi).config;
    let of_a_sequence = 4 * 2 * 4 * 10 * 10;
    for (parts, batch, threads, sequences) in [
        (1, 16, 8, 16),
        (2, 16, 8, 16),
        (2, 16, 1, 8),
        (2, 3, 8, 3),
        (64, 16, 2, 2),
    ] {
        let settings = Settings {
            parts,
            ..Settings::default()
        };
        let bytes = settings.attention_bytes(&config, batch, 10, threads);
        assert_eq!(
            bytes,
            of_a_sequence * sequences,
            "{parts} {batch} {threads}"
        );
    }
    let endless = Settings::default().attention_bytes(&config, usize::MAX, usize::MAX, 2);
    assert_eq!(endless, u64::MAX);
}
