//! Texts whose end follows from their beginning: what attention has to find.

use super::{
    draw::{Draw, TRAINING_SHARE, held_out},
    grammar::Language,
    words::{ANIMALS, FOODS, FRUITS, NATURE, TOYS},
};
use std::sync::LazyLock;

/// A text cut where its rest is determined.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Item {
    /// What is given.
    pub prompt: String,
    /// What must follow.
    pub answer: String,
    /// How likely a guess among what is at hand is right: one of the names in the text, or one of a hundred numbers; 0 where that is too much to count.
    pub chance: f64,
}

impl Item {
    pub(super) fn new(prompt: impl Into<String>, answer: impl Into<String>) -> Self {
        Item {
            prompt: prompt.into(),
            answer: answer.into(),
            chance: 0.0,
        }
    }

    pub(super) fn chance(self, chance: f64) -> Self {
        Item { chance, ..self }
    }

    /// Both together, as they stand in a document.
    pub fn text(&self) -> String {
        [self.prompt.as_str(), &self.answer].concat()
    }
}

// --- arithmetic

/// A sum or a difference of two numbers, all three of `0..=99`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Equation {
    /// The first number.
    pub a: usize,
    /// The second.
    pub b: usize,
    /// Whether they are added.
    pub plus: bool,
}

impl Equation {
    /// An equation of the draw's split; small numbers are more frequent. `12+7` and `7+12` are of the same one.
    pub fn draw(draw: &mut Draw) -> Self {
        static SHARE: LazyLock<f64> = LazyLock::new(|| {
            let of_bound = |bound: usize| {
                let seen = (0..=bound).flat_map(|b| [(bound - b, b, true), (bound, b, false)]);
                let seen = seen.filter(|&(a, b, plus)| !held_out(&Equation { a, b, plus }.key()));
                seen.count() as f64 / (2 * (bound + 1)) as f64
            };
            (0..100).map(of_bound).sum::<f64>() / 100.0
        });
        let any = |draw: &mut Draw| {
            let bound = draw.below(100);
            let b = draw.below(bound + 1);
            match draw.chance(1, 2) {
                true => Equation {
                    a: bound - b,
                    b,
                    plus: true,
                },
                false => Equation {
                    a: bound,
                    b,
                    plus: false,
                },
            }
        };
        draw.unseen(*SHARE, any, Equation::key)
    }

    fn key(&self) -> String {
        let (a, b) = (self.a, self.b);
        match self.plus {
            true => format!("{}+{}", a.min(b), a.max(b)),
            false => format!("{a}-{b}"),
        }
    }

    /// `12+7`.
    pub fn question(&self) -> String {
        format!("{}{}{}", self.a, if self.plus { '+' } else { '-' }, self.b)
    }

    /// What it comes to.
    pub fn result(&self) -> usize {
        if self.plus {
            self.a + self.b
        } else {
            self.a - self.b
        }
    }
}

/// `12+7=19`, with the end of the line, so that `1` is no answer.
pub fn arithmetic(draw: &mut Draw) -> Item {
    let equation = Equation::draw(draw);
    Item::new(
        format!("{}=", equation.question()),
        format!("{}\n", equation.result()),
    )
    .chance(0.01)
}

// --- counting

/// Numbers of a counting.
const COUNTED: usize = 8;

/// `3, 5, 7, …` or 三、五、七……, by ones, twos, threes, fives and tens, up and down.
pub fn counting(draw: &mut Draw) -> Item {
    const STEPS: [isize; 8] = [1, 2, 3, 5, 10, -1, -2, -5];
    let starts = |step: isize| 100 - (COUNTED - 1) * step.unsigned_abs();
    let key = |&(low, step): &(usize, isize)| format!("{low} by {step}");
    static SHARE: LazyLock<f64> = LazyLock::new(|| {
        let share = |step: &isize| {
            let n = 100 - (COUNTED - 1) * step.unsigned_abs();
            (0..n)
                .filter(|low| !held_out(&format!("{low} by {step}")))
                .count() as f64
                / n as f64
        };
        STEPS.iter().map(share).sum::<f64>() / STEPS.len() as f64
    });
    let language = Language::draw(draw);
    let any = |draw: &mut Draw| {
        let step = *draw.pick(&STEPS);
        (draw.below(starts(step)), step)
    };
    let (low, step) = draw.unseen(*SHARE, any, key);
    let mut numbers: Vec<usize> = (0..COUNTED)
        .map(|i| low + i * step.unsigned_abs())
        .collect();
    if step < 0 {
        numbers.reverse();
    }
    let written = |numbers: &[usize]| {
        let words = numbers.iter().map(|&n| match language {
            Language::English => n.to_string(),
            Language::Chinese => numeral(n),
        });
        words.collect::<Vec<_>>().join(language.of(", ", "、"))
    };
    let (given, rest) = numbers.split_at(COUNTED / 2);
    match language {
        Language::English => Item::new(
            format!("Count: {},", written(given)),
            format!(" {}.", written(rest)),
        ),
        Language::Chinese => Item::new(
            format!("数数：{}、", written(given)),
            format!("{}。", written(rest)),
        ),
    }
}

