//! What must hold of each kind of document.

use crate::training::corpus::{
    grammar::{Language, Scene},
    puzzles::{PAIRS, numeral},
    *,
};
use crate::training::skills::{Skill, probes};
use std::collections::{BTreeSet, HashMap};

fn texts(kind: Kind, n: usize) -> impl Iterator<Item = String> {
    Corpus::new(7)
        .only(kind)
        .take(n)
        .map(|document| document.text)
}

/// Catches: a slot without a class or rule; a bracket that is not closed; what is left of the notation; spaces where an alternative was empty;
/// an article that does not fit; marks of the other language.
#[test]
fn every_template_of_both_grammars_tells_clean_text() {
    for (language, rules) in [
        (Language::English, english::RULES),
        (Language::Chinese, chinese::RULES),
    ] {
        let templates = rules.iter().flat_map(|(_, templates)| *templates);
        for (i, template) in templates.enumerate() {
            for stream in 0..40 {
                let mut draw = Draw::new(i as u64, stream, Split::Train);
                let text = Scene::new(&mut draw, language).tell(template);
                let fail = |what: &str| panic!("{what}: {text:?} of {template:?}");
                if text.contains(['[', ']', '{', '}', '|', '\n']) {
                    fail("notation is left");
                }
                if text.contains("  ")
                    || text.contains(" .")
                    || text.contains(" ,")
                    || text.contains("..")
                {
                    fail("a space or mark too many");
                }
                if ["。。", "，，", "，。", "。，"]
                    .iter()
                    .any(|marks| text.contains(marks))
                {
                    fail("a mark too many");
                }
                if language == Language::Chinese && !text.chars().all(is_chinese) {
                    fail("not Chinese");
                }
                if language == Language::English && !text.is_ascii() {
                    fail("not English");
                }
                let words: Vec<&str> = text.split(|c: char| !c.is_alphabetic()).collect();
                for pair in words.windows(2) {
                    let vowel = pair[1].starts_with(['a', 'e', 'i', 'o', 'u']);
                    if matches!(pair[0], "a" | "A") && vowel
                        || matches!(pair[0], "an" | "An") && !vowel
                    {
                        fail("the wrong article");
                    }
                }
            }
        }
    }
}

fn is_chinese(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c) || "。，、：；！？“”".contains(c)
}

/// Catches: a quotation mark without its partner; a story that does not end; a friend with the hero's name.
#[test]
fn stories_are_whole() {
    for seed in 0..2 {
        for Document { text, .. } in Corpus::new(seed).only(Kind::Story).take(5_000) {
            let count = |mark| text.matches(mark).count();
            assert!(count('"') % 2 == 0, "{text}");
            assert_eq!(count('“'), count('”'), "{text}");
            assert!(text.ends_with(['.', '"', '。', '”']), "{text}");
            let same = CHILDREN
                .iter()
                .any(|name| text.contains(&format!("{name}和{name}")));
            assert!(!same, "{text}");
        }
    }
}

const CHILDREN: [&str; 4] = ["小红", "小明", "豆豆", "毛毛"];

/// Catches: words outside the short lists, which a small model could not learn.
#[test]
fn the_inventory_of_characters_is_small() {
    let documents = Corpus::new(1).take(60_000);
    let characters: BTreeSet<char> = documents
        .flat_map(|d| d.text.chars().collect::<Vec<_>>())
        .collect();
    let (han, other): (Vec<char>, Vec<char>) = characters
        .into_iter()
        .partition(|c| ('\u{4e00}'..='\u{9fff}').contains(c));
    assert!((300..=380).contains(&han.len()), "{}", han.len());
    let odd: Vec<_> = other
        .into_iter()
        .filter(|&c| {
            !(c.is_ascii_graphic() || c == ' ' || c == '\n' || is_chinese(c) || "《》".contains(c))
        })
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
}

/// Catches: a carry forgotten in the generator; a difference below zero; a number of three digits.
#[test]
fn sums_are_right() {
    let number = |text: &str| text.parse::<i32>().unwrap_or_else(|_| panic!("{text}"));
    let mut tales = 0;
    for text in texts(Kind::Arithmetic, 3_000) {
        if text.contains('=') {
            for line in text.lines() {
                let (sum, result) = line.split_once('=').unwrap();
                let right = match sum.split_once('+') {
                    Some((a, b)) => number(a) + number(b),
                    None => sum
                        .split_once('-')
                        .map(|(a, b)| number(a) - number(b))
                        .unwrap(),
                };
                assert_eq!(right, number(result), "{line}");
                assert!((0..100).contains(&right), "{line}");
            }
        } else {
            let numbers: Vec<i32> = text
                .split(|c: char| !c.is_ascii_digit())
                .filter(|n| !n.is_empty())
                .map(number)
                .collect();
            let [a, b, result] = numbers[..] else {
                panic!("{text}")
            };
            assert!(a + b == result || a - b == result, "{text}");
            assert_eq!(
                a + b == result,
                text.contains("more") || text.contains('又') || b == 0,
                "{text}"
            );
            tales += 1;
        }
    }
    assert!(tales > 500);
}

