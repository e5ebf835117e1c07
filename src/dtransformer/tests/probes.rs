//! What must hold where a pass is changed, stopped, or taken apart.

use super::*;

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
