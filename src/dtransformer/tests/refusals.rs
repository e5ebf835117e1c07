//! What a decoder refuses, with which words; and the largest that it does not.

use super::*;

/// Catches: a panic, or an answer, where there is none.
#[test]
fn bad_input_is_an_error_and_leaves_the_cache_alone() {
    let (decoder, _) = small(4);
    let mut cache = decoder.new_cache();
    let mut run = |ids: &[u32]| {
        decoder
            .forward(ids, &mut cache, None)
            .map(|logits| logits.nrows())
    };
    assert_eq!(run(&[]), Err(Error::NoTokens));
    assert_eq!(
        run(&[1, 8]),
        Err(Error::NoSuchToken {
            id: 8,
            position: 1,
            vocab_size: 8
        })
    );
    assert_eq!(run(&[1, 2, 3]), Ok(3));
    assert_eq!(
        run(&[1, 2]),
        Err(Error::ContextFull {
            held: 3,
            new: 2,
            limit: 4
        })
    );
    assert_eq!(run(&[1]), Ok(1));
    assert_eq!(cache.len(), 4);
    let mut longer = decoder.new_cache_of(100);
    assert_eq!(
        decoder
            .forward(&[1; 90], &mut longer, None)
            .unwrap()
            .nrows(),
        90
    );
}

