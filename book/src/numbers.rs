//! The numbers of a worked example: computed by the library, named, and rounded for the page.

use ndarray::{ArrayView1, ArrayView2};
use std::{collections::BTreeMap, fmt::Display};

/// What a chapter calls by name, `{{= name}}`.
#[derive(Debug, Default)]
pub struct Numbers(BTreeMap<String, String>);

impl Numbers {
    /// Something as it prints itself.
    pub fn text(&mut self, name: &str, value: impl Display) {
        let before = self.0.insert(name.to_owned(), value.to_string());
        assert!(before.is_none(), "two numbers are named {name}");
    }

    /// A number, to so many decimals.
    pub fn number(&mut self, name: &str, value: f64, decimals: usize) {
        self.text(name, rounded(value, decimals));
    }

    /// A row of numbers as TeX: (a, b, c).
    pub fn vector(&mut self, name: &str, values: ArrayView1<f64>, decimals: usize) {
        let values: Vec<String> = values.iter().map(|&x| rounded(x, decimals)).collect();
        self.text(name, format!("({})", values.join(",\\; ")));
    }

    /// A matrix as TeX, in parentheses.
    pub fn matrix(&mut self, name: &str, values: ArrayView2<f64>, decimals: usize) {
        let rows: Vec<String> = values
            .rows()
            .into_iter()
            .map(|row| {
                row.iter()
                    .map(|&x| rounded(x, decimals))
                    .collect::<Vec<_>>()
                    .join(" & ")
            })
            .collect();
        self.text(
            name,
            format!("\\begin{{pmatrix}}{}\\end{{pmatrix}}", rows.join(" \\\\ ")),
        );
    }

    /// A Markdown table; stands on lines of its own.
    pub fn table(&mut self, name: &str, head: &[&str], rows: &[Vec<String>]) {
        let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
        let cell = |text: &str| text.replace('|', "\\|");
        let mut lines = vec![
            line(head.iter().map(|&text| cell(text)).collect()),
            line(head.iter().map(|_| "---".to_owned()).collect()),
        ];
        lines.extend(
            rows.iter()
                .map(|row| line(row.iter().map(|text| cell(text)).collect())),
        );
        self.text(name, lines.join("\n"));
    }

    /// What `name` stands for.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// A number to so many decimals, without a minus before zero; infinities and NaN as TeX.
pub fn rounded(value: f64, decimals: usize) -> String {
    if value.is_nan() {
        return "\\text{NaN}".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "\\infty" } else { "-\\infty" }.to_owned();
    }
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(zero) if zero.chars().all(|c| c == '0' || c == '.') => zero.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Catches: a minus before a zero, which a reader takes for a small negative number.
    #[test]
    fn numbers_are_rounded_for_the_eye() {
        assert_eq!(rounded(-0.0004, 3), "0.000");
        assert_eq!(rounded(-0.0006, 3), "-0.001");
        assert_eq!(rounded(f64::NEG_INFINITY, 3), "-\\infty");
    }

    #[test]
    fn a_matrix_is_tex_and_a_table_is_markdown() {
        let mut n = Numbers::default();
        n.matrix("m", array![[1.0, 2.0], [3.0, 4.5]].view(), 1);
        n.table("t", &["a", "b|c"], &[vec!["1".into(), "2".into()]]);
        assert_eq!(
            n.get("m"),
            Some("\\begin{pmatrix}1.0 & 2.0 \\\\ 3.0 & 4.5\\end{pmatrix}")
        );
        assert_eq!(n.get("t"), Some("| a | b\\|c |\n| --- | --- |\n| 1 | 2 |"));
    }
}
