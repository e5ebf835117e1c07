//! Three rows of different lengths, logits that drift, and what `embedded:rope` made of both.

use crate::numbers::{Numbers, rounded};
use baichuan2::{
    embedded::EmbeddedModel,
    generation::filters::repetition_penalty,
    probe::{Site, Trace},
    tensor::{LinearMap, softmax},
    training::{
        backward,
        corpus::{Corpus, Split},
        loss::{Loss, MAX_Z_WEIGHT, cross_entropy, max_z},
    },
    unembedding::{Unembedding, norm_head_formal},
};
use ndarray::{Array1, Array2, Axis, Ix2, array, s};

/// *Your* is `▁you` and `r`.
const TEXT: &str = "There was a small boy named Tom. He lived in a house near the lake with his mother. One morning, he walked to the garden. \
He met a dog. \"What is you";

/// The numbers of the chapter *NormHead and max-z*.
pub(super) fn numbers(n: &mut Numbers) {
    rows(n);
    drift(n);
    trained(n);
    held_out(n);
}

fn rows(n: &mut Numbers) {
    let w: Array2<f64> = array![[3.0, 1.0], [0.6, 0.8], [0.0, -2.0]];
    let e = array![1.0, 2.0];
    n.matrix("w", w.view(), 1);
    n.vector("e", e.view(), 0);
    n.vector("lengths", w.row_norms().view(), 3);
    n.matrix("normalized", norm_head_formal(w.view()).view(), 3);
    let x = e.view().insert_axis(Axis(0));
    let head = Unembedding::new(w.clone(), true);
    for (name, norm_head) in [("with", true), ("without", false)] {
        let logits = head.logits_as(x, norm_head);
        n.vector(name, logits.row(0), 3);
        n.vector(&format!("p_{name}"), softmax(logits.view()).row(0), 3);
    }
    let length = e.dot(&e).sqrt();
    n.number("length", length, 3);
    let cosines = head.logits_as(x, true).row(0).mapv(|z| z / length);
    n.vector("cosines", cosines.view(), 3);

    // The loss pulls at a row across it alone.
    let hat = backward::unembedding::head(&w, true).into_owned();
    let (_, z_bar) = Loss::of(x.dot(&hat.t()), &[Some(1)], 0.0, 1);
    let mut w_bar = Array2::zeros(w.raw_dim());
    backward::unembedding::backward(z_bar.view(), x, &hat, &mut w_bar);
    backward::unembedding::through_norm_head(&mut w_bar, &w);
    n.vector("pull", w_bar.row(0), 3);
    n.number("along", w_bar.row(0).dot(&w.row(0)), 3);
}

/// Two rows of logits, of which the second lies 100 higher.
fn drift(n: &mut Numbers) {
    let low = array![2.0_f64, 1.0, 0.0];
    let high = low.mapv(|z| z + 100.0);
    n.number("penalty", 1.1, 1);
    let probabilities = |z: &Array1<f64>| softmax(z.view().insert_axis(Axis(0))).row(0).to_owned();
    n.text("lambda", MAX_Z_WEIGHT);
    for (name, z) in [("low", &low), ("high", &high)] {
        let row = z.view().insert_axis(Axis(0));
        n.vector(name, z.view(), 0);
        n.vector(&format!("{name}_p"), probabilities(z).view(), 3);
        n.number(&format!("{name}_ce"), cross_entropy(row, &[0]), 4);
        n.number(&format!("{name}_max_z"), MAX_Z_WEIGHT * max_z(row), 4);
        let mut punished = z.mapv(|z| z as f32);
        repetition_penalty(punished.view_mut(), &[0], 1.1);
        let punished = punished.mapv(f64::from);
        n.vector(&format!("{name}_punished"), punished.view(), 2);
        n.vector(&format!("{name}_after"), probabilities(&punished).view(), 3);
    }
}

