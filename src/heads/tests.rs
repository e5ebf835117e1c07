use super::*;
use crate::{dtransformer::Config, testing::byte_tokenizer, training::Parameters};
use ndarray::{arr2, s};

const N: usize = 10;

/// A decoder of one layer whose queries and keys are those of `w_pack: [6 heads, 2]` for a stream that is 1 everywhere.
fn decoder(
    heads: usize,
    position: Position,
    w_pack: &Array2<f32>,
) -> DTransformer<f32, Array2<f32>> {
    let config = Config {
        vocab_size: 40,
        hidden_size: 2,
        intermediate_size: 2,
        num_hidden_layers: 1,
        num_attention_heads: heads,
        num_key_value_heads: heads,
        head_dim: 2,
        rms_norm_eps: 1e-6,
        position,
        context: 4,
        norm_head: false,
        tie_word_embeddings: false,
        packed_qkv: true,
    };
    let mut parameters = Parameters::zeros(&config);
    for (parameter, array) in config.parameters().iter().zip(&mut parameters.arrays) {
        if parameter.name.ends_with("W_pack.weight") {
            array.assign(w_pack);
        } else {
            array.fill(1.0);
        }
    }
    parameters.decoder().unwrap()
}

/// One layer whose heads each look a fixed number of tokens back, whatever the tokens are: keys are all the same, and queries too, but turned so that
/// rotary embedding makes the product largest at that distance.
fn looking_back(distances: &[usize]) -> DTransformer<f32, Array2<f32>> {
    let heads = distances.len();
    let mut w_pack = Array2::zeros((6 * heads, 2));
    for (h, &distance) in distances.iter().enumerate() {
        // A pair turns by one radian a token, and does not come near the same angle within the sequence.
        let (sin, cos) = (-(distance as f32)).sin_cos();
        let q = arr2(&[[cos, 0.0], [sin, 0.0]]) * 4000.0;
        let k = arr2(&[[1.0, 0.0], [0.0, 0.0]]);
        w_pack.slice_mut(s![2 * h..2 * h + 2, ..]).assign(&q);
        let from = 2 * (heads + h);
        w_pack.slice_mut(s![from..from + 2, ..]).assign(&k);
    }
    decoder(heads, Position::Rope { base: 1e4 }, &w_pack)
}

fn sequences() -> Vec<Repeated> {
    let tokens: Vec<u32> = (5..5 + N as u32).collect();
    vec![Repeated::new(2, &tokens).unwrap(); 2]
}

/// Catches: any of the five off by one; rows for columns; a sum for a mean; a stop at the trained context.
#[test]
fn heads_that_look_so_far_back_have_the_score_of_it() {
    let decoder = looking_back(&[1, N - 1, N, 0]);
    let scores = HeadScores::of(&decoder, &sequences()).unwrap();
    let heads = [
        Behaviour::Previous,
        Behaviour::Induction,
        Behaviour::Duplicate,
        Behaviour::Own,
    ];
    for (head, wanted) in heads.into_iter().enumerate() {
        let head = Head { layer: 0, head };
        for behaviour in Behaviour::ALL {
            let score = scores.get(head, behaviour).unwrap();
            if behaviour == wanted {
                // Those that look far back have nothing there in the first copy, but are asked in the second alone.
                assert!(score > 0.999, "{wanted}: {score}");
            } else if behaviour != Behaviour::First {
                assert!(score < 0.3, "{wanted} for {behaviour}: {score}");
            }
        }
        assert_eq!(scores.ranking(wanted)[0].0, head);
    }
    assert_eq!(scores.get(Head { layer: 1, head: 0 }, Behaviour::Own), None);
}

/// Catches: the slope of another head; a bias that grows the other way; chances of all positions alike where there is a bias.
#[test]
fn heads_without_queries_and_keys_score_by_chance() {
    let nothing = Array2::zeros((36, 2));
    for position in [Position::Alibi, Position::Rope { base: 1e4 }] {
        let scores = HeadScores::of(&decoder(6, position, &nothing), &sequences()).unwrap();
        for head in scores.heads() {
            for behaviour in Behaviour::ALL {
                let score = scores.get(head, behaviour).unwrap();
                let chance = scores.by_chance(head, behaviour).unwrap();
                assert!(
                    (score - chance).abs() < 1e-6,
                    "{head}, {behaviour}: {score} {chance}"
                );
            }
        }
    }
}

/// Catches: the lead as a query; the first copy asked for what it cannot find; the second copy's first token asked for the lead.
#[test]
fn each_weight_counts_for_one_score() {
    let n = 3;
    // Each weight tells its place: 0.iijj.
    let map = Array2::from_shape_fn((7, 7), |(i, j)| i as f32 / 100.0 + j as f32 / 10_000.0);
    let mean = |keys: &[(usize, usize)]| keys.iter().map(|&at| f64::from(map[at])).sum::<f64>();
    for (behaviour, keys) in [
        (
            Behaviour::Previous,
            &[(1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5)][..],
        ),
        (Behaviour::Induction, &[(4, 2), (5, 3), (6, 4)]),
        (Behaviour::Duplicate, &[(4, 1), (5, 2), (6, 3)]),
        (
            Behaviour::First,
            &[(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0)],
        ),
        (
            Behaviour::Own,
            &[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)],
        ),
    ] {
        let expected = mean(keys) / keys.len() as f64;
        let score = behaviour.score(map.view(), n);
        assert!(
            (score - expected).abs() < 1e-9,
            "{behaviour}: {score} {expected}"
        );
        let alike = Array2::from_shape_fn((7, 7), |(i, _)| 1.0 / (i + 1) as f32);
        let chance = behaviour.by_chance(n, 0.0) - behaviour.score(alike.view(), n);
        assert!(chance.abs() < 1e-7, "{behaviour}");
    }
}

/// Catches: bytes or special tokens drawn, a token twice in a copy, copies that differ.
#[test]
fn sequences_are_of_ordinary_pieces() {
    let tokenizer = byte_tokenizer(&["ab", "cd", "abc", "abcd", "ef"]);
    let vocabulary = &ordinary_pieces(tokenizer.vocabulary());
    let drawn = Repeated::draw(vocabulary, 2, 4, 50, 7).unwrap();
    assert_eq!(drawn, Repeated::draw(vocabulary, 2, 4, 50, 7).unwrap());
    assert_ne!(drawn, Repeated::draw(vocabulary, 2, 4, 50, 8).unwrap());
    for sequence in &drawn {
        let ids = sequence.ids();
        assert_eq!((ids.len(), ids[0]), (9, 2));
        assert_eq!(ids[1..5], ids[5..]);
        let mut copy = ids[1..5].to_vec();
        copy.sort_unstable();
        copy.dedup();
        assert!(copy.len() == 4 && (259..=263).contains(&copy[0]) && copy[3] <= 263);
    }
    assert!(drawn.iter().any(|sequence| sequence != &drawn[0]));
    assert_eq!(
        Repeated::draw(vocabulary, 2, 6, 1, 7),
        Err(HeadsError::TooFewPieces {
            found: 5,
            needed: 6
        })
    );
    for (n, count) in [(1, 3), (0, 3), (4, 0)] {
        assert_eq!(
            Repeated::draw(vocabulary, 2, n, count, 7),
            Err(HeadsError::Nothing)
        );
    }
    let decoder = looking_back(&[1]);
    assert_eq!(HeadScores::of(&decoder, &[]), Err(HeadsError::Nothing));
    let outside = HeadScores::of(&decoder, &drawn).unwrap_err();
    assert!(matches!(outside, HeadsError::Decoder(_)), "{outside}");
}
