use crate::{
    compare::compare,
    goldens,
    harness::{Trial, case, property, say},
    random::matrix_of,
};
use baichuan2::tensor::softmax as oracle;
use ndarray::{Array2, Array3, Axis, array};
use your_code::softmax::softmax;

fn weights() -> String {
    say("the weights", "权重")
}

fn axes() -> [String; 2] {
    [say("row", "行"), say("score", "分数")]
}

pub fn trials() -> Vec<Trial> {
    vec![
        property(
            "gives_the_weights_of_small_scores",
            "小分数的权重正确",
            matrix_of(1..5, 1..6),
            |s| {
                let exp = s.mapv(f64::exp);
                let columns = oracle(s.t()).reversed_axes();
                let all = &exp / exp.sum();
                let by_max = Array2::from_shape_fn(s.dim(), |(i, j)| {
                    let max = s.row(i).fold(f64::NEG_INFINITY, |m, &s| m.max(s));
                    (s[[i, j]] - max).exp()
                });
                compare(weights(), &softmax(s.view()), &oracle(s.view()))
                    .axes(axes())
                    .given("scores", &s)
                    .smell(
                        say(
                            "each column sums to one, and each row should: the softmax \
                runs over the wrong axis",
                            "每一列的和是一，应是每一行：softmax 用错了轴",
                        ),
                        columns,
                    )
                    .smell(
                        say(
                            "the whole matrix sums to one, and each row should",
                            "整个矩阵的和是一，应是每一行",
                        ),
                        all,
                    )
                    .smell(
                        say(
                            "the exponentials are right, and nothing divides them by \
                their sum",
                            "指数是对的，但没有除以它们的和",
                        ),
                        exp,
                    )
                    .smell(
                        say(
                            "relative to the largest, and never divided by the sum",
                            "减去了最大值，却没有除以和",
                        ),
                        by_max,
                    )
                    .check()
            },
        ),
        property(
            "does_not_mind_a_shift_of_all_scores",
            "所有分数同加一个数，权重不变",
            (matrix_of(1..4, 1..5), -4..=4_i32),
            |(s, thousands)| {
                let shifted = &s + f64::from(thousands) * 1000.0;
                compare(weights(), &softmax(shifted.view()), &oracle(s.view()))
                    .axes(axes())
                    .given("scores", &shifted)
                    .smell(
                        say(
                            "everything vanished: e^s is 0 for s far below zero. \
                Subtract something first",
                            "全都消失了：s 远小于零时 e^s 为 0。先减去点什么",
                        ),
                        Array2::<f64>::zeros(s.dim()),
                    )
                    .check()
            },
        ),
        case(
            "each_row_has_its_own_largest_score",
            "每行有自己的最大分数",
            || {
                // One row far above the other: what suits the one does not suit the other.
                let s = array![[900.0, 901.0], [-900.0, -901.0]];
                compare(weights(), &softmax(s.view()), &oracle(s.view()))
                    .axes(axes())
                    .given("scores", &s)
                    .check()
            },
        ),
        case(
            "a_hidden_score_gets_exactly_nothing",
            "被隐藏的分数权重恰好为零",
            || {
                let s = array![
                    [0.5, f64::NEG_INFINITY, 0.5],
                    [f64::NEG_INFINITY, 3.0, f64::NEG_INFINITY]
                ];
                compare(
                    weights(),
                    &softmax(s.view()),
                    &array![[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]],
                )
                .within(0.0)
                .axes(axes())
                .given("scores", &s)
                .check()
            },
        ),
        case(
            "a_row_that_sees_nothing_is_zero",
            "什么也看不到的行全是零",
            || {
                let hidden = f64::NEG_INFINITY;
                let s = array![[hidden, hidden], [1.0, 1.0]];
                compare(
                    weights(),
                    &softmax(s.view()),
                    &array![[0.0, 0.0], [0.5, 0.5]],
                )
                .axes(axes())
                .given("scores", &s)
                .smell(
                    say(
                        "a row of nothing but −∞: its largest score is −∞, and −∞ − \
                (−∞) is not a number",
                        "一行全是 −∞：最大值是 −∞，而 −∞ − (−∞) 不是数",
                    ),
                    array![[f64::NAN, f64::NAN], [0.5, 0.5]],
                )
                .smell(
                    say(
                        "hidden keys share the attention of a row that should see \
                nothing",
                        "本应什么都看不到的一行，却把注意力分给了被隐藏的键",
                    ),
                    array![[0.5, 0.5], [0.5, 0.5]],
                )
                .check()
            },
        ),
        case(
            "gives_the_attention_of_the_shipped_model",
            "注意力权重与发布的模型相同",
            || {
                // Every head of the small 13B, as its own code computed it.
                let scores: Array3<f64> =
                    goldens::act("tiny13b", "plain.layers.0.attn_scores_masked");
                let probs: Array3<f64> = goldens::act("tiny13b", "plain.layers.0.attn_probs");
                for (head, (s, p)) in scores
                    .axis_iter(Axis(0))
                    .zip(probs.axis_iter(Axis(0)))
                    .enumerate()
                {
                    compare(
                        say(
                            format!("the weights of head {head}"),
                            format!("第 {head} 个头的权重"),
                        ),
                        &softmax(s),
                        &p.to_owned(),
                    )
                    .within(goldens::TOLERANCE)
                    .axes([say("query", "查询"), say("key", "键")])
                    .check()?;
                }
                Ok(())
            },
        ),
    ]
}