/// The Chinese numeral of a number below 100.
pub fn numeral(n: usize) -> String {
    const DIGITS: [&str; 10] = ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九"];
    let (tens, ones) = (n / 10 % 10, n % 10);
    match (tens, ones) {
        (0, _) => DIGITS[ones].into(),
        (_, _) => {
            let tens = if tens == 1 { "" } else { DIGITS[tens] };
            let ones = if ones == 0 { "" } else { DIGITS[ones] };
            format!("{tens}十{ones}")
        }
    }
}

// --- lists

/// `Sort: 31 4 15 => 4 15 31`.
pub fn sorting(draw: &mut Draw) -> Item {
    let language = Language::draw(draw);
    let any = |draw: &mut Draw| {
        let k = draw.between(3, 5);
        draw.distinct(100, k)
    };
    let sorted = |numbers: &Vec<usize>| {
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        sorted
    };
    let numbers = draw.unseen(TRAINING_SHARE, any, |numbers| {
        format!("{:?}", sorted(numbers))
    });
    let written = |numbers: &[usize]| {
        let words: Vec<String> = numbers.iter().map(usize::to_string).collect();
        words.join(language.of(" ", "、"))
    };
    Item::new(
        format!(
            "{}{} =>",
            language.of("Sort: ", "从小到大："),
            written(&numbers)
        ),
        format!(" {}\n", written(&sorted(&numbers))),
    )
    .chance(1.0 / (1..=numbers.len()).product::<usize>() as f64)
}

// --- brackets

/// The pairs.
pub const PAIRS: [(char, char); 4] = [('(', ')'), ('[', ']'), ('{', '}'), ('《', '》')];

/// Brackets open at a time, at most.
const DEPTH: usize = 6;

/// `( [ { } ( => ) ] )`: some brackets, and after the arrow those that close what is open.
///
/// Every bracket stands alone, so that it is a token of its own.
pub fn brackets(draw: &mut Draw) -> Item {
    let any = |draw: &mut Draw| {
        let steps = draw.between(2, 14);
        let (mut given, mut open) = (Vec::new(), Vec::new());
        for step in 1..=steps {
            let last = step == steps;
            let may_close = open.len() > usize::from(last);
            let may_open = open.len() < DEPTH;
            if may_open && (!may_close || draw.chance(3, 5)) {
                let (left, right) = *draw.pick(&PAIRS);
                given.push(left);
                open.push(right);
            } else {
                given.extend(open.pop());
            }
        }
        (given, open)
    };
    let (given, open) = draw.unseen(TRAINING_SHARE, any, |(given, _)| given.iter().collect());
    let spaced = |brackets: &mut dyn Iterator<Item = &char>| {
        brackets
            .map(|bracket| format!("{bracket} "))
            .collect::<String>()
    };
    let answer = spaced(&mut open.iter().rev());
    Item::new(
        format!("{}=>", spaced(&mut given.iter())),
        format!(" {}\n", answer.trim_end()),
    )
    .chance((PAIRS.len() as f64).powi(-(open.len() as i32)))
}

// --- induction

/// Something random, a bar, and the same again: `xq7 mb2 lf9 | xq7 mb2 lf9`. Or pairs, and then the other half of one of them.
///
/// `copies` is how often it stands there in all. The answer begins after a few words of the last copy, and is the next word.
pub fn induction(draw: &mut Draw, copies: usize) -> Item {
    if draw.chance(1, 4) {
        return pairs(draw).0;
    }
    copied(draw, copies)
}

/// Something random and its copies, cut in the last of them.
fn copied(draw: &mut Draw, copies: usize) -> Item {
    let words = sequence(draw, 4, 12);
    let known = draw.between(1, words.len() - 1);
    let copy = format!("{} | ", words.join(" "));
    Item::new(
        format!("{}{}", copy.repeat(copies - 1), words[..known].join(" ")),
        format!(" {}", words[known]),
    )
    .chance(1.0 / words.len() as f64)
}

/// Between `low` and `high` words, all different, of one sort.
fn sequence(draw: &mut Draw, low: usize, high: usize) -> Vec<String> {
    let any = |draw: &mut Draw| {
        let k = draw.between(low, high);
        match draw.weighted(&[1, 2, 2]) {
            0 => (0..k).map(|_| random_word(draw)).collect(),
            1 => some_nouns(draw, k, Language::English),
            _ => some_nouns(draw, k, Language::Chinese),
        }
    };
    let different = |draw: &mut Draw| {
        loop {
            let before = draw.bits;
            let words: Vec<String> = any(draw);
            let repeats = (1..words.len()).any(|i| words[..i].contains(&words[i]));
            if !repeats {
                return words;
            }
            draw.bits = before;
        }
    };
    draw.unseen(TRAINING_SHARE, different, |words| words.join(" "))
}

