use super::*;
use crate::{
    dtransformer::{Config, Position},
    testing::byte_tokenizer,
    training::{Parameters, loss::cross_entropy},
};
use proptest::prelude::*;

/// A random decoder to which every token and every place makes a difference.
fn decoder(position: Position, vocab_size: usize) -> DTransformer<f32, Array2<f32>> {
    let config = Config {
        vocab_size,
        hidden_size: 8,
        intermediate_size: 8,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        num_key_value_heads: 2,
        head_dim: 4,
        rms_norm_eps: 1e-6,
        position,
        context: 6,
        norm_head: true,
        tie_word_embeddings: false,
        packed_qkv: true,
    };
    Parameters::random(&config, 0.7, 5).decoder().unwrap()
}

fn ids(n: usize) -> Vec<u32> {
    (0..n as u32).map(|i| (i * i + i / 3) % 13).collect()
}

/// The loss of the last of `ids` after all the others, in a pass of its own.
fn last_loss(decoder: &DTransformer<f32, Array2<f32>>, ids: &[u32]) -> f64 {
    let (&last, given) = ids.split_last().unwrap();
    let mut cache = decoder.new_cache_of(given.len());
    let logits = decoder.forward_last(given, &mut cache, None).unwrap();
    f64::from(cross_entropy(logits.insert_axis(Axis(0)).view(), &[last]))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-4
}

/// Catches: a target off by one; positions that begin again with each chunk; a stop at the trained context.
#[test]
fn each_token_is_predicted_from_all_before_it() {
    let rope = decoder(Position::Rope { base: 1e4 }, 13);
    let ids = ids(2 * CHUNK + 9);
    let losses = losses(&rope, &ids).unwrap();
    assert_eq!(losses.len(), ids.len() - 1);
    for t in [1, 2, 6, 7, CHUNK, CHUNK + 1, CHUNK + 2, ids.len() - 1] {
        let expected = last_loss(&rope, &ids[..=t]);
        assert!(
            close(losses[t - 1], expected),
            "{t}: {} {expected}",
            losses[t - 1]
        );
    }
}

/// Catches: a panic on a target that the decoder has no row for.
#[test]
fn what_cannot_be_predicted_is_an_error() {
    let decoder = decoder(Position::Alibi, 13);
    for few in [&[][..], &[3]] {
        assert_eq!(losses(&decoder, few), Err(Error::NoTokens));
    }
    let outside = |position| Error::NoSuchToken {
        id: 13,
        position,
        vocab_size: 13,
    };
    assert_eq!(losses(&decoder, &[1, 2, 13]), Err(outside(2)));
    assert_eq!(losses(&decoder, &[13, 2]), Err(outside(0)));
    assert_eq!(
        by_position(&decoder, &ids(9), 2, 3, 3),
        Err(Error::NoTokens),
        "10 are needed"
    );
    assert_eq!(
        by_position(&decoder, &ids(9), 2, 3, 0),
        Err(Error::NoTokens)
    );
}

proptest! {
    /// Catches: tokens left out or counted twice where windows meet; windows longer than the context, or that show less than half of it.
    #[test]
    fn a_long_text_is_read_in_windows(n in 2..40_usize, context in 1..9_usize) {
        let rope = decoder(Position::Rope { base: 1e4 }, 13);
        let ids = ids(n);
        let all = losses_within(&rope, &ids, context).unwrap();
        prop_assert_eq!(all.len(), n - 1);
        for (t, &loss) in (1..).zip(&all) {
            let mut starts = (t.min(context).div_ceil(2).max(context / 2).min(t)..=t.min(context)).map(|before| t - before);
            prop_assert!(starts.any(|start| close(loss, last_loss(&rope, &ids[start..=t]))), "{t}");
        }
    }

    /// Catches: a block in the bin before or after its own; bins over different text; blocks that no window reaches.
    #[test]
    fn every_bin_predicts_the_same_tokens(width in 1..5_usize, bins in 1..6_usize, blocks in 1..5_usize) {
        let rope = decoder(Position::Rope { base: 1e4 }, 13);
        let ids = ids(ids_needed(width, bins, blocks));
        let found = by_position(&rope, &ids, width, bins, blocks).unwrap();
        prop_assert_eq!(found.losses.dim(), (blocks, bins));
        for block in 0..blocks {
            // The targets of the block: the same for all bins.
            let targets = (block + bins - 1) * width + 1..(block + bins) * width + 1;
            for bin in 0..bins {
                let start = targets.start - 1 - bin * width;
                let expected: f64 = targets.clone().map(|t| last_loss(&rope, &ids[start..=t])).sum();
                prop_assert!(close(found.losses[[block, bin]], expected / width as f64), "{block} {bin}");
            }
        }
    }
}

/// Catches: `</s>` not before, or not after; characters counted as bytes; a mean of means.
#[test]
fn documents_are_read_alone_after_the_end_of_another() {
    let alibi = decoder(Position::Alibi, 260);
    let tokenizer = byte_tokenizer(&["ab"]);
    let documents = ["xab".to_owned(), "é".to_owned(), "0123456".to_owned()];
    let readings = read(&alibi, &tokenizer, 2, &documents).unwrap();
    let expected: f64 = losses(&alibi, &[2, 3 + u32::from(b'x'), 259, 2])
        .unwrap()
        .iter()
        .sum();
    assert!(close(readings[0].nats, expected));
    assert_eq!((readings[0].tokens, readings[0].characters), (3, 3));
    assert_eq!((readings[1].tokens, readings[1].characters), (3, 1));
    assert_eq!(
        readings.iter().map(|r| r.longer).collect::<Vec<_>>(),
        [false, false, true]
    );

    let mut tally = Tally::default();
    readings.iter().for_each(|reading| tally.add(reading));
    let nats: f64 = readings.iter().map(|r| r.nats).sum();
    assert!(close(tally.loss(), nats / 14.0));
    assert!(close(tally.bits_a_character(), nats / LN_2 / 11.0));
    assert!(close(tally.perplexity(), (nats / 14.0).exp()));
    assert!(close(tally.nats_a_token(28.0), 2.0 * LN_2));
    let residuals = readings
        .iter()
        .map(|r| (r.nats - nats / 14.0 * r.tokens as f64).powi(2));
    let error = (1.5 * residuals.sum::<f64>()).sqrt() / 14.0;
    assert!(close(tally.standard_error(), error));
}

/// Catches: a spread over one block too many; an error of two bins for that of their difference.
#[test]
fn standard_errors_are_of_the_mean() {
    let measured = ByPosition {
        width: 1,
        losses: ndarray::array![[1.0, 2.0], [3.0, 4.5], [5.0, 5.5]],
    };
    let (mean, error) = measured.bins()[0];
    assert!(close(mean, 3.0) && close(error, (8.0_f64 / 2.0 / 3.0).sqrt()));
    let (rise, error) = measured.rise(0, 1);
    assert!(close(rise, 1.0) && close(error, (0.5_f64 / 2.0 / 3.0).sqrt()));
}
