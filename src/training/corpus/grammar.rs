//! Stories as templates: choices, and slots that remember.
//!
//! * `[a|b|c]` is one of its alternatives, each as likely; they nest, and may be empty.
//! * `{rule}` is one of the sentences that the language has under that name, expanded in turn.
//! * `{=rule}` is such a sentence too, chosen where it is first named and the same ever after.
//! * `{toy}` is a word of a class of [`words`], drawn where it is first named and the same ever after; `{toy2}` is another one.
//!   English: `{a toy}`, `{A toy}` with its article, `{toy+}` in the plural. Chinese: `{a toy}` is 一只风筝, `{one toy}` 一只, `{of toy}` 只. `{to place}` is without *in*, *by*, 里.
//! * `{hero}`, `{friend}` are names, `{who}`, `{who2}` what they are, `{he}`, `{him}`, `{his}`, `{He}`, `{His}`, `{he2}` … their pronouns.

use super::{
    draw::Draw,
    words::{CHILDREN_EN, CHILDREN_ZH, Gender, Noun, PETS_EN, PETS_ZH, SPECIES, class},
};

/// Which language a text is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// Either, as likely.
    pub fn draw(draw: &mut Draw) -> Self {
        *draw.pick(&[Language::English, Language::Chinese])
    }

    /// `en` or `zh`.
    pub fn of<T>(self, en: T, zh: T) -> T {
        match self {
            Language::English => en,
            Language::Chinese => zh,
        }
    }

    fn rule(self, name: &str) -> Option<&'static [&'static str]> {
        let rules = self.of(super::english::RULES, super::chinese::RULES);
        rules.iter().find(|(rule, _)| *rule == name).map(|r| r.1)
    }
}

/// Somebody in a story.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// What they are called.
    pub name: &'static str,
    gender: Gender,
    /// A child, not an animal: their names tell.
    is_child: bool,
    /// What animal, once that was said.
    species: Option<&'static Noun>,
}

impl Person {
    fn draw(draw: &mut Draw, language: Language, others: &[Person]) -> Self {
        let is_child = draw.chance(1, 2);
        let names = match is_child {
            true => language.of(CHILDREN_EN, CHILDREN_ZH),
            false => language.of(PETS_EN, PETS_ZH),
        };
        let free: Vec<_> = names
            .iter()
            .filter(|(name, _)| others.iter().all(|other| other.name != *name))
            .collect();
        let &&(name, gender) = draw.pick(&free);
        Person {
            name,
            gender,
            is_child,
            species: None,
        }
    }

    fn pronoun(&self, language: Language, case: &str) -> &'static str {
        let forms = match (language, self.gender) {
            (Language::Chinese, _) if !self.is_child => ["它"; 5],
            (Language::Chinese, Gender::He) => ["他"; 5],
            (Language::Chinese, Gender::She) => ["她"; 5],
            (Language::English, Gender::He) => ["he", "him", "his", "He", "His"],
            (Language::English, Gender::She) => ["she", "her", "her", "She", "Her"],
        };
        match case {
            "he" => forms[0],
            "him" => forms[1],
            "his" => forms[2],
            "He" => forms[3],
            _ => forms[4],
        }
    }
}

/// What one story has settled so far.
pub struct Scene<'d> {
    /// Where its choices come from.
    pub draw: &'d mut Draw,
    /// Its language.
    pub language: Language,
    cast: Vec<Person>,
    things: Vec<(String, &'static Noun)>,
    said: Vec<(String, String)>,
}

impl<'d> Scene<'d> {
    /// Nothing is settled.
    pub fn new(draw: &'d mut Draw, language: Language) -> Self {
        Scene {
            draw,
            language,
            cast: Vec::new(),
            things: Vec::new(),
            said: Vec::new(),
        }
    }

    /// The text of a template.
    pub fn tell(&mut self, template: &str) -> String {
        let mut text = String::new();
        self.expand(template, &mut text);
        text
    }

    /// Person 0 is the hero, 1 the friend; drawn when first named.
    pub fn person(&mut self, index: usize) -> Person {
        while self.cast.len() <= index {
            let person = Person::draw(self.draw, self.language, &self.cast);
            self.cast.push(person);
        }
        self.cast[index]
    }

    /// Who has been named so far.
    pub fn cast(&self) -> &[Person] {
        &self.cast
    }

