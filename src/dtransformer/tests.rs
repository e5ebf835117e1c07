//! What must hold of the decoder as a whole.

mod probes;
mod refusals;

use super::*;
use crate::{
    attribution::{self, Attribution},
    probe::{Head, LayerSite, Trace, Without},
    testing::largest_difference,
};
use ndarray::{ArrayViewD, ArrayViewMutD, concatenate};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

/// Random parameters in f64, by name; a vector as a matrix of one row.
struct Random {
    rng: ChaCha8Rng,
    made: HashMap<String, Array2<f64>>,
}

impl Random {
    fn new(seed: u64) -> Self {
        Random {
            rng: ChaCha8Rng::seed_from_u64(seed),
            made: HashMap::new(),
        }
    }

    fn make(
        &mut self,
        name: &str,
        shape: (usize, usize),
        range: std::ops::Range<f64>,
    ) -> Array2<f64> {
        let made = Array2::from_shape_simple_fn(shape, || self.rng.random_range(range.clone()));
        self.made.insert(name.to_owned(), made.clone());
        made
    }
}

impl ParameterSource<f64> for Random {
    type Matrix = Array2<f64>;
    type Error = Error;

    fn matrix(&mut self, p: &Parameter) -> Result<Array2<f64>, Error> {
        Ok(self.make(&p.name, (p.shape[0], p.shape[1]), -0.7..0.7))
    }

    fn vector(&mut self, p: &Parameter) -> Result<Array1<f64>, Error> {
        Ok(self
            .make(&p.name, (1, p.shape[0]), 0.5..1.5)
            .row(0)
            .to_owned())
    }
}

type Dense = DTransformer<f64, Array2<f64>>;

#[derive(Debug)]
struct Model {
    decoder: Dense,
    parameters: HashMap<String, Array2<f64>>,
    ids: Vec<u32>,
}

fn config() -> impl Strategy<Value = Config> {
    (
        (1..3_usize, 1..3_usize, 1..3_usize, 1..4_usize),
        (2..9_usize, 3..20_usize, 2..12_usize),
        any::<(bool, bool, bool, bool)>(),
    )
        .prop_map(
            |(
                (layers, kv_heads, group, half),
                (d, ffn, vocab),
                (rope, packed, tied, norm_head),
            )| {
                let packed_qkv = packed && group == 1;
                Config {
                    vocab_size: vocab,
                    hidden_size: d,
                    intermediate_size: ffn,
                    num_hidden_layers: layers,
                    num_attention_heads: kv_heads * group,
                    num_key_value_heads: kv_heads,
                    head_dim: 2 * half,
                    rms_norm_eps: 1e-6,
                    position: if rope {
                        Position::Rope { base: 1e4 }
                    } else {
                        Position::Alibi
                    },
                    context: 16,
                    norm_head,
                    tie_word_embeddings: tied,
                    packed_qkv,
                }
            },
        )
}

fn model() -> impl Strategy<Value = Model> {
    (
        config(),
        any::<u64>(),
        prop::collection::vec(any::<u32>(), 1..9),
    )
        .prop_map(|(config, seed, ids)| {
            let ids = ids
                .into_iter()
                .map(|id| id % config.vocab_size as u32)
                .collect();
            let mut random = Random::new(seed);
            let decoder = Dense::new(config, &mut random).unwrap();
            Model {
                decoder,
                parameters: random.made,
                ids,
            }
        })
}

fn logits(m: &Model, ids: &[u32]) -> Array2<f64> {
    m.decoder
        .forward(ids, &mut m.decoder.new_cache(), None)
        .unwrap()
}

/// One layer of two heads of two.
fn small(context: usize) -> (Dense, Config) {
    let config = Config {
        vocab_size: 8,
        hidden_size: 4,
        intermediate_size: 8,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 2,
        head_dim: 2,
        context,
        ..Config::baichuan2_7b()
    };
    (
        Dense::new(config.clone(), &mut Random::new(1)).unwrap(),
        config,
    )
}