fn trained(n: &mut Numbers) {
    let model = EmbeddedModel::Rope;
    let decoder = model.checkpoint().decoder().expect("a test opens it");
    let tokenizer = model.tokenizer();
    let head = decoder.unembedding();
    let lengths = head.weight().row_norms();
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by(|&a, &b| lengths[a].total_cmp(&lengths[b]));
    let named = |ids: &[usize]| -> String {
        let cell = |&i: &usize| {
            let piece = tokenizer.piece(i as u32).expect("an id below the number");
            format!("`{}` {}", piece.text, rounded(f64::from(lengths[i]), 2))
        };
        ids.iter().map(cell).collect::<Vec<_>>().join(" · ")
    };
    n.text("shortest", named(&order[..4]));
    let longest: Vec<usize> = order.iter().rev().take(4).copied().collect();
    n.text("longest", named(&longest));

    let ids = tokenizer.encode(TEXT);
    let mut trace = Trace::of(|at| at == Site::FinalNorm);
    decoder
        .forward(&ids, &mut decoder.new_cache(), Some(&mut trace))
        .expect("a short text");

    let e = trace.values[&Site::FinalNorm.to_string()]
        .view()
        .into_dimensionality::<Ix2>()
        .expect("rank 2");
    n.text("story", TEXT);
    for (name, norm_head) in [("with", true), ("without", false)] {
        let logits = head.logits_as(e, norm_head);
        let p = softmax(logits.slice(s![ids.len() - 1.., ..]));
        let mut best: Vec<usize> = (0..p.ncols()).collect();
        best.sort_by(|&a, &b| p[[0, b]].total_cmp(&p[[0, a]]));
        let cells = best[..3].iter().map(|&i| {
            let piece = tokenizer.piece(i as u32).expect("an id below the number");
            format!("`{}` {}", piece.text, rounded(f64::from(p[[0, i]]), 3))
        });
        let cells: Vec<String> = cells.collect();
        n.text(&format!("next_{name}"), cells.join(" · "));
        for (token, piece) in [("r", "r"), ("like", "▁like")] {
            let id = tokenizer.id_of(piece).expect("a piece of the vocabulary") as usize;
            let logit = f64::from(logits[[ids.len() - 1, id]]);
            n.number(&format!("{token}_{name}"), logit, 2);
            if norm_head {
                n.number(&format!("{token}_length"), f64::from(lengths[id]), 2);
            }
        }
    }
}

/// The loss of `embedded:rope` on the first documents that were held out, with NormHead and without, and how large its logits are.
fn held_out(n: &mut Numbers) {
    const DOCUMENTS: usize = 20;
    let model = EmbeddedModel::Rope;
    let decoder = model.checkpoint().decoder().expect("a test opens it");
    let tokenizer = model.tokenizer();
    let end = tokenizer.eos().expect("it has one");
    let (mut tokens, mut losses) = (0, [0.0; 2]);
    let (mut largest, mut all) = (0.0, 0.0);
    for document in Corpus::of(1, Split::Validation).take(DOCUMENTS) {
        let mut ids = vec![end];
        ids.extend(tokenizer.encode_with_specials(&document.text));
        let targets = &ids[1..];
        let mut trace = Trace::of(|at| at == Site::FinalNorm);
        let logits = decoder
            .forward(
                &ids[..targets.len()],
                &mut decoder.new_cache(),
                Some(&mut trace),
            )
            .expect("a short text");
        let e = trace.values[&Site::FinalNorm.to_string()]
            .view()
            .into_dimensionality::<Ix2>()
            .expect("rank 2");
        let count = targets.len() as f64;
        for (loss, norm_head) in losses.iter_mut().zip([true, false]) {
            let logits = decoder.unembedding().logits_as(e, norm_head);
            *loss += count * f64::from(cross_entropy(logits.view(), targets));
        }
        largest += count * f64::from(max_z(logits.view()));
        all += count * f64::from(logits.mean().expect("logits"));
        tokens += targets.len();
    }
    let count = tokens as f64;
    n.text("documents", DOCUMENTS);
    n.text("tokens", tokens);
    n.number("loss_with", losses[0] / count, 2);
    n.number("loss_without", losses[1] / count, 2);
    n.number("largest", (largest / count).sqrt(), 1);
    n.number("mean_logit", all / count, 1);
}
