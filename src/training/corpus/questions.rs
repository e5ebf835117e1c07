//! Who has what, who said what, and what it is in the other language.

use super::{
    draw::{Draw, TRAINING_SHARE},
    grammar::{Language, Scene},
    puzzles::{ENGLISH, Item, count_word},
    words::{
        ANIMALS, CHILDREN_EN, CHILDREN_ZH, COLORS, FOODS, FRUITS, Gender, NATURE, Noun, PETS_EN,
        PETS_ZH, PLACES, TOYS,
    },
};

/// Facts and a question, or a story and a question; the questions to the other facts beside it.
fn told_and_asked(draw: &mut Draw) -> (Item, Vec<Asked>) {
    let any = |draw: &mut Draw| match draw.chance(1, 4) {
        true => loop {
            let before = draw.bits;
            if let Some(item) = name_in_a_story(draw) {
                break (item, Vec::new());
            }
            draw.bits = before;
        },
        false => facts(draw),
    };
    // By the facts: another question to them would tell the answer to this one.
    let told = |(item, _): &(Item, _)| match item.prompt.rsplit_once('\n') {
        Some((told, _)) => told.to_owned(),
        None => item.prompt.clone(),
    };
    draw.unseen(TRAINING_SHARE, any, told)
}

/// A few facts or a story, and a question whose answer is in them.
pub fn recall(draw: &mut Draw) -> Item {
    told_and_asked(draw).0
}

/// A [`recall`], and as many more questions to the same facts as chance will have.
pub fn recall_document(draw: &mut Draw) -> String {
    let (item, others) = told_and_asked(draw);
    let more = draw.below(others.len() + 1);
    let mut text = item.text();
    for i in draw.distinct(others.len(), more) {
        let (question, answer) = &others[i];
        text += &format!("\n{question}{answer}");
    }
    text
}

/// What some people have, like, or where they are: a question to one fact with all facts before it, and those to the others alone.
///
/// What is asked for always stands behind what the question repeats, for that is where attention can find it: *The one on the hill is Jack* tells who is on
/// the hill, and *Jack is on the hill* where Jack is.
fn facts(draw: &mut Draw) -> (Item, Vec<Asked>) {
    let language = Language::draw(draw);
    let names: Vec<_> = language
        .of([CHILDREN_EN, PETS_EN], [CHILDREN_ZH, PETS_ZH])
        .concat();
    let k = draw.between(2, 4);
    let people = draw.distinct(names.len(), k);
    // Mostly the name is asked for.
    let name_comes_first = draw.chance(1, 4);
    let fact = draw.below(3);
    let things = match fact {
        0 => draw.distinct(TOYS.len(), k),
        1 => draw.distinct(PLACES.len(), k),
        _ => draw.distinct(FOODS.len(), k),
    };
    let (mut text, mut questions) = (String::new(), Vec::new());
    for (&person, &thing) in people.iter().zip(&things) {
        let name = names[person].0;
        let words = match fact {
            0 => Fact::has(&TOYS[thing], draw.pick(COLORS), language),
            1 => Fact::is(&PLACES[thing], language),
            _ => Fact::likes(&FOODS[thing], language),
        };
        let Fact {
            does,
            one,
            who,
            what,
        } = words;
        let (told, asked) = match (language, name_comes_first) {
            (Language::English, true) => {
                let told = format!("{name} {does}.");
                (
                    format!("{told} "),
                    (what.replace('_', name), format!(" {told}")),
                )
            }
            (Language::English, false) => (
                format!("The one {one} is {name}. "),
                (who, format!(" {name}.")),
            ),
            (Language::Chinese, true) => {
                let told = format!("{name}{does}。");
                (told.clone(), (what.replace('_', name), told))
            }
            (Language::Chinese, false) => {
                (format!("{one}的是{name}。"), (who, format!("{name}。")))
            }
        };
        text += &told;
        questions.push(asked);
    }
    let (question, answer) = questions.swap_remove(draw.below(k));
    let item = Item::new(format!("{}\n{question}", text.trim_end()), answer);
    (item.chance(1.0 / k as f64), questions)
}

/// Question and answer.
type Asked = (String, String);

/// The words of a fact.
struct Fact {
    /// What somebody does: `is on the hill`.
    does: String,
    /// Who that is, by it: `on the hill`.
    one: String,
    /// The question for the name.
    who: String,
    /// The question for the rest, with `_` for the name.
    what: &'static str,
}

