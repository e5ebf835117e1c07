//! Five drinks on their way through the filters, and a question as ids.

use crate::numbers::{Numbers, rounded};
use baichuan2::{
    bpe::{Specials, Tokenizer},
    embedded::EmbeddedModel,
    generation::{
        Options, Sampling, Session, Stage,
        chat::{ChatFormat, Message, Role, USER},
        filters,
    },
    tensor::softmax_in_place,
};
use ndarray::{Array1, array};
use std::ops::ControlFlow;

const DRINKS: [&str; 5] = ["tea", "coffee", "milk", "juice", "tar"];

/// The same in Chinese.
const CHINESE: [&str; 5] = ["茶", "咖啡", "牛奶", "果汁", "焦油"];

/// The numbers of the chapter *Generation and chat*.
pub(super) fn numbers(n: &mut Numbers) {
    let shipped = Sampling::default();
    n.text("shipped_penalty", shipped.repetition_penalty);
    n.text("shipped_temperature", shipped.temperature);
    n.text("shipped_top_k", shipped.top_k);
    n.text("shipped_top_p", shipped.top_p);
    drinks(n);
    order(n);
    chat(n);
}

fn drinks(n: &mut Numbers) {
    let logits = array![2.4_f32, 2.0, 1.2, 0.6, -1.0];
    // Tea and tar were mentioned.
    let text = [0, 4];
    let sampling = Sampling {
        greedy: false,
        repetition_penalty: 1.5,
        temperature: 0.5,
        top_k: 3,
        top_p: 0.8,
    };
    n.number("penalty", f64::from(sampling.repetition_penalty), 1);
    n.number("temperature", f64::from(sampling.temperature), 1);
    n.text("top_k", sampling.top_k);
    n.number("top_p", f64::from(sampling.top_p), 1);
    let number = |x: f32, decimals| rounded(f64::from(x), decimals);

    let mut penalized = logits.clone();
    filters::repetition_penalty(penalized.view_mut(), &text, sampling.repetition_penalty);
    let mut scaled = penalized.clone();
    filters::temperature(scaled.view_mut(), sampling.temperature);
    let row = |name: &str, values: &Array1<f32>, decimals| -> Vec<String> {
        let cells = values.iter().map(|&x| match x {
            0.0 => "–".to_owned(),
            x => number(x, decimals),
        });
        [name.to_owned()].into_iter().chain(cells).collect()
    };
    let head = [&[""], &DRINKS[..]].concat();
    let rows = [
        row("model", &logits, 1),
        row("repetition penalty", &penalized, 2),
        row("temperature", &scaled, 2),
    ];
    n.table("logits", &head, &rows);
    n.table(
        "logits_zh",
        &[&[""], &CHINESE[..]].concat(),
        &in_chinese(&rows),
    );
    let stages = sampling.stages(logits.view(), &text);
    let rows: Vec<_> = stages
        .iter()
        .map(|(stage, p)| row(&stage.to_string(), p, 3))
        .collect();
    n.table("stages", &head, &rows);
    n.table(
        "stages_zh",
        &[&[""], &CHINESE[..]].concat(),
        &in_chinese(&rows),
    );

    let after = |stage: Stage| -> &Array1<f32> {
        let found = stages.iter().find(|(of, _)| *of == stage);
        &found.expect("every stage").1
    };
    for (i, drink) in DRINKS.into_iter().enumerate() {
        n.text(&format!("{drink}_logit"), number(logits[i], 1));
        n.text(&format!("{drink}_penalized"), number(penalized[i], 1));
        n.text(&format!("{drink}_top_k"), number(after(Stage::TopK)[i], 3));
        n.text(&format!("{drink}_drawn"), number(after(Stage::TopP)[i], 3));
    }
    let two = after(Stage::TopK)[0] + after(Stage::TopK)[1];
    n.text("coffee_tea", number(two, 3));
    n.text("left_of_one", number(1.0 - sampling.top_p, 1));
}

/// Rows of a table whose first cell is the name of a stage.
fn in_chinese(rows: &[Vec<String>]) -> Vec<Vec<String>> {
    let names = ["模型", "重复惩罚", "温度", "top-k", "top-p"];
    let renamed =
        |(row, name): (&Vec<String>, &str)| [vec![name.to_owned()], row[1..].to_vec()].concat();
    rows.iter().zip(names).map(renamed).collect()
}

/// Top-p before top-k keeps another set.
fn order(n: &mut Numbers) {
    let p = array![0.4_f32, 0.3, 0.2, 0.1];
    n.vector("order_p", p.mapv(f64::from).view(), 1);
    let after = |first: &dyn Fn(&mut Array1<f32>), second: &dyn Fn(&mut Array1<f32>)| {
        let mut logits = p.ln();
        first(&mut logits);
        second(&mut logits);
        softmax_in_place(logits.view_mut());
        logits.mapv(f64::from)
    };
    let (k, half) = (2, 0.5);
    n.text("order_top_k", k);
    n.text("order_top_p", half);
    n.text("order_first", p[0]);
    let top_k = |logits: &mut Array1<f32>| filters::top_k(logits.view_mut(), k);
    let top_p = |logits: &mut Array1<f32>| filters::top_p(logits.view_mut(), half);
    n.vector("order_shipped", after(&top_k, &top_p).view(), 3);
    n.vector("order_other", after(&top_p, &top_k).view(), 3);
    let mut two = p.ln();
    top_k(&mut two);
    softmax_in_place(two.view_mut());
    n.number("order_two", f64::from(two[0]), 3);
}

/// A question as ids, and its answer.
fn chat(n: &mut Numbers) {
    let tokenizer = EmbeddedModel::Rope.tokenizer();
    let said = [
        (Role::User, "My name is Lily."),
        (Role::Assistant, "Nice to meet you, Lily!"),
        (Role::User, "What is my name?"),
    ];
    let messages = said.map(|(role, content)| Message {
        role,
        content: content.into(),
    });
    for (name, message) in ["first", "second", "third"].into_iter().zip(&messages) {
        n.text(name, &message.content);
    }
    let encode = |text: &str| tokenizer.encode(text);
    let ids = ChatFormat::default().ids(&messages, encode, 256, 64);
    let ids = ids.expect("a conversation");
    n.text("chat_ids", shown(&ids, &tokenizer));
    n.text("chat_length", ids.len());

    let decoder = EmbeddedModel::Rope.checkpoint().decoder().expect("inside");
    let options = Options {
        sampling: Sampling::greedy(),
        seed: 0,
        max_new_tokens: 24,
        stop: vec![tokenizer.eos().expect("it has one"), USER],
    };
    let mut session = Session::new(&decoder, decoder.config().context);
    let mut answer = Vec::new();
    let finish = session.generate(&ids, &options, &mut |event| {
        if let baichuan2::generation::Event::Token(id) = event {
            answer.push(id);
        }
        ControlFlow::Continue(())
    });
    let answer = tokenizer.decode(&answer).expect("of the vocabulary");
    n.text("answer", answer.trim());
    n.text("finish", format!("{:?}", finish.expect("a short text")));
}

/// Ids with their pieces.
fn shown(ids: &[u32], tokenizer: &Tokenizer) -> String {
    let piece = |id: &u32| {
        let text = tokenizer.decode_with(&[*id], Specials::Show);
        let text = text.expect("of the vocabulary");
        format!("{id} `{}`", text.replace(' ', "▁"))
    };
    ids.iter().map(piece).collect::<Vec<_>>().join(" · ")
}
