//! The words of the corpus, in both languages: what a thing is called, counted with, and rhymed to no one.

/// A noun (or a colour) in both languages.
#[derive(Debug)]
pub struct Noun {
    /// English, singular.
    pub en: &'static str,
    /// English, plural.
    pub plural: &'static str,
    /// Chinese.
    pub zh: &'static str,
    /// The Chinese measure word it is counted with.
    pub measure: &'static str,
}

impl Noun {
    /// The noun with its indefinite article: by the first letter, which for the words here is by the first sound too.
    pub fn with_article(&self) -> String {
        let article = if self.en.starts_with(['a', 'e', 'i', 'o', 'u']) {
            "an"
        } else {
            "a"
        };
        format!("{article} {}", self.en)
    }
}

const fn noun(
    en: &'static str,
    plural: &'static str,
    zh: &'static str,
    measure: &'static str,
) -> Noun {
    Noun {
        en,
        plural,
        zh,
        measure,
    }
}

/// Things one can have, lose and find.
pub const TOYS: &[Noun] = &[
    noun("kite", "kites", "风筝", "只"),
    noun("ball", "balls", "球", "个"),
    noun("book", "books", "书", "本"),
    noun("hat", "hats", "帽子", "顶"),
    noun("cup", "cups", "杯子", "个"),
    noun("umbrella", "umbrellas", "雨伞", "把"),
    noun("key", "keys", "钥匙", "把"),
    noun("basket", "baskets", "篮子", "个"),
    noun("pen", "pens", "笔", "支"),
    noun("box", "boxes", "盒子", "个"),
    noun("boat", "boats", "小船", "条"),
    noun("bag", "bags", "书包", "个"),
];

/// Fruit of trees.
pub const FRUITS: &[Noun] = &[
    noun("apple", "apples", "苹果", "个"),
    noun("orange", "oranges", "橙子", "个"),
    noun("pear", "pears", "梨", "个"),
    noun("peach", "peaches", "桃子", "个"),
];

/// What one can eat, by the piece.
pub const FOODS: &[Noun] = &[
    noun("apple", "apples", "苹果", "个"),
    noun("orange", "oranges", "橙子", "个"),
    noun("pear", "pears", "梨", "个"),
    noun("peach", "peaches", "桃子", "个"),
    noun("egg", "eggs", "鸡蛋", "个"),
    noun("cake", "cakes", "蛋糕", "块"),
    noun("banana", "bananas", "香蕉", "根"),
    noun("bun", "buns", "包子", "个"),
];

/// Animals.
pub const ANIMALS: &[Noun] = &[
    noun("cat", "cats", "猫", "只"),
    noun("dog", "dogs", "狗", "只"),
    noun("rabbit", "rabbits", "兔子", "只"),
    noun("bird", "birds", "鸟", "只"),
    noun("fish", "fish", "鱼", "条"),
    noun("bear", "bears", "熊", "只"),
    noun("duck", "ducks", "鸭子", "只"),
    noun("monkey", "monkeys", "猴子", "只"),
    noun("horse", "horses", "马", "匹"),
    noun("cow", "cows", "牛", "头"),
    noun("sheep", "sheep", "羊", "只"),
    noun("elephant", "elephants", "大象", "头"),
];

/// Other nouns of the word list.
pub const NATURE: &[Noun] = &[
    noun("sun", "suns", "太阳", "个"),
    noun("moon", "moons", "月亮", "个"),
    noun("star", "stars", "星星", "颗"),
    noun("tree", "trees", "树", "棵"),
    noun("flower", "flowers", "花", "朵"),
    noun("cloud", "clouds", "云", "朵"),
    noun("stone", "stones", "石头", "块"),
    noun("mountain", "mountains", "山", "座"),
    noun("river", "rivers", "河", "条"),
    noun("sea", "seas", "大海", "片"),
    noun("house", "houses", "房子", "座"),
    noun("door", "doors", "门", "扇"),
];

/// Colours. None begins with a vowel.
pub const COLORS: &[Noun] = &[
    noun("red", "red", "红色", ""),
    noun("blue", "blue", "蓝色", ""),
    noun("green", "green", "绿色", ""),
    noun("yellow", "yellow", "黄色", ""),
    noun("white", "white", "白色", ""),
    noun("black", "black", "黑色", ""),
];