impl Fact {
    fn has(toy: &Noun, color: &Noun, language: Language) -> Self {
        let (en, zh) = (
            format!("a {} {}", color.en, toy.en),
            format!("有一{}{}的{}", toy.measure, color.zh, toy.zh),
        );
        match language {
            Language::English => Fact {
                does: format!("has {en}"),
                one: format!("with {en}"),
                who: format!("Who has the {}?", toy.en),
                what: "What does _ have?",
            },
            Language::Chinese => Fact {
                does: zh.clone(),
                one: zh,
                who: format!("谁有{}？", toy.zh),
                what: "_有什么？",
            },
        }
    }

    fn is(place: &Noun, language: Language) -> Self {
        match language {
            Language::English => Fact {
                does: format!("is {}", place.en),
                one: place.en.to_owned(),
                who: format!("Who is {}?", place.en),
                what: "Where is _?",
            },
            Language::Chinese => Fact {
                does: format!("在{}", place.zh),
                one: format!("在{}", place.zh),
                who: format!("谁在{}？", place.zh),
                what: "_在哪里？",
            },
        }
    }

    fn likes(food: &Noun, language: Language) -> Self {
        match language {
            Language::English => Fact {
                does: format!("likes {}", food.plural),
                one: format!("who likes {}", food.plural),
                who: format!("Who likes {}?", food.plural),
                what: "What does _ like?",
            },
            Language::Chinese => Fact {
                does: format!("喜欢吃{}", food.zh),
                one: format!("喜欢吃{}", food.zh),
                who: format!("谁喜欢吃{}？", food.zh),
                what: "_喜欢吃什么？",
            },
        }
    }
}

/// A story, and what one of its people is called; nothing where that is not to be told from what they are.
fn name_in_a_story(draw: &mut Draw) -> Option<Item> {
    let language = Language::draw(draw);
    let mut scene = Scene::new(draw, language);
    let story = scene.tell("{story}");
    let people = scene.cast().len();
    let asked = scene.draw.below(people);
    let who = scene.known_who(asked).filter(|who| story.contains(who))?;
    let alone = (0..people).all(|i| i == asked || scene.known_who(i) != Some(who));
    let name = scene.cast()[asked].name;
    let item = match language {
        Language::English => Item::new(
            format!("{story}\nWhat was the name of the {who}?"),
            format!(" {name}."),
        ),
        Language::Chinese => Item::new(format!("{story}\n{who}叫什么名字？"), format!("{name}。")),
    };
    alone.then(|| item.chance(1.0 / people as f64))
}

/// Two people say something; then what one of them said, word for word.
pub fn quotation(draw: &mut Draw) -> Item {
    let any = |draw: &mut Draw| {
        let language = Language::draw(draw);
        let mut scene = Scene::new(draw, language);
        let names = [0, 1].map(|i| scene.person(i).name);
        let said = [0, 1].map(|_| Scene::new(draw, language).tell("{remark}"));
        let asked = draw.below(2);
        let ([a, b], [x, y], name, remark) = (names, &said, names[asked], &said[asked]);
        let item = match language {
            Language::English => Item::new(
                format!("{a} said, \"{x}\" {b} said, \"{y}\"\nWhat did {name} say? {name} said,"),
                format!(" \"{remark}\""),
            ),
            // Cut after the quotation mark, which may be one token with the colon.
            Language::Chinese => Item::new(
                format!("{a}说：“{x}”{b}说：“{y}”\n{name}说了什么？{name}说：“"),
                format!("{remark}”"),
            ),
        };
        item.chance(0.5)
    };
    draw.unseen(TRAINING_SHARE, any, |item: &Item| item.text())
}

/// Nouns of the word list, in both languages.
pub fn dictionary() -> impl Iterator<Item = &'static Noun> {
    let foods = FOODS.iter().skip(FRUITS.len());
    let places = ANIMALS.iter().chain(TOYS).chain(FRUITS);
    places.chain(foods).chain(NATURE).chain(COLORS)
}