/// Catches: 二十零, 一十二, a step that changes on the way, a count that leaves `0..100`.
#[test]
fn countings_keep_their_step() {
    let value: HashMap<String, i32> = (0..100).map(|n| (numeral(n as usize), n)).collect();
    assert_eq!(value.len(), 100);
    for (n, written) in [
        (0, "零"),
        (10, "十"),
        (12, "十二"),
        (20, "二十"),
        (99, "九十九"),
    ] {
        assert_eq!(numeral(n), written);
    }
    for line in
        texts(Kind::Counting, 2_000).flat_map(|t| t.lines().map(str::to_owned).collect::<Vec<_>>())
    {
        let (_, numbers) = line.split_once([':', '：']).unwrap();
        let numbers: Vec<i32> = numbers
            .trim_end_matches(['.', '。'])
            .split([',', '、'])
            .map(|n| {
                value
                    .get(n.trim())
                    .copied()
                    .unwrap_or_else(|| n.trim().parse().unwrap())
            })
            .collect();
        let step = numbers[1] - numbers[0];
        assert!(
            step != 0 && numbers.windows(2).all(|n| n[1] - n[0] == step),
            "{line}"
        );
        assert!(
            numbers.iter().all(|n| (0..100).contains(n)) && numbers.len() == 8,
            "{line}"
        );
    }
}

/// Catches: a bracket closed by another's partner; one left open; an answer that opens.
#[test]
fn brackets_close_in_order() {
    for line in
        texts(Kind::Brackets, 2_000).flat_map(|t| t.lines().map(str::to_owned).collect::<Vec<_>>())
    {
        let (_, answer) = line.split_once("=> ").unwrap();
        assert!(
            !answer.is_empty()
                && answer
                    .chars()
                    .all(|c| c == ' ' || PAIRS.iter().any(|p| p.1 == c)),
            "{line}"
        );
        let mut open = Vec::new();
        for c in line.replace("=>", "").chars().filter(|c| *c != ' ') {
            match PAIRS.iter().find(|pair| pair.0 == c) {
                Some(pair) => open.push(pair.1),
                None => assert_eq!(open.pop(), Some(c), "{line}"),
            }
        }
        assert!(open.is_empty(), "{line}");
    }
}

/// Catches: a copy that differs; a word twice in a sequence, after which two words could follow; a key twice.
#[test]
fn random_strings_repeat() {
    for text in texts(Kind::Induction, 4_000) {
        let first: Vec<&str> = if text.contains(" | ") {
            let copies: Vec<&str> = text.split(" | ").collect();
            assert!(
                copies.len() > 1 && copies.iter().all(|copy| *copy == copies[0]),
                "{text}"
            );
            copies[0].split(' ').collect()
        } else {
            // The pairs, and then some of them again.
            let pairs: Vec<&str> = text.split_inclusive(';').map(str::trim).collect();
            let given: BTreeSet<&&str> = pairs.iter().collect();
            let (first, again) = pairs.split_at(given.len());
            assert!(
                first.iter().collect::<BTreeSet<_>>() == given && !again.is_empty(),
                "{text}"
            );
            let keys = first
                .iter()
                .map(|pair| pair.split([':', ' ']).next().unwrap());
            keys.collect()
        };
        assert_eq!(
            first.iter().collect::<BTreeSet<_>>().len(),
            first.len(),
            "{text}"
        );
    }
}

/// Catches: a probe that asks for what never follows in a training text, an end of line after the last of a document for example, and that no model can get right.
#[test]
fn what_a_probe_asks_for_ends_as_texts_do() {
    for (skill, kind) in [
        (Skill::Recall, Kind::Recall),
        (Skill::Induction, Kind::Induction),
        (Skill::Brackets, Kind::Brackets),
        (Skill::Arithmetic, Kind::Arithmetic),
        (Skill::Translation, Kind::Translation),
        (Skill::Quotation, Kind::Quotation),
        (Skill::Counting, Kind::Counting),
        (Skill::Sorting, Kind::List),
    ] {
        let ends: BTreeSet<Vec<char>> = texts(kind, 4_000)
            .flat_map(|text| {
                let text: Vec<char> = text.chars().collect();
                text.windows(2).map(<[char]>::to_vec).collect::<Vec<_>>()
            })
            .collect();
        for probe in probes(skill, 100, 1) {
            let answer: Vec<char> = probe.text().chars().collect();
            let end = &answer[answer.len() - 2..];
            assert!(ends.contains(end), "{skill}: {probe:?}");
        }
    }
}

/// Catches: lists out of order, or of other numbers than were given.
#[test]
fn sorted_lists_are_sorted() {
    for line in
        texts(Kind::List, 2_000).flat_map(|t| t.lines().map(str::to_owned).collect::<Vec<_>>())
    {
        if let Some((given, sorted)) = line.split_once(" => ") {
            let numbers = |text: &str| -> Vec<u32> {
                text.split(|c: char| !c.is_ascii_digit())
                    .filter_map(|n| n.parse().ok())
                    .collect()
            };
            let (mut given, sorted) = (numbers(given), numbers(sorted));
            given.sort_unstable();
            assert_eq!(given, sorted, "{line}");
        }
    }
}