/// What one can make of paper.
pub const CRAFTS: &[Noun] = &[
    noun("kite", "kites", "风筝", "只"),
    noun("boat", "boats", "小船", "条"),
    noun("hat", "hats", "帽子", "顶"),
    noun("box", "boxes", "盒子", "个"),
    noun("book", "books", "书", "本"),
    noun("flower", "flowers", "花", "朵"),
];

/// How many of [`PLACES`] one goes to in a story.
const OUTINGS: usize = 8;

/// Where one can be. English with its preposition, in `plural` without it; Chinese in the locative, in `measure` without it.
pub const PLACES: &[Noun] = &[
    noun("in the garden", "the garden", "花园里", "花园"),
    noun("in the forest", "the forest", "森林里", "森林"),
    noun("by the river", "the river", "河边", "河边"),
    noun("on the hill", "the hill", "山上", "山上"),
    noun("at school", "school", "学校里", "学校"),
    noun("by the lake", "the lake", "湖边", "湖边"),
    noun("in the park", "the park", "公园里", "公园"),
    noun("by the sea", "the sea", "海边", "海边"),
    noun("on the bridge", "the bridge", "桥上", "桥上"),
    noun("at home", "home", "家里", "家里"),
];

/// The class that a grammar's slot names.
pub fn class(name: &str) -> Option<&'static [Noun]> {
    Some(match name {
        "toy" => TOYS,
        "fruit" => FRUITS,
        "food" => FOODS,
        "animal" => ANIMALS,
        "nature" => NATURE,
        "color" => COLORS,
        "craft" => CRAFTS,
        "outing" => &PLACES[..OUTINGS],
        "place" => PLACES,
        _ => return None,
    })
}

/// He, she, or the Chinese pronoun of animals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gender {
    /// he, 他
    He,
    /// she, 她
    She,
}

use Gender::{He, She};

/// English names of children.
pub const CHILDREN_EN: &[(&str, Gender)] = &[
    ("Mia", She),
    ("Lily", She),
    ("Anna", She),
    ("Rose", She),
    ("Emma", She),
    ("Nora", She),
    ("Lucy", She),
    ("Ivy", She),
    ("Zoe", She),
    ("Ruby", She),
    ("Tom", He),
    ("Leo", He),
    ("Ben", He),
    ("Max", He),
    ("Sam", He),
    ("Finn", He),
    ("Jack", He),
    ("Noah", He),
    ("Hugo", He),
    ("Luke", He),
];

/// English names of animals.
pub const PETS_EN: &[(&str, Gender)] = &[
    ("Pip", He),
    ("Coco", She),
    ("Momo", She),
    ("Bobo", He),
    ("Kiki", She),
    ("Toto", He),
    ("Lulu", She),
    ("Dudu", He),
];

/// Chinese names of children.
pub const CHILDREN_ZH: &[(&str, Gender)] = &[
    ("小红", She),
    ("小雨", She),
    ("小月", She),
    ("小兰", She),
    ("小雪", She),
    ("小云", She),
    ("小美", She),
    ("小花", She),
    ("小明", He),
    ("小山", He),
    ("小海", He),
    ("小龙", He),
    ("小林", He),
    ("小东", He),
    ("小石", He),
    ("小天", He),
];

/// Chinese names of animals, by which one cannot tell he from she.
pub const PETS_ZH: &[(&str, Gender)] = &[
    ("豆豆", He),
    ("乐乐", She),
    ("毛毛", He),
    ("球球", He),
    ("圆圆", She),
    ("米米", She),
    ("朵朵", She),
    ("亮亮", He),
];

/// Animals that are somebody in a story.
pub const SPECIES: &[Noun] = &[
    noun("cat", "cats", "小猫", "只"),
    noun("dog", "dogs", "小狗", "只"),
    noun("rabbit", "rabbits", "小兔子", "只"),
    noun("bird", "birds", "小鸟", "只"),
    noun("bear", "bears", "小熊", "只"),
    noun("duck", "ducks", "小鸭子", "只"),
    noun("monkey", "monkeys", "小猴子", "只"),
    noun("sheep", "sheep", "小羊", "只"),
    noun("frog", "frogs", "小青蛙", "只"),
    noun("mouse", "mice", "小老鼠", "只"),
];
