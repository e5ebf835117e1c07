//! What must hold of the decoder as a whole.

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

/// Changes what stands at one place, and remembers what it then sees there.
struct Edit {
    at: Site,
    change: fn(f64) -> f64,
    edited: Option<ndarray::ArrayD<f64>>,
    seen: Option<ndarray::ArrayD<f64>>,
}

impl Edit {
    fn new(at: Site, change: fn(f64) -> f64) -> Self {
        Edit {
            at,
            change,
            edited: None,
            seen: None,
        }
    }
}

impl Probe<f64> for Edit {
    fn wants(&self, site: Site) -> bool {
        site == self.at
    }

    fn see(&mut self, _: Site, value: ArrayViewD<f64>) {
        self.seen = Some(value.to_owned());
    }

    fn edits(&self, site: Site) -> bool {
        assert!(site.can_be_edited(), "asked of {site}");
        site == self.at
    }

    fn edit(&mut self, site: Site, mut value: ArrayViewMutD<f64>) {
        assert_eq!(site, self.at);
        value.mapv_inplace(self.change);
        self.edited = Some(value.to_owned());
    }
}

impl Model {
    fn probed(&self, probe: &mut dyn Probe<f64>) -> Array2<f64> {
        let mut cache = self.decoder.new_cache();
        self.decoder
            .forward(&self.ids, &mut cache, Some(probe))
            .unwrap()
    }

    fn without(&self, off: impl IntoIterator<Item = Head>) -> Without<'_, f64> {
        let c = self.decoder.config();
        Without::new(off, c.num_hidden_layers, c.num_attention_heads).unwrap()
    }

    fn heads_of(&self, layer: usize) -> impl Iterator<Item = Head> + use<> {
        (0..self.decoder.config().num_attention_heads).map(move |head| Head { layer, head })
    }
}

/// What a trace saw at a place of rank 2.
fn seen(trace: &Trace<f64>, site: Site) -> Array2<f64> {
    let seen = trace.get(site).unwrap().clone();
    seen.into_dimensionality().unwrap()
}

