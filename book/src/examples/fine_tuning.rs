//! A conversation as the trainer sees it, and a low-rank update by hand.

use crate::numbers::{Numbers, rounded};
use baichuan2::{
    dtransformer::Config,
    embedded::EmbeddedModel,
    generation::chat::{ChatFormat, Message, Role},
    training::finetune::{Example, LoraSettings, Settings},
};
use ndarray::array;

/// The numbers of the chapter *Fine-tuning*.
pub(super) fn numbers(n: &mut Numbers) {
    conversation(n);
    low_rank(n);
    sizes(n);
}

fn conversation(n: &mut Numbers) {
    let tokenizer = EmbeddedModel::Rope.tokenizer();
    let said = |role, content: &str| Message {
        role,
        content: content.into(),
    };
    let messages = [
        said(Role::User, "Where is the cat?"),
        said(Role::Assistant, "By the sea."),
        said(Role::User, "Thank you!"),
        said(Role::Assistant, "Good night!"),
    ];
    let eos = tokenizer.eos().expect("it has an end");
    let format = ChatFormat::default();
    let example = Example::of(&messages, &format, eos, |text| tokenizer.encode(text), 256)
        .expect("there is an answer");
    let piece = |id: u32| match id {
        _ if id == format.user => "`user`".to_owned(),
        _ if id == format.assistant => "`assistant`".to_owned(),
        _ => format!(
            "`{}`",
            tokenizer.vocabulary().get(id).expect("its own token").text
        ),
    };
    let rows: Vec<Vec<String>> = example
        .ids
        .iter()
        .zip(&example.targets)
        .map(|(&id, target)| vec![piece(id), target.map_or("–".to_owned(), piece)])
        .collect();
    n.table(
        "example",
        &["what stands there", "what is to follow"],
        &rows,
    );
    n.table("example_zh", &["此处的词元", "要学的下一个"], &rows);
    n.text("ids", example.ids.len());
    n.text("counted", example.targets.iter().flatten().count());
}

/// $W = W_0 + \frac{α}{r} B A$ with r = 1, and the gradients of both factors.
fn low_rank(n: &mut Numbers) {
    let (a, b) = (array![[1.0, -1.0, 2.0]], array![[0.5], [0.0]]);
    let scale = 2.0;
    n.matrix("a", a.view(), 0);
    n.matrix("b", b.view(), 1);
    n.number("scale", scale, 0);
    n.matrix("change", (b.dot(&a) * scale).view(), 0);
    let w_bar = array![[0.1, 0.0, 0.2], [0.3, -0.1, 0.0]];
    n.matrix("w_bar", w_bar.view(), 1);
    n.matrix("a_bar", (b.t().dot(&w_bar) * scale).view(), 1);
    n.matrix("b_bar", (w_bar.dot(&a.t()) * scale).view(), 1);
}

/// What moves and what it takes, at the real sizes.
fn sizes(n: &mut Numbers) {
    let mut rows = Vec::new();
    for (name, config) in [
        ("7B", Config::baichuan2_7b()),
        ("13B", Config::baichuan2_13b()),
    ] {
        let all: usize = config
            .parameters()
            .iter()
            .map(|p| p.shape.iter().product::<usize>())
            .sum();
        let packed: usize = config
            .parameters()
            .iter()
            .filter(|p| p.name.ends_with("W_pack.weight"))
            .map(|p| p.shape.iter().sum::<usize>())
            .sum();
        for rank in [1, 8] {
            let one = Settings {
                parts: 1,
                ..Settings::default()
            };
            let lora = Settings {
                lora: Some(LoraSettings { rank, alpha: 32.0 }),
                ..one
            };
            let gb = |settings: Settings| rounded(settings.bytes(&config) as f64 / 1e9, 0);
            rows.push(vec![
                name.to_owned(),
                rank.to_string(),
                format!("{:.2}", all as f64 / 1e9),
                format!("{:.2}", (rank * packed) as f64 / 1e6),
                format!("{:.3}%", 100.0 * (rank * packed) as f64 / all as f64),
                gb(one),
                gb(lora),
            ]);
        }
    }
    let english = [
        "model",
        "$r$",
        "parameters, billions",
        "in $A$ and $B$, millions",
        "share",
        "all move, GB",
        "LoRA, GB",
    ];
    let chinese = [
        "模型",
        "$r$",
        "参数（十亿）",
        "$A$、$B$ 中（百万）",
        "占比",
        "全部微调，GB",
        "LoRA，GB",
    ];
    n.table("sizes", &english, &rows);
    n.table("sizes_zh", &chinese, &rows);
    let [rows, columns] = Config::baichuan2_7b()
        .parameters()
        .iter()
        .find(|p| p.name.ends_with("W_pack.weight"))
        .and_then(|p| <[usize; 2]>::try_from(p.shape.clone()).ok())
        .expect("a matrix");
    n.text("rows", grouped(rows));
    n.text("columns", grouped(columns));
    n.text("whole", grouped(rows * columns));
    n.text("factors", grouped(rows + columns));
}

/// A whole number with commas between thousands.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let head = digits.len() % 3;
    let (head, rest) = digits.split_at(head);
    let groups = rest
        .as_bytes()
        .chunks(3)
        .map(|chunk| String::from_utf8_lossy(chunk).into_owned());
    let parts = (!head.is_empty())
        .then(|| head.to_owned())
        .into_iter()
        .chain(groups);
    parts.collect::<Vec<_>>().join(",")
}