/// Catches: a question that two facts answer, or none; an answer that is not in the text.
#[test]
fn what_is_asked_was_said_once() {
    let (mut names, mut stories) = (0, 0);
    for probe in probes(Skill::Recall, 2_000, 1) {
        let (facts, question) = probe.prompt.rsplit_once('\n').unwrap();
        let answer = probe.answer.trim_matches([' ', '.', '。']);
        if question.contains("name") || question.contains("名字") {
            stories += 1;
            let who = question.trim_end_matches("叫什么名字？");
            let who = who
                .trim_start_matches("What was the name of the ")
                .trim_end_matches('?');
            assert!(facts.contains(answer) && facts.contains(who), "{probe:?}");
        } else if question.starts_with("Who ") || question.starts_with('谁') {
            names += 1;
            assert_eq!(facts.matches(answer).count(), 1, "{probe:?}");
            let what = question.trim_start_matches("Who ").trim_start_matches('谁');
            let what = what
                .trim_end_matches(['?', '？'])
                .rsplit(' ')
                .next()
                .unwrap();
            let what = what
                .trim_start_matches(['有', '在'])
                .trim_start_matches("喜欢吃");
            let fact = facts
                .split(['.', '。'])
                .find(|fact| fact.contains(answer))
                .unwrap();
            // What is asked for stands behind what it is asked by.
            let after = fact.split_once(what).map(|(_, after)| after);
            assert!(
                after.is_some_and(|after| after.contains(answer)),
                "{probe:?}"
            );
        } else {
            let answer = answer.to_lowercase();
            assert_eq!(
                facts.to_lowercase().matches(&answer).count(),
                1,
                "{probe:?}"
            );
        }
    }
    assert!(names > 900 && stories > 300, "{names} {stories}");
}

/// Catches: the other one's words; words changed on the way.
#[test]
fn quotations_are_exact() {
    for probe in probes(Skill::Quotation, 1_000, 2) {
        let (said, question) = probe.prompt.split_once('\n').unwrap();
        let (name, answer) = match question.strip_prefix("What did ") {
            Some(rest) => (
                rest.split_once(' ').unwrap().0,
                probe.answer.trim().to_owned(),
            ),
            None => (
                question.split_once('说').unwrap().0,
                format!("“{}", probe.answer),
            ),
        };
        let quoted = [
            format!("{name} said, {answer}"),
            format!("{name}说：{answer}"),
        ];
        assert!(
            quoted.iter().any(|quoted| said.contains(quoted)),
            "{probe:?}"
        );
    }
}

/// Catches: two words of one language for one of the other, so that a translation is a guess.
#[test]
fn translations_are_one_to_one() {
    let (mut there, mut back) = (HashMap::new(), HashMap::new());
    let mut pair = |en: String, zh: String| {
        assert_eq!(there.entry(en.clone()).or_insert(zh.clone()), &zh, "{en}");
        assert_eq!(back.entry(zh.clone()).or_insert(en.clone()), &en, "{zh}");
    };
    for word in questions::dictionary() {
        pair(word.en.into(), word.zh.into());
    }
    let mut draw = Draw::new(0, 0, Split::Train);
    for _ in 0..30_000 {
        let [en, zh] = questions::sentence(&mut draw);
        pair(en, zh);
    }
    for text in texts(Kind::Translation, 500).filter(|text| text.contains(" = ")) {
        for line in text.lines() {
            let (a, b) = line.split_once(" = ").unwrap();
            let (en, zh) = if a.is_ascii() { (a, b) } else { (b, a) };
            assert!(
                questions::dictionary().any(|word| word.en == en && word.zh == zh),
                "{line}"
            );
        }
    }
}

/// Catches: a program whose braces do not match, or that uses a name it did not introduce.
#[test]
fn programs_are_closed() {
    for text in texts(Kind::Rust, 1_000) {
        for (left, right) in [('{', '}'), ('(', ')')] {
            assert_eq!(
                text.matches(left).count(),
                text.matches(right).count(),
                "{text}"
            );
        }
        if let Some((_, rest)) = text.split_once("println!(\"{") {
            let name = rest.split_once('}').unwrap().0;
            assert!(
                text.contains(&format!("for {name} in")) || text.contains(&format!("let {name} =")),
                "{text}"
            );
        }
    }
}

/// Catches: a name in the question that was not the one given; a round without its tokens.
#[test]
fn conversations_have_both_sides() {
    for text in texts(Kind::Chat, 3_000) {
        assert!(text.starts_with(USER), "{text}");
        assert_eq!(
            text.matches(USER).count(),
            text.matches(ASSISTANT).count(),
            "{text}"
        );
        if let Some((_, name)) = text.rsplit_once("Your name is ") {
            let name = name.trim_end_matches('.');
            assert!(
                text.starts_with(&format!("{USER}My name is {name}.")),
                "{text}"
            );
        }
    }
}