proptest! {
    /// Catches: a change that is seen but does not go on, or goes on but is not seen; an edit of what is only shown.
    #[test]
    fn an_edit_goes_on_through_the_pass(m in model()) {
        let plain = logits(&m, &m.ids);
        for at in Site::all(m.decoder.config().num_hidden_layers) {
            let mut same = Edit::new(at, |x| x);
            let unchanged = m.probed(&mut same);
            prop_assert!(largest_difference(&unchanged, &plain) < 1e-10);
            prop_assert_eq!(same.edited.is_some(), at.can_be_edited(), "{}", at);
            let mut other = Edit::new(at, |x| 2.0 * x + 0.5);
            let changed = m.probed(&mut other);
            if at.can_be_edited() {
                prop_assert!(largest_difference(&changed, &plain) > 1e-12, "{}", at);
                prop_assert_eq!(other.seen, other.edited, "{}", at);
            }
        }
    }

    /// Catches: a head switched off that nobody named.
    #[test]
    fn without_no_head_nothing_is_different(m in model()) {
        prop_assert_eq!(m.probed(&mut m.without([])), logits(&m, &m.ids));
    }

    /// Catches: a head forgotten, or one of another layer switched off.
    #[test]
    fn without_all_heads_a_layer_adds_its_feed_forward_alone(m in model(), layer in 0..3_usize) {
        let layer = layer % m.decoder.config().num_hidden_layers;
        let mut trace = Trace::everything();
        m.probed(&mut m.without(m.heads_of(layer)).then(&mut trace));
        for l in 0..m.decoder.config().num_hidden_layers {
            let at = |site| seen(&trace, Site::Layer(l, site));
            prop_assert_eq!(at(LayerSite::SelfAttn).iter().all(|&x| x == 0.0), l == layer);
            if l == layer {
                let before = if l == 0 { seen(&trace, Site::Embed) } else { seen(&trace, Site::Layer(l - 1, LayerSite::Out)) };
                prop_assert!(largest_difference(&(before + at(LayerSite::Mlp)), &at(LayerSite::Out)) < 1e-12);
            }
        }
    }

    /// Catches: another head's columns, or columns of another width; a probe behind that is not asked.
    #[test]
    fn without_one_head_the_others_are_as_before(m in model(), head in 0..9_usize) {
        let c = m.decoder.config();
        let head = head % c.num_attention_heads;
        let (mut plain, mut trace) = (Trace::everything(), Trace::everything());
        m.probed(&mut plain);
        m.probed(&mut m.without([Head { layer: 0, head }]).then(&mut trace));
        let mut concat = seen(&plain, Site::Layer(0, LayerSite::AttnConcat));
        concat.slice_mut(s![.., head * c.head_dim..(head + 1) * c.head_dim]).fill(0.0);
        let w_o = &m.parameters["model.layers.0.self_attn.o_proj.weight"];
        let expected = concat.dot(&w_o.t());
        prop_assert!(largest_difference(&seen(&trace, Site::Layer(0, LayerSite::SelfAttn)), &expected) < 1e-12);
        prop_assert!(largest_difference(&seen(&trace, Site::Layer(0, LayerSite::AttnConcat)), &concat) < 1e-12);
        let mut behind = Edit::new(Site::Logits, |_| 7.0);
        let sevens = m.probed(&mut m.without([Head { layer: 0, head }]).then(&mut behind));
        prop_assert!(sevens.iter().all(|&l| l == 7.0));
    }

    /// Catches: a stop that is asked for once only; keys of a pass given up that stay in some layers of the cache.
    #[test]
    fn a_stopped_pass_leaves_the_cache_as_it_was(m in model(), cut in 0..9_usize) {
        struct Stop {
            after: usize,
            asked: std::cell::Cell<usize>,
        }
        impl Probe<f64> for Stop {
            fn wants(&self, _: Site) -> bool { false }
            fn see(&mut self, _: Site, _: ArrayViewD<f64>) {}
            fn stop(&self) -> bool {
                self.asked.set(self.asked.get() + 1);
                self.asked.get() > self.after
            }
        }
        let (whole, layers) = (logits(&m, &m.ids), m.decoder.config().num_hidden_layers);
        let cut = cut % m.ids.len();
        let mut cache = m.decoder.new_cache();
        if cut > 0 {
            m.decoder.forward(&m.ids[..cut], &mut cache, None).unwrap();
        }
        for after in 0..=layers {
            let mut stop = Stop { after, asked: Default::default() };
            let stopped = m.decoder.forward(&m.ids[cut..], &mut cache, Some(&mut m.without([]).then(&mut stop)));
            prop_assert_eq!(stopped, Err(Error::Stopped));
            prop_assert_eq!(stop.asked.get(), after + 1);
            prop_assert!(cache.layers.iter().all(|layer| layer.len() == cut));
        }
        let mut stop = Stop { after: layers + 1, asked: Default::default() };
        let rest = m.decoder.forward(&m.ids[cut..], &mut cache, Some(&mut stop)).unwrap();
        prop_assert!(largest_difference(&rest, &whole.slice(s![cut.., ..]).to_owned()) < 1e-10);
    }
}