proptest! {
    /// Catches: any disagreement between the page (mended) and the model, through every configuration.
    #[test]
    fn shipped_equals_the_page(m in model()) {
        let page = dtransformer_formal(&m.ids, m.decoder.config(), &m.parameters);
        prop_assert!(largest_difference(&m.decoder.probabilities(&m.ids).unwrap(), &page) < 1e-9);
    }

    /// As printed, step 4. Catches: a norm written back over the stream.
    #[test]
    fn the_printed_norm_overwrites_the_stream(m in model()) {
        prop_assume!(m.decoder.config().vocab_size > 2 && m.decoder.config().hidden_size > 2);
        let printed = formal::forward(&m.ids, m.decoder.config(), &m.parameters, true);
        prop_assert!(largest_difference(&m.decoder.probabilities(&m.ids).unwrap(), &printed) > 1e-9);
    }

    /// Catches: a mask shifted by one, which lets a token see its successor.
    #[test]
    fn a_later_token_never_changes_an_earlier_logit(m in model(), other in any::<u32>(), at in 0..9_usize) {
        let at = at % m.ids.len();
        let mut changed = m.ids.clone();
        changed[at] = other % m.decoder.config().vocab_size as u32;
        let (before, after) = (logits(&m, &m.ids), logits(&m, &changed));
        prop_assert_eq!(before.slice(s![..at, ..]), after.slice(s![..at, ..]));
    }

    /// Catches: positions or keys that start over in the second pass.
    #[test]
    fn cached_equals_uncached_for_every_split(m in model()) {
        let whole = logits(&m, &m.ids);
        for cut in 1..m.ids.len() {
            let mut cache = m.decoder.new_cache();
            let first = m.decoder.forward(&m.ids[..cut], &mut cache, None).unwrap();
            let second = m.decoder.forward(&m.ids[cut..], &mut cache, None).unwrap();
            prop_assert!(largest_difference(&concatenate![Axis(0), first, second], &whole) < 1e-10);
            // Going back to an earlier point forgets what came after it.
            cache.truncate(cut);
            let again = m.decoder.forward(&m.ids[cut..], &mut cache, None).unwrap();
            prop_assert!(largest_difference(&again, &whole.slice(s![cut.., ..]).to_owned()) < 1e-10);
        }
        let last = m.decoder.forward_last(&m.ids, &mut m.decoder.new_cache(), None).unwrap();
        prop_assert!(largest_difference(&last, &whole.row(m.ids.len() - 1).to_owned()) < 1e-10);
    }

    /// Catches: an intermediate under another's name, or of another shape, or one that changes what it watches.
    #[test]
    fn a_trace_sees_every_place_and_changes_nothing(m in model()) {
        let c = m.decoder.config();
        let mut trace = Trace::everything();
        let watched = m.decoder.forward(&m.ids, &mut m.decoder.new_cache(), Some(&mut trace)).unwrap();
        prop_assert!(largest_difference(&watched, &logits(&m, &m.ids)) < 1e-10);
        prop_assert_eq!(trace.values.len(), 3 + 13 * c.num_hidden_layers);
        let (n, h, kv, d) = (m.ids.len(), c.num_attention_heads, c.num_key_value_heads, c.head_dim);
        for (name, shape) in [
            ("embed", vec![n, c.hidden_size]), ("layers.0.W_pack", vec![n, (h + 2 * kv) * d]), ("layers.0.q_rot", vec![h, n, d]),
            ("layers.0.k_rot", vec![kv, n, d]), ("layers.0.attn_probs", vec![h, n, n]), ("layers.0.up_proj", vec![n, c.intermediate_size]),
            ("logits", vec![n, c.vocab_size]),
        ] {
            prop_assert_eq!(trace.values[name].shape(), &shape[..], "{}", name);
        }
        // The last layer through the logit lens is the model's own answer.
        let out = trace.get(Site::Layer(c.num_hidden_layers - 1, LayerSite::Out)).unwrap().view().into_dimensionality().unwrap();
        prop_assert!(largest_difference(&m.decoder.logit_lens(out), &watched) < 1e-10);
    }
}
