//! Two heads of `embedded:rope`, scored at every checkpoint on its way; and what scoring means, on a map of five tokens.

use crate::{
    numbers::{Numbers, rounded},
    repository,
};
use baichuan2::{
    checkpoint::Checkpoint,
    dtransformer::Decoder,
    embedded::EmbeddedModel,
    heads::{Behaviour, Head, HeadScores, Repeated},
    probe::{LayerSite, Site, Trace, Without},
    training::corpus::copied_words,
};
use ndarray::{Axis, array};
use std::collections::BTreeSet;

/// The numbers of the chapter *What forms when*.
pub(super) fn numbers(n: &mut Numbers) {
    by_hand(n);
    on_the_way(n);
}

/// A map over a lead and two copies of two tokens: `| A B A B`.
fn by_hand(n: &mut Numbers) {
    let map = array![
        [1.0, 0.0, 0.0, 0.0, 0.0],
        [0.7, 0.3, 0.0, 0.0, 0.0],
        [0.5, 0.2, 0.3, 0.0, 0.0],
        [0.1, 0.1, 0.7, 0.1, 0.0],
        [0.2, 0.0, 0.2, 0.5, 0.1_f32],
    ];
    n.matrix("map", map.mapv(f64::from).view(), 1);
    for behaviour in [
        Behaviour::Induction,
        Behaviour::Previous,
        Behaviour::Duplicate,
    ] {
        n.number(&behaviour.to_string(), behaviour.score(map.view(), 2), 3);
    }
    n.number("chance", Behaviour::Induction.by_chance(2, 0.0), 3);
    n.number("a", f64::from(map[[3, 2]]), 1);
    n.number("b", f64::from(map[[4, 3]]), 1);
}

/// The previous-token head 2.0 and the induction head 4.0 on ten words twice over, at each checkpoint.
fn on_the_way(n: &mut Numbers) {
    let model = EmbeddedModel::Rope;
    let tokenizer = model.tokenizer();
    let words: BTreeSet<u32> = copied_words()
        .into_iter()
        .filter_map(|word| <[u32; 1]>::try_from(tokenizer.encode(&format!(" {word}"))).ok())
        .flatten()
        .collect();
    let words: Vec<u32> = words.into_iter().collect();
    let lead = tokenizer.eos().expect("it has an end");
    let sequences = Repeated::draw(&words, lead, 10, 4, 0).expect("enough words");

    let folder = repository().join("models/rope/checkpoints");
    let mut along: Vec<(f64, Decoder)> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| {
            let path = entry.expect("a folder's entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            let tokens = name
                .trim_start_matches("tokens-")
                .parse()
                .expect("tokens-N");
            let checkpoint = Checkpoint::open(&path).expect("a checkpoint");
            (tokens, checkpoint.decoder().expect("a decoder"))
        })
        .collect();
    along.sort_by(|a, b| a.0.total_cmp(&b.0));
    along.push((
        45.0e6,
        model.checkpoint().decoder().expect("an embedded model"),
    ));

    let (previous, induction) = (Head { layer: 2, head: 0 }, Head { layer: 4, head: 0 });
    let mut rows = Vec::new();
    let mut points = [String::new(), String::new()];
    for (tokens, decoder) in &along {
        let scores = HeadScores::of(decoder, &sequences).expect("sequences of the vocabulary");
        let of = |head, behaviour| scores.get(head, behaviour).expect("a head of the model");
        let both = [
            of(previous, Behaviour::Previous),
            of(induction, Behaviour::Induction),
        ];
        rows.push(vec![
            if *tokens < 1e6 {
                format!("{:.1}k", tokens / 1e3)
            } else {
                format!("{:.1}M", tokens / 1e6)
            },
            rounded(both[0], 2),
            rounded(both[1], 2),
        ]);
        for (points, score) in points.iter_mut().zip(both) {
            // Tokens on a logarithmic scale, from 32.8k to 45M.
            let x = 50.0 + 520.0 * (tokens / 32_768.0).ln() / (45.0e6_f64 / 32_768.0).ln();
            *points += &format!("{x:.1},{:.1} ", 15.0 + 150.0 * (1.0 - score));
        }
        if *tokens == 45.0e6 {
            ablation(n, decoder, &sequences);
            n.number("previous_last", both[0], 2);
            n.number("induction_last", both[1], 2);
            let chance = |head, behaviour| scores.by_chance(head, behaviour).expect("a head");
            n.number("previous_chance", chance(previous, Behaviour::Previous), 2);
            n.number(
                "induction_chance",
                chance(induction, Behaviour::Induction),
                2,
            );
        }
    }
    n.table(
        "heads",
        &["tokens", "previous token, 2.0", "induction, 4.0"],
        &rows,
    );
    n.table(
        "heads_zh",
        &["词元数", "前一个词元，2.0", "归纳，4.0"],
        &rows,
    );
    n.text("previous_points", &points[0]);
    n.text("induction_points", &points[1]);
}

/// The induction score of head 4.0 with another head switched off: the previous-token head 2.0, and, to compare, each other head of layers 0 to 3.
fn ablation(n: &mut Numbers, decoder: &Decoder, sequences: &[Repeated]) {
    let config = decoder.config();
    let (layers, heads) = (config.num_hidden_layers, config.num_attention_heads);
    let site = Site::Layer(4, LayerSite::AttnProbs);
    let without = |off: Option<Head>| {
        let scores = sequences.iter().map(|sequence| {
            let ids = sequence.ids();
            let mut trace = Trace::of(|site| matches!(site, Site::Layer(4, LayerSite::AttnProbs)));
            let mut probe = Without::new(off, layers, heads)
                .expect("a head of the model")
                .then(&mut trace);
            decoder
                .forward_last(ids, &mut decoder.new_cache_of(ids.len()), Some(&mut probe))
                .expect("a sequence of the vocabulary");
            let maps = trace.get(site).expect("the layer's maps").view();
            let map = maps.index_axis_move(Axis(0), 0);
            let map = map.into_dimensionality().expect("queries by keys");
            Behaviour::Induction.score(map, ids.len() / 2)
        });
        scores.sum::<f64>() / sequences.len() as f64
    };
    n.number("with_all", without(None), 2);
    let others = (0..4).flat_map(|layer| (0..heads).map(move |head| Head { layer, head }));
    let mut falls: Vec<(Head, f64)> = others.map(|head| (head, without(Some(head)))).collect();
    falls.sort_by(|a, b| a.1.total_cmp(&b.1));
    // The previous-token heads are the two without which it falls most.
    for (i, name) in ["lowest", "second", "third"].into_iter().enumerate() {
        n.text(&format!("{name}_head"), falls[i].0);
        n.number(name, falls[i].1, 2);
    }
    n.text("others", falls.len() - 2);
}
