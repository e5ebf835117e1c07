//! Three tokens in two dimensions, and the two matrices of `embedded:alibi`.

use crate::numbers::{Numbers, rounded};
use baichuan2::{
    embedded::EmbeddedModel,
    swiglu::ffn_width,
    tensor::{LinearMap, PrincipalComponents},
    unembedding::unembedding_formal,
};
use ndarray::{Array1, Array2, array, s};

/// The numbers of the chapter *Embedding and unembedding*.
pub(super) fn numbers(n: &mut Numbers) {
    by_hand(n);
    trained(n);
    size_of_7b(n);
}

/// The tables of the 7B, and what they are of the whole.
fn size_of_7b(n: &mut Numbers) {
    let [vocabulary, d, layers] = [125_696, 4096, 32];
    let table = vocabulary * d;
    let layer = 4 * d * d + 3 * d * ffn_width(d) + 2 * d;
    let all = 2 * table + layers * layer + d;
    n.text("vocabulary_7b", vocabulary);
    n.text("d_7b", d);
    n.text("table_7b", table);
    n.number("share_7b", 200.0 * table as f64 / all as f64, 0);
}

fn by_hand(n: &mut Numbers) {
    let w_e: Array2<f64> = array![[1.0, 2.0], [2.0, 1.0], [-2.0, 0.0]];
    n.matrix("w_e", w_e.view(), 0);
    let one_hot = array![0.0, 1.0, 0.0];
    n.vector("one_hot", one_hot.view(), 0);
    n.vector("product", one_hot.dot(&w_e).view(), 0);
    let mut row = Array1::zeros(2);
    w_e.copy_row(1, row.view_mut());
    n.vector("row", row.view(), 0);

    let w_u = array![[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]];
    let e = array![2.0, 1.0];
    n.matrix("w_u", w_u.view(), 0);
    n.vector("e", e.view(), 0);
    n.vector("logits", w_u.dot(&e).view(), 0);
    n.vector("p", unembedding_formal(e.view(), w_u.view()).view(), 3);
}

fn trained(n: &mut Numbers) {
    let model = EmbeddedModel::Alibi;
    let (checkpoint, tokenizer) = (model.checkpoint(), model.tokenizer());
    let matrix = |name: &str| -> Array2<f64> {
        let stored = checkpoint.tensor(name).expect("a model has it");
        stored.to_matrix(name).expect("rank 2").mapv(f64::from)
    };
    let w_e = matrix("model.embed_tokens.weight");
    let w_u = matrix("lm_head.weight");
    n.text("vocabulary", w_e.nrows());
    n.text("d", w_e.ncols());
    let id = |piece: &str| tokenizer.id_of(piece).expect("a piece of the vocabulary") as usize;
    n.text("id_red", id("▁red"));
    n.text("id_blue", id("▁blue"));
    let nearest = |w: &Array2<f64>, piece: &str| -> String {
        let mut all: Vec<(f64, usize)> = (0..w.nrows())
            .filter(|&i| i != id(piece))
            .map(|i| (cosine(w, id(piece), i), i))
            .collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        let cell = |&(cosine, i): &(f64, usize)| {
            let piece = tokenizer.piece(i as u32).expect("an id below the number");
            format!("`{}` {}", piece.text, rounded(cosine, 2))
        };
        all[..3].iter().map(cell).collect::<Vec<_>>().join(" · ")
    };
    let rows = ["7", "▁red", "▁she", "▁("].map(|piece| {
        vec![
            format!("`{piece}`"),
            nearest(&w_e, piece),
            nearest(&w_u, piece),
        ]
    });
    n.table("neighbours", &["", "$W_e$", "$W_u$"], &rows);
    n.number("brackets_in", cosine(&w_e, id("▁("), id("▁[")), 2);
    n.number("brackets_out", cosine(&w_u, id("▁("), id("▁[")), 3);
    n.number("red_red", cosine(&w_e, id("red"), id("▁red")), 2);

    let rows: Vec<usize> = tokenizer
        .encode("red red green yellow 3456789 Mia Anna Ivy Zoe Ruby Lucy Tom Leo Hugo")
        .into_iter()
        .map(|id| id as usize)
        .collect();
    let rows = w_e.select(ndarray::Axis(0), &rows);
    let found = PrincipalComponents::of(rows.view(), 2).expect("finite rows");
    n.number("shown", 100.0 * found.variances.sum() / found.total, 0);
}

fn cosine(w: &Array2<f64>, i: usize, j: usize) -> f64 {
    let (a, b) = (w.slice(s![i, ..]), w.slice(s![j, ..]));
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}
