//! `10 − 2 =` with one head, which makes a mean of the two numbers, and with two, which keep them apart; by the page and by `W_pack`.

use crate::numbers::{Numbers, rounded};
use baichuan2::{
    attention::{
        AttentionParameters, GroupedQueryAttention, LayerCache, MultiHeadParameters, Projection,
        attention_formal, causal_mask, grouped_query::Positions, multi_head_attention_formal,
    },
    dtransformer::Config,
    probe::LayerProbe,
};
use ndarray::{Array1, Array2, array, concatenate, s};

const TOKENS: [&str; 4] = ["10", "−", "2", "="];

/// The numbers of the chapter *Multi-head attention*.
pub(super) fn numbers(n: &mut Numbers) {
    // Each token says whether it is the first number, the minus, the second number or the equals sign, and its amount.
    let x = array![
        [1.0, 0.0, 0.0, 0.0, 10.0],
        [0.0, 1.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0, 2.0],
        [0.0, 0.0, 0.0, 1.0, 0.0],
    ];
    let rows: Vec<Vec<String>> = TOKENS
        .iter()
        .zip(x.rows())
        .map(|(token, x)| {
            let cells = x.iter().map(|&x| rounded(x, 0));
            [format!("`{token}`")].into_iter().chain(cells).collect()
        })
        .collect();
    let head = [
        "",
        "is first",
        "is minus",
        "is second",
        "is equals",
        "amount",
    ];
    n.table("tokens", &head, &rows);
    let head = ["", "是前数", "是减号", "是后数", "是等号", "数值"];
    n.table("tokens_zh", &head, &rows);

    let head = |w_k: Array2<f64>| AttentionParameters {
        w_q: array![[0.0, 0.0, 0.0, 6.0, 0.0]],
        b_q: Array1::zeros(1),
        w_k,
        b_k: Array1::zeros(1),
        w_v: array![[0.0, 0.0, 0.0, 0.0, 1.0]],
        b_v: Array1::zeros(1),
    };
    let first = head(array![[1.0, 0.0, 0.0, 0.0, 0.0]]);
    let second = head(array![[0.0, 0.0, 1.0, 0.0, 0.0]]);
    let both = head(array![[1.0, 0.0, 1.0, 0.0, 0.0]]);
    let mask = causal_mask(0, 4, 4);
    let mean = |x: &Array2<f64>| attention_formal(x.view(), x.view(), &both, mask.view())[[3, 0]];
    n.number("one_head", mean(&x), 2);
    let mut other = x.clone();
    (other[[0, 4]], other[[2, 4]]) = (8.0, 4.0);
    n.number("one_head_other", mean(&other), 2);
    let exp = f64::exp(6.0);
    n.number("e6", exp, 1);
    n.number("share", exp / (exp + 3.0), 3);

    // W_o: the first head's number less the second's, into the amount.
    let mut w_o = Array2::zeros((5, 2));
    (w_o[[4, 0]], w_o[[4, 1]]) = (1.0, -1.0);
    let y: Vec<_> = [&first, &second]
        .map(|head| attention_formal(x.view(), x.view(), head, mask.view()))
        .into();
    n.number("y_first", y[0][[3, 0]], 2);
    n.number("y_second", y[1][[3, 0]], 2);
    n.matrix("w_o", w_o.view(), 0);
    let w_pack = concatenate![
        ndarray::Axis(0),
        first.w_q,
        second.w_q,
        first.w_k,
        second.w_k,
        first.w_v,
        second.w_v
    ];
    n.matrix("w_pack", w_pack.view(), 0);
    let p = MultiHeadParameters {
        heads: vec![first, second],
        w_o: w_o.clone(),
        b_o: Array1::zeros(5),
    };
    let page = multi_head_attention_formal(x.view(), x.view(), &p, mask.view());
    n.number("difference", page[[3, 4]], 2);

    let shipped = |w_pack: Array2<f64>| {
        let attention =
            GroupedQueryAttention::new(Projection::Packed(w_pack), w_o.clone(), 2, 2, 1)
                .expect("two heads of one dimension");
        let unplaced = Positions::Biased(vec![0.0; 2]);
        let (mut cache, mut nobody) = (LayerCache::new(2, 1), LayerProbe::none());
        attention
            .forward(x.view(), &unplaced, &mut cache, &mut nobody)
            .expect("a cache in full holds all numbers")
    };
    assert!(
        (shipped(w_pack.clone()) - &page)
            .iter()
            .all(|e| e.abs() < 1e-12)
    );
    let (q, kv) = w_pack.view().split_at(ndarray::Axis(0), 2);
    let exchanged = concatenate![
        ndarray::Axis(0),
        q,
        kv.slice(s![2.., ..]),
        kv.slice(s![..2, ..])
    ];
    n.number("exchanged", shipped(exchanged)[[3, 4]], 2);

    let c = Config::baichuan2_7b();
    let rows = |name: &str| {
        let parameters = c.parameters();
        let of = parameters.iter().find(|p| p.name.ends_with(name));
        of.expect("a parameter of the 7B").shape.clone()
    };
    n.text("heads_7b", c.num_attention_heads);
    n.text("d_7b", c.head_dim);
    n.text("width_7b", c.hidden_size);
    n.text("rows_7b", rows("W_pack.weight")[0]);
}
