//! Formulas, drawn when the book is built: KaTeX in a JavaScript engine of its own, so that pages show them without scripts.

use anyhow::{Context as _, Result, anyhow};
use pulldown_cmark::{Event, Options, Parser};
use rquickjs::{CatchResultExt, Context, Function, Object, Runtime};

/// The options with which mdBook reads Markdown, and formulas between dollars.
pub fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_MATH
}

/// KaTeX, loaded once.
pub struct Katex(Context);

impl Katex {
    /// Loads the KaTeX that the documentation of the library uses.
    pub fn new() -> Result<Self> {
        let file = crate::repository().join("docs/rustdoc/katex/katex.min.js");
        let script = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let context = Context::full(&Runtime::new()?)?;
        context.with(|js| {
            js.eval::<(), _>(script)
                .catch(&js)
                .map_err(|error| anyhow!("{}: {error}", file.display()))
        })?;
        Ok(Self(context))
    }

    /// HTML and MathML of a formula.
    pub fn draw(&self, tex: &str, display: bool) -> Result<String> {
        self.0.with(|js| {
            let katex: Object = js.globals().get("katex")?;
            let draw: Function = katex.get("renderToString")?;
            let options = Object::new(js.clone())?;
            options.set("displayMode", display)?;
            options.set("throwOnError", true)?;
            options.set("strict", "error")?;
            draw.call((tex, options))
                .catch(&js)
                .map_err(|error| anyhow!("the formula `{tex}`: {error}"))
        })
    }

    /// Draws every formula of a Markdown text; what stands in code stays.
    pub fn draw_all(&self, markdown: &str) -> Result<String> {
        let mut drawn = String::with_capacity(markdown.len());
        let mut done = 0;
        for (event, range) in Parser::new_ext(markdown, options()).into_offset_iter() {
            let (tex, display) = match &event {
                Event::InlineMath(tex) => (tex, false),
                Event::DisplayMath(tex) => (tex, true),
                _ => continue,
            };
            drawn += &markdown[done..range.start];
            let formula = protected(&self.draw(tex, display)?);
            let rest = &markdown[range.end..];
            let mark = &rest[..rest.len() - rest.trim_start_matches(MARKS).len()];
            drawn += &match mark {
                "" => formula,
                _ if display => formula,
                _ => held(&formula, mark),
            };
            done = range.end + if display { 0 } else { mark.len() };
        }
        Ok(drawn + &markdown[done..])
    }
}

/// What may not begin a line.
const MARKS: &[char] = &[
    '.', ',', ';', ':', '!', '?', ')', '’', '”', '。', '，', '、', '；', '：', '！', '？', '）',
    '」',
];

/// A formula that keeps the marks behind it on its line, and breaks where it did by itself: between its parts.
fn held(formula: &str, marks: &str) -> String {
    const PART: &str = "<span class=\"base\">";
    let parts: Vec<&str> = formula.split(PART).collect();
    let (first, others) = parts
        .split_first()
        .expect("splitting leaves one part at least");
    let broken = others.join(&format!("<wbr>{PART}"));
    let begin = if others.is_empty() { "" } else { PART };
    format!("<span class=\"held\">{first}{begin}{broken}{marks}</span>")
}

/// HTML that Markdown leaves alone: the signs that it would read are written as character references.
fn protected(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    for c in html.chars() {
        match c {
            '_' | '*' | '\\' | '`' | '[' | ']' | '~' | '|' | '!' | '$' | '{' | '}' => {
                text += &format!("&#{};", c as u32)
            }
            '\n' => text.push(' '),
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_drawn_and_code_is_not() {
        let katex = Katex::new().unwrap();
        let page = katex.draw_all("Of $x_1 * y_2$ the code is `$x$`.\n\n$$ \\frac{1}{2} $$\n\n```sh\necho $HOME $USER\n```\n").unwrap();
        assert_eq!(page.matches("class=\"katex\"").count(), 2, "{page}");
        assert!(page.contains("`$x$`") && page.contains("echo $HOME $USER"));
        assert!(!page.contains("x_1"), "Markdown would read the underscore");
    }

    /// Catches: a comma that begins a line; a long formula that no longer breaks.
    #[test]
    fn a_mark_stays_with_its_formula() {
        let katex = Katex::new().unwrap();
        let page = katex
            .draw_all("If $x = y + z$, then $x$。 And $y$ too.")
            .unwrap();
        assert_eq!(page.matches("class=\"held\"").count(), 2, "{page}");
        assert_eq!(
            page.matches("<wbr><span class=\"base\">").count(),
            2,
            "{page}"
        );
        let (_, after) = page.split_once("</span>,</span> then").unwrap();
        assert!(after.contains("</span>。</span> And"), "{page}");
        assert!(page.ends_with("</span> too."));
    }

    /// Catches: a misspelt command, which KaTeX by itself draws in red.
    #[test]
    fn a_formula_that_cannot_be_drawn_is_an_error() {
        let error = Katex::new()
            .unwrap()
            .draw_all("$\\nosuchthing$")
            .unwrap_err()
            .to_string();
        assert!(error.contains("nosuchthing"), "{error}");
    }
}