/// An [`induction`] with the rest of its last copy, or with more of its pairs; and short ones with many copies, without which a small model does
/// not find out that there is something to look for.
pub fn induction_document(draw: &mut Draw) -> String {
    let (words, copies) = match draw.weighted(&[1, 1, 1]) {
        0 => {
            const ASKED: usize = 12;
            let (item, pairs) = pairs(draw);
            let more = draw.below(ASKED);
            let more = (0..more).map(|_| format!(" {}", draw.pick(&pairs)));
            return item.text() + &more.collect::<String>();
        }
        1 => (sequence(draw, 4, 12), draw.between(2, 3)),
        _ => {
            const WORDS: usize = 40;
            let words = sequence(draw, 2, 8);
            let copies = draw.between(2, WORDS / words.len());
            (words, copies)
        }
    };
    vec![words.join(" "); copies].join(" | ")
}

fn random_word(draw: &mut Draw) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..3).map(|_| char::from(*draw.pick(LETTERS))).collect()
}

/// The words, beside random ones, that sequences and their copies are made of, in both languages.
pub fn copied_words() -> Vec<&'static str> {
    let nouns = all(&[ANIMALS, TOYS, NATURE, FRUITS]);
    nouns
        .into_iter()
        .flat_map(|noun| [noun.en, noun.zh])
        .collect()
}

fn some_nouns(draw: &mut Draw, k: usize, language: Language) -> Vec<String> {
    let nouns = all(&[ANIMALS, TOYS, NATURE, FRUITS]);
    let chosen = draw.distinct(nouns.len(), k);
    chosen
        .into_iter()
        .map(|i| language.of(nouns[i].en, nouns[i].zh).to_owned())
        .collect()
}

fn all<'t, T>(parts: &[&'t [T]]) -> Vec<&'t T> {
    parts.iter().flat_map(|part| part.iter()).collect()
}

/// `cat: 31; dog: 7; dog: 7;` or `cat moon; dog tree; dog tree;`: pairs, and one of them again. The pairs beside it.
fn pairs(draw: &mut Draw) -> (Item, Vec<String>) {
    let language = Language::draw(draw);
    let any = |draw: &mut Draw| {
        let k = draw.between(3, 6);
        if draw.chance(1, 2) {
            let keys = some_nouns(draw, k, language).into_iter();
            keys.map(|key| (format!("{key}:"), format!(" {};", draw.below(100))))
                .collect()
        } else {
            let nouns = some_nouns(draw, 2 * k, language);
            let pairs = nouns.chunks(2);
            pairs
                .map(|pair| (pair[0].clone(), format!(" {};", pair[1])))
                .collect::<Vec<_>>()
        }
    };
    let written = |pairs: &Vec<(String, String)>| -> Vec<String> {
        pairs
            .iter()
            .map(|(key, value)| [key.as_str(), value].concat())
            .collect()
    };
    let pairs = draw.unseen(TRAINING_SHARE, any, |pairs| written(pairs).join(" "));
    let (key, value) = draw.pick(&pairs).clone();
    let given = written(&pairs);
    let item = Item::new(format!("{} {key}", given.join(" ")), value);
    (item.chance(1.0 / given.len() as f64), given)
}

/// Lists of daily life.
pub fn list(draw: &mut Draw) -> String {
    let language = Language::draw(draw);
    const DAYS: [(&str, &str); 7] = [
        ("Monday", "星期一"),
        ("Tuesday", "星期二"),
        ("Wednesday", "星期三"),
        ("Thursday", "星期四"),
        ("Friday", "星期五"),
        ("Saturday", "星期六"),
        ("Sunday", "星期日"),
    ];
    match draw.weighted(&[1, 1, 2]) {
        0 => {
            let start = draw.below(DAYS.len());
            let days = (0..DAYS.len()).map(|i| DAYS[(start + i) % DAYS.len()]);
            let days: Vec<_> = days.map(|(en, zh)| language.of(en, zh)).collect();
            language.of(days.join(", ") + ".", days.join("、") + "。")
        }
        1 => {
            let k = draw.between(3, 6);
            let things = all(&[FOODS, TOYS]);
            let chosen = draw.distinct(things.len(), k);
            let mut text = language.of("Shopping list:", "要买的东西：").to_owned();
            for i in chosen {
                let (n, noun) = (draw.between(1, 9), things[i]);
                text += &match language {
                    Language::English if n == 1 => format!("\n- {}", noun.with_article()),
                    Language::English => format!("\n- {} {}", ENGLISH[n], noun.plural),
                    Language::Chinese => {
                        format!("\n- {}{}{}", count_word(n), noun.measure, noun.zh)
                    }
                };
            }
            text
        }
        _ => {
            let lines = draw.between(3, 5);
            (0..lines).map(|_| sorting(draw).text()).collect()
        }
    }
}

/// English numerals below ten.
pub const ENGLISH: [&str; 10] = [
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
];

/// A Chinese number before a measure word: 两 for two.
pub fn count_word(n: usize) -> String {
    if n == 2 { "两".into() } else { numeral(n) }
}