/// A sentence in both languages: English, Chinese.
pub fn sentence(draw: &mut Draw) -> [String; 2] {
    const VERBS: [[&str; 2]; 6] = [
        ["sings", "唱歌"],
        ["sleeps", "睡觉"],
        ["runs", "跑步"],
        ["swims", "游泳"],
        ["dances", "跳舞"],
        ["plays", "玩"],
    ];
    const PEOPLE: [[&str; 2]; 6] = [
        ["I have", "我有"],
        ["You have", "你有"],
        ["He has", "他有"],
        ["She has", "她有"],
        ["We have", "我们有"],
        ["They have", "他们有"],
    ];
    match draw.below(5) {
        0 => {
            let (color, animal, place) = (draw.pick(COLORS), draw.pick(ANIMALS), draw.pick(PLACES));
            [
                format!("The {} {} is {}.", color.en, animal.en, place.en),
                format!("{}的{}在{}。", color.zh, animal.zh, place.zh),
            ]
        }
        1 => {
            let ([en, zh], color, toy) = (draw.pick(&PEOPLE), draw.pick(COLORS), draw.pick(TOYS));
            [
                format!("{en} a {} {}.", color.en, toy.en),
                format!("{zh}一{}{}的{}。", toy.measure, color.zh, toy.zh),
            ]
        }
        2 => {
            let (animal, [en, zh], place) =
                (draw.pick(ANIMALS), draw.pick(&VERBS), draw.pick(PLACES));
            [
                format!("The {} {en} {}.", animal.en, place.en),
                format!("{}在{}{zh}。", animal.zh, place.zh),
            ]
        }
        3 => {
            let (n, animal, place) = (draw.between(2, 9), draw.pick(ANIMALS), draw.pick(PLACES));
            [
                format!("There are {} {} {}.", ENGLISH[n], animal.plural, place.en),
                format!(
                    "{}有{}{}{}。",
                    place.zh,
                    count_word(n),
                    animal.measure,
                    animal.zh
                ),
            ]
        }
        _ => {
            let ([en, zh], n, food) = (draw.pick(&PEOPLE), draw.between(2, 9), draw.pick(FOODS));
            [
                format!("{en} {} {}.", ENGLISH[n], food.plural),
                format!("{zh}{}{}{}。", count_word(n), food.measure, food.zh),
            ]
        }
    }
}

/// `英文：…` and `中文：…`, either first.
pub fn translation(draw: &mut Draw) -> Item {
    let [en, zh] = draw.unseen(TRAINING_SHARE, sentence, |pair| pair[0].clone());
    match draw.chance(1, 2) {
        true => Item::new(format!("英文：{en}\n中文："), zh),
        false => Item::new(format!("中文：{zh}\n英文："), en),
    }
}

/// Sentences or words in both languages.
pub fn translation_document(draw: &mut Draw) -> String {
    if draw.chance(2, 3) {
        let k = draw.between(1, 3);
        let items: Vec<_> = (0..k).map(|_| translation(draw).text()).collect();
        return items.join("\n");
    }
    let words: Vec<_> = dictionary().collect();
    let k = draw.between(4, 8);
    let chosen = draw.distinct(words.len(), k);
    let english_first = draw.chance(1, 2);
    let lines = chosen.into_iter().map(|i| match english_first {
        true => format!("{} = {}", words[i].en, words[i].zh),
        false => format!("{} = {}", words[i].zh, words[i].en),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A sum told as a tale: the equation decides the numbers.
pub fn tale_of_a_sum(draw: &mut Draw) -> String {
    let language = Language::draw(draw);
    let equation = super::puzzles::Equation::draw(draw);
    let (a, b, result) = (equation.a, equation.b, equation.result());
    let names = language.of(CHILDREN_EN, CHILDREN_ZH);
    let two = draw.distinct(names.len(), 2);
    let (&(name, gender), &(other, _)) = (&names[two[0]], &names[two[1]]);
    let food = draw.pick(FOODS);
    let s = |n: usize| format!("{n} {}", if n == 1 { food.en } else { food.plural });
    let (measure, zh) = (food.measure, food.zh);
    match (language, equation.plus) {
        (Language::English, true) => {
            let (him, he) = match gender {
                Gender::He => ("him", "he"),
                Gender::She => ("her", "she"),
            };
            format!(
                "{name} has {}. {other} gives {him} {b} more. Now {he} has {}.",
                s(a),
                s(result)
            )
        }
        (Language::English, false) => {
            let he = match gender {
                Gender::He => "he",
                Gender::She => "she",
            };
            format!(
                "{name} has {} and gives {other} {b}. Now {he} has {}.",
                s(a),
                s(result)
            )
        }
        (Language::Chinese, true) => format!(
            "{name}有{a}{measure}{zh}。{other}又给了{name}{b}{measure}。现在{name}有{result}{measure}{zh}。"
        ),
        (Language::Chinese, false) => format!(
            "{name}有{a}{measure}{zh}，给了{other}{b}{measure}。现在{name}有{result}{measure}{zh}。"
        ),
    }
}
