//! Small talk, in the tokens of the chat format.

use super::{
    draw::Draw,
    grammar::{Language, Scene},
    puzzles::Equation,
    questions::dictionary,
    words::{ANIMALS, CHILDREN_EN, CHILDREN_ZH},
};

/// The symbol before what the user says: id 195.
pub const USER: &str = "<reserved_106>";
/// The symbol before what the assistant says: id 196.
pub const ASSISTANT: &str = "<reserved_107>";

/// Questions that have one answer each: English, Chinese.
const FACTS: &[[(&str, &str); 2]] = &[
    [
        ("What color is the sky?", "The sky is blue."),
        ("天是什么颜色的？", "天是蓝色的。"),
    ],
    [
        ("What color is the snow?", "Snow is white."),
        ("雪是什么颜色的？", "雪是白色的。"),
    ],
    [
        ("What color is the grass?", "Grass is green."),
        ("草是什么颜色的？", "草是绿色的。"),
    ],
    [
        ("What color is a banana?", "A banana is yellow."),
        ("香蕉是什么颜色的？", "香蕉是黄色的。"),
    ],
    [
        ("Where do fish live?", "Fish live in the water."),
        ("鱼住在哪里？", "鱼住在水里。"),
    ],
    [
        ("What do rabbits eat?", "Rabbits eat grass and leaves."),
        ("兔子吃什么？", "兔子吃草和叶子。"),
    ],
    [
        ("What do horses eat?", "Horses eat grass."),
        ("马吃什么？", "马吃草。"),
    ],
    [
        ("Can birds fly?", "Yes, most birds can fly."),
        ("鸟会飞吗？", "会，很多鸟都会飞。"),
    ],
    [
        ("Can a horse fly?", "No, a horse cannot fly."),
        ("马会飞吗？", "不会，马不会飞。"),
    ],
    [
        (
            "Which is bigger, a cat or an elephant?",
            "An elephant is bigger.",
        ),
        ("猫和大象，谁大？", "大象大。"),
    ],
    [
        ("When do we see the stars?", "We see the stars at night."),
        ("什么时候能看见星星？", "晚上能看见星星。"),
    ],
    [
        ("When does it snow?", "It snows in winter."),
        ("什么时候下雪？", "冬天下雪。"),
    ],
    [
        ("What comes after winter?", "Spring comes after winter."),
        ("冬天以后是什么？", "冬天以后是春天。"),
    ],
    [
        ("What do I need in the rain?", "You need an umbrella."),
        ("下雨了要带什么？", "要带雨伞。"),
    ],
    [
        (
            "How many days are in a week?",
            "There are seven days in a week.",
        ),
        ("一个星期有几天？", "一个星期有七天。"),
    ],
    [
        ("How many legs does a dog have?", "A dog has four legs."),
        ("狗有几条腿？", "狗有四条腿。"),
    ],
    [
        (
            "What can I do when I am sad?",
            "Talk to a friend. It helps.",
        ),
        ("我难过的时候怎么办？", "和朋友说说话，会好一点。"),
    ],
    [
        (
            "Who are you?",
            "I am a small model. I learned from little stories in English and Chinese.",
        ),
        (
            "你是谁？",
            "我是一个小小的模型，从中文和英文的小故事里学会了说话。",
        ),
    ],
    [
        (
            "What can you do?",
            "I can tell stories, count, add small numbers and translate words.",
        ),
        ("你会做什么？", "我会讲故事、数数、算数，还会翻译一些词。"),
    ],
    [("Thank you!", "You are welcome!"), ("谢谢你！", "不用谢！")],
    [
        ("Goodbye!", "Goodbye! See you next time."),
        ("再见！", "再见！下次见。"),
    ],
];

/// Greetings and what to answer.
const GREETINGS: &[[(&str, &str); 2]] = &[
    [
        ("Hello!", "Hello! How can I help you?"),
        ("你好！", "你好！我可以帮你做什么？"),
    ],
    [
        ("Hi!", "Hi! What would you like to talk about?"),
        ("你好啊！", "你好啊！你想说什么？"),
    ],
    [
        ("Good morning!", "Good morning! It is a beautiful day."),
        ("早上好！", "早上好！今天天气真好。"),
    ],
    [
        ("Good evening!", "Good evening! How was your day?"),
        ("晚上好！", "晚上好！今天过得好吗？"),
    ],
];

/// A conversation of one or two rounds.
pub fn conversation(draw: &mut Draw) -> String {
    let language = Language::draw(draw);
    let mut rounds = Vec::new();
    match draw.weighted(&[1, 2, 1]) {
        0 => {
            let greeting = draw.pick(GREETINGS)[language as usize];
            rounds.push((greeting.0.to_owned(), greeting.1.to_owned()));
            if draw.chance(1, 2) {
                rounds.push(question(draw, language));
            }
        }
        1 => rounds.push(question(draw, language)),
        _ => {
            let name = draw.pick(language.of(CHILDREN_EN, CHILDREN_ZH)).0;
            rounds.push(language.of(
                (
                    format!("My name is {name}."),
                    format!("Nice to meet you, {name}!"),
                ),
                (format!("我叫{name}。"), format!("很高兴见到你，{name}！")),
            ));
            if draw.chance(1, 2) {
                rounds.push(question(draw, language));
            }
            rounds.push(language.of(
                ("What is my name?".into(), format!("Your name is {name}.")),
                ("我叫什么名字？".into(), format!("你叫{name}。")),
            ));
        }
    }
    let turn = |(user, assistant): (String, String)| format!("{USER}{user}{ASSISTANT}{assistant}");
    rounds.into_iter().map(turn).collect()
}

fn question(draw: &mut Draw, language: Language) -> (String, String) {
    match draw.weighted(&[4, 2, 3, 2, 1]) {
        0 => {
            let (question, answer) = draw.pick(FACTS)[language as usize];
            (question.into(), answer.into())
        }
        1 => {
            let equation = Equation::draw(draw);
            let (sum, result) = (equation.question(), equation.result());
            language.of(
                (format!("What is {sum}?"), format!("{sum}={result}")),
                (format!("{sum}是多少？"), format!("{sum}={result}")),
            )
        }
        2 => {
            let words: Vec<_> = dictionary().collect();
            let word = draw.pick(&words);
            language.of(
                (
                    format!("How do you say \"{}\" in Chinese?", word.en),
                    format!("It is “{}”.", word.zh),
                ),
                (
                    format!("“{}”用英文怎么说？", word.zh),
                    format!("英文是{}。", word.en),
                ),
            )
        }
        3 => {
            let mut scene = Scene::new(draw, language);
            let question = scene
                .tell(language.of("Tell me a story about {a who}.", "给我讲一个{who}的故事。"));
            (question, scene.tell("{story}"))
        }
        _ => {
            let animal = draw.pick(ANIMALS);
            language.of(
                (
                    format!("Do you like {}?", animal.plural),
                    format!("Yes, I like {} very much.", animal.plural),
                ),
                (
                    format!("你喜欢{}吗？", animal.zh),
                    format!("喜欢，我很喜欢{}。", animal.zh),
                ),
            )
        }
    }
}
