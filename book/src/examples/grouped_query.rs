//! Four heads on two heads of keys and values, of which the last token finds those of earlier ones in the cache; and what a cache weighs.

use crate::numbers::{Numbers, rounded};
use baichuan2::{
    attention::{
        Bias, GroupedQueryAttention, GroupedQueryParameters, LayerCache, Projection, Visibility,
        attend, causal_mask, grouped_query::Positions, grouped_query_attention_formal,
    },
    dtransformer::Config,
    probe::LayerProbe,
    tensor::softmax,
};
use ndarray::{Array2, Axis, array, s};

/// The numbers of the chapter *Grouped queries and the cache*.
pub(super) fn numbers(n: &mut Numbers) {
    // Tokens are one-hot, so that the maps hold keys and values themselves; each query is the same for all tokens.
    let x: Array2<f64> = Array2::eye(4).slice(s![..3, ..]).to_owned();
    let queries = [5.0, -5.0, 5.0, 0.0];
    let keys = [[0.0, 1.0, 2.0], [0.0, 1.0, 0.0]];
    let values = [[10.0, 20.0, 30.0], [1.0, 2.0, 6.0]];
    let row = |xs: [f64; 3]| array![[xs[0], xs[1], xs[2], 0.0]];
    let p = GroupedQueryParameters {
        w_q: queries.map(|q| row([q; 3])).into(),
        w_k: keys.map(row).into(),
        w_v: values.map(row).into(),
        w_o: Array2::eye(4),
    };
    let integers = |xs: &[f64]| {
        let cells: Vec<String> = xs.iter().map(|&x| rounded(x, 0)).collect();
        cells.join(", ")
    };
    let kept: Vec<Vec<String>> = (0..2)
        .map(|g| vec![g.to_string(), integers(&keys[g]), integers(&values[g])])
        .collect();
    let head = ["key/value head", "keys of the three tokens", "values"];
    n.table("kept", &head, &kept);
    n.table("kept_zh", &["键/值头", "三个词元的键", "值"], &kept);

    // All at once, and the last token alone after two in the cache.
    let additive = |first, queries, keys| {
        causal_mask(first, queries, keys).mapv(|sees| if sees { 0.0 } else { f64::NEG_INFINITY })
    };
    let page = |x: &Array2<f64>, first, cache: &mut Vec<_>| {
        let mask = additive(first, x.nrows(), first + x.nrows());
        grouped_query_attention_formal(x.view(), x.view(), &p, mask.view(), cache)
    };
    let whole = page(&x, 0, &mut Vec::new());
    let mut cache = Vec::new();
    let (two, last) = x.view().split_at(Axis(0), 2);
    page(&two.to_owned(), 0, &mut cache);
    let cached = page(&last.to_owned(), 2, &mut cache);
    n.vector("whole", whole.row(2), 2);
    n.vector("cached", cached.row(0), 2);
    assert!(
        (&cached.row(0) - &whole.row(2))
            .iter()
            .all(|e| e.abs() < 1e-12)
    );

    let join = |parts: &[Array2<f64>]| {
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        ndarray::concatenate(Axis(0), &views).expect("rows of one width")
    };
    let projection = Projection::Separate {
        query: join(&p.w_q),
        key: join(&p.w_k),
        value: join(&p.w_v),
    };
    let shipped = GroupedQueryAttention::new(projection, p.w_o.clone(), 4, 2, 1)
        .expect("four heads of one dimension on two");
    let unplaced = Positions::Biased(vec![0.0; 4]);
    let (mut cache, mut nobody) = (LayerCache::new(2, 1), LayerProbe::none());
    let mut pass = |x| {
        let shipped = shipped.forward(x, &unplaced, &mut cache, &mut nobody);
        shipped.expect("a cache in full holds all numbers")
    };
    pass(two);
    let shipped = pass(last);
    assert!((&shipped - &cached).iter().all(|e| e.abs() < 1e-12));

    // Each head with the keys of its group, and of the head of its number modulo the groups.
    let bias = Bias {
        visibility: Visibility::Causal { first: 2 },
        alibi_slope: None,
    };
    let reads = |h: usize, g: usize| {
        let column = |xs: [f64; 3]| Array2::from_shape_fn((3, 1), |(i, _)| xs[i]);
        let q = array![[queries[h]]];
        attend(
            q.view(),
            column(keys[g]).view(),
            column(values[g]).view(),
            &bias,
        )
    };
    let heads: Vec<Vec<String>> = (0..4)
        .map(|h| {
            let (right, wrong) = (reads(h, h / 2), reads(h, h % 2));
            assert!((right.output[[0, 0]] - whole[[2, h]]).abs() < 1e-12);
            let weights = right.weights.row(0);
            let weights: Vec<String> = weights.iter().map(|&w| rounded(w, 3)).collect();
            vec![
                h.to_string(),
                rounded(queries[h], 0),
                (h / 2).to_string(),
                weights.join(", "),
                rounded(right.output[[0, 0]], 2),
                rounded(wrong.output[[0, 0]], 2),
            ]
        })
        .collect();
    let columns = [
        "head $h$",
        "query",
        "$g(h)$",
        "weights",
        "gathers",
        "if it read $h \\bmod N_{kv}$",
    ];
    n.table("heads", &columns, &heads);
    let columns = [
        "头 $h$",
        "查询",
        "$g(h)$",
        "权重",
        "取回",
        "若读成 $h \\bmod N_{kv}$",
    ];
    n.table("heads_zh", &columns, &heads);

    let printed = softmax(array![[1.0, 0.0]].view());
    n.number("printed_seen", printed[[0, 0]], 3);
    n.number("printed_hidden", printed[[0, 1]], 3);

    // What a cache weighs, in bf16.
    let (c7, c13) = (Config::baichuan2_7b(), Config::baichuan2_13b());
    let grouped = |kv_heads| Config {
        num_key_value_heads: kv_heads,
        ..c7.clone()
    };
    let bytes = |c: &Config| 2 * c.num_hidden_layers * c.kv_width() * 2;
    let weighed: Vec<Vec<String>> = [
        ("Baichuan 2 7B", c7.clone()),
        ("Baichuan 2 13B", c13),
        ("7B, $N_{kv} = 8$", grouped(8)),
        ("7B, $N_{kv} = 1$", grouped(1)),
    ]
    .into_iter()
    .map(|(name, c)| {
        let kib = bytes(&c) as f64 / 1024.0;
        let gib = kib * c.context as f64 / (1024.0 * 1024.0);
        vec![
            name.to_owned(),
            c.num_attention_heads.to_string(),
            c.num_key_value_heads.to_string(),
            format!("{kib} KiB"),
            format!("{} GiB", rounded(gib, 2)),
        ]
    })
    .collect();
    let columns = ["", "heads", "key/value heads", "a token", "4,096 tokens"];
    n.table("weighed", &columns, &weighed);
    let columns = ["", "头", "键/值头", "一个词元", "4,096 个词元"];
    n.table("weighed_zh", &columns, &weighed);
    n.text("numbers_7b", grouping(bytes(&c7) / 2));

    let parameters = c7.parameters();
    let weights: usize = parameters
        .iter()
        .map(|p| p.shape.iter().product::<usize>())
        .sum();
    n.text("texts", (2 * weights).div_ceil(bytes(&c7) * c7.context));

    let tokens = 1000_usize;
    n.text("without_cache", grouping(tokens * (tokens + 1) / 2));
}

/// With a comma after each three digits.
pub(super) fn grouping(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