/// Catches: NaN passed on as an answer, or taken for a key that is hidden; a position that is not counted from the beginning of the text.
#[test]
fn weights_that_are_not_numbers_are_an_error() {
    struct Broken(Random, &'static str);
    impl ParameterSource<f64> for Broken {
        type Matrix = Array2<f64>;
        type Error = Error;
        fn matrix(&mut self, p: &Parameter) -> Result<Array2<f64>, Error> {
            let mut made = self.0.matrix(p)?;
            if p.name.contains(self.1) {
                made.row_mut(0).fill(f64::NAN);
            }
            Ok(made)
        }
        fn vector(&mut self, p: &Parameter) -> Result<Array1<f64>, Error> {
            self.0.vector(p)
        }
    }
    let (_, config) = small(16);
    // The first row of W_pack makes every score of the first head NaN, and no value.
    for (broken, fine) in [("embed_tokens", true), ("W_pack", false)] {
        let decoder = Dense::new(config.clone(), &mut Broken(Random::new(2), broken)).unwrap();
        for watched in [false, true] {
            let mut cache = decoder.new_cache();
            if fine {
                decoder.forward(&[1], &mut cache, None).unwrap();
            }
            let mut trace = Trace::everything();
            let probe = watched.then_some(&mut trace as &mut dyn Probe<f64>);
            let error = decoder.forward(&[2, 0, 3], &mut cache, probe).unwrap_err();
            assert!(matches!(error, Error::NotFinite { .. }), "{error}");
            assert_eq!(cache.len(), usize::from(fine));
            let error = decoder.forward_last(&[2, 0], &mut cache, None).unwrap_err();
            let broken = cache.len() + usize::from(fine);
            assert_eq!(error, Error::NotFinite { position: broken });
        }
    }
}

/// Catches: a value of NaN times a weight of zero, which breaks the queries before it in its block of attention; the last token named where only it was asked for.
#[test]
fn the_token_that_broke_is_named() {
    /// The embedding of token 7 is NaN.
    struct OneBroken(Random);
    impl ParameterSource<f64> for OneBroken {
        type Matrix = Array2<f64>;
        type Error = Error;
        fn matrix(&mut self, p: &Parameter) -> Result<Array2<f64>, Error> {
            let mut made = self.0.matrix(p)?;
            if p.name.contains("embed_tokens") {
                made.row_mut(7).fill(f64::NAN);
            }
            Ok(made)
        }
        fn vector(&mut self, p: &Parameter) -> Result<Array1<f64>, Error> {
            self.0.vector(p)
        }
    }
    let config = Config {
        num_hidden_layers: 2,
        ..small(512).1
    };
    let alibi = Config {
        position: Position::Alibi,
        ..config.clone()
    };
    for config in [config, alibi] {
        let decoder = Dense::new(config, &mut OneBroken(Random::new(3))).unwrap();
        // In the first block of queries and in a later one; behind others in the cache, or not; last of all.
        for (tokens, broken) in [(9, 5), (9, 8), (300, 5), (300, 100), (300, 290)] {
            for cached in [0, 3] {
                let mut ids: Vec<u32> = (0..tokens).map(|i| i % 7).collect();
                ids[broken] = 7;
                let mut cache = decoder.new_cache();
                if cached > 0 {
                    let before = vec![1; cached];
                    decoder.forward(&before, &mut cache, None).unwrap();
                }
                let named = Err(Error::NotFinite {
                    position: cached + broken,
                });
                let mut trace = Trace::everything();
                let all = decoder.forward(&ids, &mut cache, None).map(|_| ());
                assert_eq!(all, named, "{broken} of {tokens}");
                let last = decoder.forward_last(&ids, &mut cache, None).map(|_| ());
                assert_eq!(last, named, "{broken} of {tokens}, the last alone");
                let watched = decoder.forward(&ids, &mut cache, Some(&mut trace));
                assert_eq!(watched.map(|_| ()), named, "{broken} of {tokens}, watched");
            }
        }
    }
}

/// Catches: an overflow of the cache told as numbers that are not finite, of another layer, or of a token counted from the start of the pass; keys that stay in the layers before it.
#[test]
fn keys_too_large_for_the_cache_are_an_error_that_names_the_layer() {
    /// Token 7 stands for itself in the first layer, and the second makes a key of 1e6 of it.
    struct Large(Random);
    impl ParameterSource<f64> for Large {
        type Matrix = Array2<f64>;
        type Error = Error;
        fn matrix(&mut self, p: &Parameter) -> Result<Array2<f64>, Error> {
            let mut made = self.0.matrix(p)?;
            match p.name.as_str() {
                "model.embed_tokens.weight" => {
                    made.column_mut(0).fill(0.0);
                    made[[7, 0]] = 1e3;
                }
                "model.layers.1.self_attn.W_pack.weight" => {
                    made.slice_mut(s![4..8, ..]).fill(0.0);
                    made[[4, 0]] = 1e6;
                }
                // What adds to the stream leaves the first number of each token alone.
                name if name.contains("o_proj") || name.contains("down_proj") => {
                    made.row_mut(0).fill(0.0);
                }
                _ => {}
            }
            Ok(made)
        }
        fn vector(&mut self, p: &Parameter) -> Result<Array1<f64>, Error> {
            self.0.vector(p)
        }
    }
    let config = Config {
        num_hidden_layers: 3,
        position: Position::Alibi,
        ..small(16).1
    };
    let decoder = Dense::new(config, &mut Large(Random::new(4))).unwrap();
    let mut half = decoder.new_cache_in(CacheFormat::F16, 16);
    decoder.forward(&[1, 2], &mut half, None).unwrap();
    let error = decoder.forward(&[3, 7, 4], &mut half, None).unwrap_err();
    let Error::CacheOverflow { layer, overflow } = error.clone() else {
        panic!("{error}");
    };
    assert_eq!((layer, overflow.token), (1, 3));
    assert!(half.layers.iter().all(|layer| layer.len() == 2));
    let text = error.to_string();
    assert!(
        text.starts_with("layer 1: a key or value of token 3 is ")
            && text.ends_with("(--cache f32)"),
        "{text}"
    );
    decoder.forward(&[3, 4], &mut half, None).unwrap();
    decoder
        .forward(&[3, 7, 4], &mut decoder.new_cache(), None)
        .unwrap();
}

/// Catches: a configuration trusted before it was checked.
#[test]
fn impossible_configurations_are_errors() {
    let good = small(16).1;
    let refused = |config: Config| {
        Dense::new(config, &mut Random::new(1))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(Config {
            num_hidden_layers: 0,
            ..good.clone()
        }),
        "config.json: num_hidden_layers is 0; it must be at least 1"
    );
    assert_eq!(
        refused(Config {
            num_key_value_heads: 3,
            ..good.clone()
        }),
        "config.json: num_attention_heads (2) is not a multiple of num_key_value_heads (3)"
    );
    assert_eq!(
        refused(Config {
            head_dim: 3,
            ..good.clone()
        }),
        "config.json: the width of a head is 3; rotary embedding turns pairs and needs an even one"
    );
    assert!(
        refused(Config {
            rms_norm_eps: f64::NAN,
            ..good.clone()
        })
        .contains("rms_norm_eps is NaN")
    );
    assert!(
        refused(Config {
            hidden_size: usize::MAX,
            ..good
        })
        .contains("more than any checkpoint can hold")
    );
}

/// Catches: a limit that is off by one, or asked of another number.
#[test]
fn the_largest_that_is_possible_is_no_error() {
    let good = small(16).1;
    let changed = |change: &dyn Fn(&mut Config)| {
        let mut config = good.clone();
        change(&mut config);
        config.validate()
    };
    let too_large = |name, value| Err(ConfigError::TooLarge { name, value });
    let (largest, most_layers) = (1 << 28, 1 << 12);
    assert_eq!(changed(&|c| c.vocab_size = largest), Ok(()));
    assert_eq!(
        changed(&|c| c.vocab_size = largest + 1),
        too_large("vocab_size", largest + 1)
    );
    assert_eq!(changed(&|c| c.num_hidden_layers = most_layers), Ok(()));
    assert_eq!(
        changed(&|c| c.num_hidden_layers = most_layers + 1),
        too_large("num_hidden_layers", most_layers + 1)
    );
    assert_eq!(changed(&|c| c.vocab_size = most_layers + 1), Ok(()));
    for x in [0.0, -1.0, f64::INFINITY, f64::NAN] {
        let name = |of: Result<(), ConfigError>| match of {
            Err(ConfigError::NotPositive { name, .. }) => name,
            other => panic!("{x}: {other:?}"),
        };
        assert_eq!(name(changed(&|c| c.rms_norm_eps = x)), "rms_norm_eps");
        let rope = changed(&|c| c.position = Position::Rope { base: x });
        assert_eq!(name(rope), "rope_theta");
    }
    assert_eq!(changed(&|c| c.num_key_value_heads = 1), {
        let (heads, kv_heads) = (2, 1);
        Err(ConfigError::PackedGroups { heads, kv_heads })
    });
    let shared = |c: &mut Config| (c.num_key_value_heads, c.packed_qkv) = (1, false);
    assert_eq!(changed(&shared), Ok(()));
    let odd = |c: &mut Config| (c.head_dim, c.position) = (3, Position::Alibi);
    assert_eq!(changed(&odd), Ok(()));
}

/// The published numbers of parameters, and what no count shows. Catches: a size of the 13B left at that of the 7B.
#[test]
fn both_sizes_are_the_published_ones() {
    let parameters = |config: &Config| -> usize {
        let sizes = config.parameters().into_iter().map(|p| p.shape);
        sizes.map(|shape| shape.iter().product::<usize>()).sum()
    };
    let (small, large) = (Config::baichuan2_7b(), Config::baichuan2_13b());
    assert_eq!(parameters(&small), 7_505_973_248);
    assert_eq!(parameters(&large), 13_896_668_160);
    assert_eq!([small.query_width(), small.kv_width()], [4096; 2]);
    assert_eq!([large.query_width(), large.kv_width()], [5120; 2]);
    assert_eq!((small.validate(), large.validate()), (Ok(()), Ok(())));
    assert_eq!(small.bias(0, 0).alibi_slope, None);
    let last = crate::alibi::slopes(40)[39];
    assert_eq!(large.bias(39, 0).alibi_slope, Some(last));
}