    /// Girl, boy or what animal person `index` is, as far as the story has said it.
    pub fn known_who(&self, index: usize) -> Option<&'static str> {
        let person = self.cast.get(index)?;
        match (person.is_child, person.gender) {
            (false, _) => person
                .species
                .map(|animal| self.language.of(animal.en, animal.zh)),
            (true, Gender::He) => Some(self.language.of("boy", "小男孩")),
            (true, Gender::She) => Some(self.language.of("girl", "小女孩")),
        }
    }

    /// The same, settled now where it was open.
    fn who(&mut self, index: usize) -> &'static str {
        self.person(index);
        if let Some(who) = self.known_who(index) {
            return who;
        }
        let animal = self.draw.pick(SPECIES);
        self.cast[index].species = Some(animal);
        self.language.of(animal.en, animal.zh)
    }

    /// The word of a slot such as `toy` or `toy2`, different from those of the class that are in use.
    pub fn thing(&mut self, slot: &str) -> Option<&'static Noun> {
        if let Some((_, noun)) = self.things.iter().find(|(name, _)| name == slot) {
            return Some(noun);
        }
        let class = class(slot.trim_end_matches(|c: char| c.is_ascii_digit()))?;
        let used = |noun: &Noun| self.things.iter().any(|(_, other)| other.en == noun.en);
        let free: Vec<&'static Noun> = class.iter().filter(|noun| !used(noun)).collect();
        let noun = *self.draw.pick(&free);
        self.things.push((slot.to_owned(), noun));
        Some(noun)
    }

    fn expand(&mut self, template: &str, text: &mut String) {
        let mut rest = template;
        while let Some(at) = rest.find(['[', '{']) {
            text.push_str(&rest[..at]);
            let (inside, after) = enclosed(&rest[at..]);
            if rest[at..].starts_with('[') {
                let options = alternatives(inside);
                let option = *self.draw.pick(&options);
                self.expand(option, text);
            } else {
                self.slot(inside, text);
            }
            rest = after;
        }
        text.push_str(rest);
    }

    fn remembered(&mut self, rule: &str) -> String {
        if let Some((_, said)) = self.said.iter().find(|(name, _)| name == rule) {
            return said.clone();
        }
        let mut said = String::new();
        self.slot(rule, &mut said);
        self.said.push((rule.to_owned(), said.clone()));
        said
    }

    fn slot(&mut self, slot: &str, text: &mut String) {
        let language = self.language;
        if let Some(rule) = slot.strip_prefix('=') {
            text.push_str(&self.remembered(rule));
            return;
        }
        if let Some(rule) = language.rule(slot) {
            let template = *self.draw.pick(rule);
            return self.expand(template, text);
        }
        let (form, name) = match slot.split_once(' ') {
            Some((form, name)) => (form, name),
            None => ("", slot),
        };
        let (base, index) = match name.strip_suffix('2') {
            Some(base) => (base, 1),
            None => (name, 0),
        };
        match base {
            "hero" => text.push_str(self.person(0).name),
            "friend" => text.push_str(self.person(1).name),
            "he" | "him" | "his" | "He" | "His" => {
                text.push_str(self.person(index).pronoun(language, base));
            }
            "who" => {
                let who = self.who(index);
                let measure = if self.cast[index].is_child {
                    "个"
                } else {
                    "只"
                };
                match (form, language) {
                    ("one", _) => text.extend(["一", measure]),
                    ("a", Language::Chinese) => text.extend(["一", measure, who]),
                    // No species here begins with a vowel.
                    ("a", Language::English) => text.extend(["a ", who]),
                    _ => text.push_str(who),
                }
            }
            _ => {
                let (name, plural) = match name.strip_suffix('+') {
                    Some(name) => (name, true),
                    None => (name, false),
                };
                let noun = self
                    .thing(name)
                    .unwrap_or_else(|| panic!("{{{slot}}} is no slot, class or rule"));
                match (form, language) {
                    ("a", Language::English) => text.push_str(&noun.with_article()),
                    ("a", Language::Chinese) => text.extend(["一", noun.measure, noun.zh]),
                    ("A", _) => {
                        let article = noun.with_article();
                        text.extend(article.chars().take(1).map(|c| c.to_ascii_uppercase()));
                        text.push_str(&article[1..]);
                    }
                    ("one", _) => text.extend(["一", noun.measure]),
                    ("to", _) => text.push_str(language.of(noun.plural, noun.measure)),
                    ("of", _) => text.push_str(noun.measure),
                    _ if plural => text.push_str(language.of(noun.plural, noun.zh)),
                    _ => text.push_str(language.of(noun.en, noun.zh)),
                }
            }
        }
    }
}

/// What stands between the bracket that `text` begins with and its partner, and what follows.
fn enclosed(text: &str) -> (&str, &str) {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (&text[1..at], &text[at + 1..]);
        }
    }
    panic!("a bracket is not closed in {text:?}")
}

/// The parts between the bars that are in no inner bracket.
fn alternatives(text: &str) -> Vec<&str> {
    let mut depth = 0;
    text.split(|c: char| {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            _ => {}
        }
        c == '|' && depth == 0
    })
    .collect()
}