proptest! {
    /// Catches: a norm that is not frozen, or frozen at another stream; γ or NormHead left out; a block counted twice or not; heads side by side in
    /// another order, or through another head's columns.
    #[test]
    fn the_shares_of_a_logit_sum_to_it(m in model(), row in 0..9_usize, id in any::<u32>()) {
        let c = m.decoder.config();
        let (row, id) = (row % m.ids.len(), id % c.vocab_size as u32);
        let mut trace = Trace::of(Attribution::<f64>::wants);
        let logits = m.probed(&mut trace);
        let shares = Attribution::of(&m.decoder, &trace, row, id).unwrap();
        let logit = logits[[row, id as usize]];
        prop_assert!((shares.logit - logit).abs() < 1e-9);
        prop_assert_eq!((shares.self_attn.len(), shares.mlp.len()), (c.num_hidden_layers, c.num_hidden_layers));
        prop_assert!((shares.embed + shares.self_attn.sum() + shares.mlp.sum() - logit).abs() < 1e-9);
        for layer in 0..c.num_hidden_layers {
            let heads = attribution::of_heads(&m.decoder, &trace, layer, row, id).unwrap();
            prop_assert_eq!(heads.len(), c.num_attention_heads);
            prop_assert!((heads.sum() - shares.self_attn[layer]).abs() < 1e-9);
        }
        // A head's share is what is missing of its layer's without it.
        let head = row % c.num_attention_heads;
        let alone = attribution::of_heads(&m.decoder, &trace, 0, row, id).unwrap()[head];
        let last = seen(&trace, Site::Layer(c.num_hidden_layers - 1, LayerSite::Out));
        let direction = attribution::direction(&m.decoder, last.row(row), id).unwrap();
        let mut without = Trace::everything();
        m.probed(&mut m.without([Head { layer: 0, head }]).then(&mut without));
        let rest = seen(&without, Site::Layer(0, LayerSite::SelfAttn)).row(row).dot(&direction);
        prop_assert!((shares.self_attn[0] - rest - alone).abs() < 1e-9);
    }

    /// Catches: parts of other heads; a transposed output map.
    #[test]
    fn the_parts_of_the_heads_sum_to_attention(m in model()) {
        let mut trace = Trace::everything();
        m.probed(&mut trace);
        let c = m.decoder.config();
        let (concat, whole) = (seen(&trace, Site::Layer(0, LayerSite::AttnConcat)), seen(&trace, Site::Layer(0, LayerSite::SelfAttn)));
        let parts = m.decoder.layers()[0].self_attn().head_outputs(concat.view());
        prop_assert_eq!(parts.dim(), (c.num_attention_heads, m.ids.len(), c.hidden_size));
        prop_assert!(largest_difference(&parts.sum_axis(Axis(0)), &whole) < 1e-9);
        let w_o = &m.parameters["model.layers.0.self_attn.o_proj.weight"];
        for (head, part) in parts.outer_iter().enumerate() {
            let columns = s![.., head * c.head_dim..(head + 1) * c.head_dim];
            let expected = concat.slice(columns).dot(&w_o.slice(columns).t());
            prop_assert!(largest_difference(&part.to_owned(), &expected) < 1e-9);
        }
    }
}

/// Catches: a panic, or shares of something else, where a trace or a token is not what it should be.
#[test]
fn what_cannot_be_attributed_is_an_error() {
    let (decoder, _) = small(4);
    let trace_of = |chosen: fn(Site) -> bool| {
        let mut trace = Trace::of(chosen);
        let ids = [1, 2, 3];
        decoder
            .forward(&ids, &mut decoder.new_cache(), Some(&mut trace))
            .unwrap();
        trace
    };
    let trace = trace_of(Attribution::<f64>::wants);
    let error = |trace: &Trace<f64>, row, id| {
        Attribution::of(&decoder, trace, row, id)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(error(&trace, 3, 0), "there is no token 3 in a pass of 3");
    assert_eq!(
        error(&trace, 0, 8),
        "token id 8 is outside the vocabulary of 8 ids"
    );
    assert_eq!(
        error(&trace_of(|site| site != Site::Embed), 0, 0),
        "the trace has no embed, which the attribution is made of"
    );
    assert!(attribution::of_heads(&decoder, &trace, 1, 0, 0).is_err());
    let mut other = trace_of(Attribution::<f64>::wants);
    other
        .values
        .insert("embed".into(), ndarray::ArrayD::zeros(vec![3, 9]));
    assert_eq!(
        error(&other, 0, 0),
        "embed: expected shape [3, 4], got [3, 9]"
    );
}

/// Catches: a head that is not there taken for one that is, in another layer or row of columns.
#[test]
fn a_head_that_is_not_there_cannot_be_switched_off() {
    let error = |layer, head| {
        let off = [Head { layer, head }];
        Without::<f32>::new(off, 2, 4).err().map(|e| e.to_string())
    };
    assert_eq!(error(1, 3), None);
    assert_eq!(
        error(1, 4).unwrap(),
        "there is no head 1.4: the decoder has 2 layers of 4 heads, both counted from 0"
    );
    assert!(error(2, 0).is_some());
}

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
