//! Compares an answer with what is expected: rank, then shape, then values; and where they differ, tries what the
//! difference smells like.

use crate::{
    harness::{Finding, Problem, Suspicion, Wrong, say},
    show::{Entry, Show, nested, shortened},
};
use ndarray::{Array, ArrayD, Axis, Dimension, Slice};
use std::fmt::{Debug, Write};

/// An answer beside what is expected of it.
pub struct Comparison {
    what: String,
    got: ArrayD<f64>,
    expected: ArrayD<f64>,
    write: fn(f64) -> String,
    truth: bool,
    tolerance: f64,
    axes: Vec<String>,
    given: Vec<(String, String)>,
    smells: Vec<Smell>,
}

/// A mistake, and what it makes of the input.
struct Smell {
    text: String,
    makes: ArrayD<f64>,
}

/// Compares two arrays; `what` is their name in a message ("the weights").
pub fn compare<A: Entry, D: Dimension, E: Dimension>(
    what: impl Into<String>,
    got: &Array<A, D>,
    expected: &Array<A, E>,
) -> Comparison {
    Comparison {
        what: what.into(),
        got: got.mapv(Entry::number).into_dyn(),
        expected: expected.mapv(Entry::number).into_dyn(),
        write: A::write,
        truth: A::TRUTH,
        tolerance: 1e-9,
        axes: Vec::new(),
        given: Vec::new(),
        smells: Vec::new(),
    }
}

/// Compares two numbers.
pub fn compare_number<A: Entry>(what: impl Into<String>, got: A, expected: A) -> Comparison {
    compare(what, &ndarray::arr0(got), &ndarray::arr0(expected))
}

impl Comparison {
    /// Allows a difference of `tolerance`, times the expected number where that is above one. Without this, 1e-9.
    pub fn within(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Names what each axis counts: `["query", "key"]`.
    pub fn axes<const N: usize>(mut self, axes: [String; N]) -> Self {
        self.axes = axes.into();
        self
    }

    /// Tells what the learner's function was given.
    pub fn given(mut self, name: &str, value: &(impl Show + ?Sized)) -> Self {
        self.given.push((name.to_owned(), value.show()));
        self
    }

    /// A mistake that may be behind a difference, with what it would give here. It is told where that is what was got.
    pub fn smell<A: Entry, D: Dimension>(mut self, text: String, makes: Array<A, D>) -> Self {
        let makes = makes.mapv(Entry::number).into_dyn();
        self.smells.push(Smell { text, makes });
        self
    }

    /// Compares.
    pub fn check(self) -> Finding {
        let Some(difference) = self.difference() else {
            return Ok(());
        };
        Err(Problem::Wrong(Wrong {
            text: with_inputs(difference, &self.given),
            suspicions: self.suspicions(),
            about: self.what,
        }))
    }

    fn differ(&self, got: f64, expected: f64) -> bool {
        differ(got, expected, self.tolerance)
    }

    fn difference(&self) -> Option<String> {
        let Comparison {
            what,
            got,
            expected,
            ..
        } = self;
        let (ranks, shapes) = (
            [got.ndim(), expected.ndim()],
            [got.shape(), expected.shape()],
        );
        if ranks[0] != ranks[1] {
            return Some(say(
                format!(
                    "{what}: the rank differs: expected {} axes {:?}, got {} {:?}",
                    ranks[1], shapes[1], ranks[0], shapes[0]
                ),
                format!(
                    "{what}：轴数不同：应有 {} 个轴 {:?}，得到 {} 个 {:?}",
                    ranks[1], shapes[1], ranks[0], shapes[0]
                ),
            ));
        }
        if shapes[0] != shapes[1] {
            return Some(say(
                format!(
                    "{what}: the shape differs: expected {:?}{}, got {:?}",
                    shapes[1],
                    self.named_axes(),
                    shapes[0]
                ),
                format!(
                    "{what}：形状不同：应为 {:?}{}，得到 {:?}",
                    shapes[1],
                    self.named_axes(),
                    shapes[0]
                ),
            ));
        }
        let wrong: Vec<_> = expected
            .indexed_iter()
            .filter(|(at, e)| self.differ(got[at], **e))
            .collect();
        let &(ref at, &e) = wrong.first()?;
        let g = got[at];
        let place = match at.ndim() {
            0 => String::new(),
            _ => say(
                format!(" at {}", self.index(at.slice())),
                format!("，位置 {}", self.index(at.slice())),
            ),
        };
        let off = if g.is_finite() && e.is_finite() && !self.truth {
            let off = f64::write(g - e);
            say(format!(" (off by {off})"), format!("（差 {off}）"))
        } else {
            String::new()
        };
        let (n, all) = (wrong.len(), expected.len());
        let share = match all {
            1 => String::new(),
            _ => say(
                format!("; {n} of {all} numbers differ"),
                format!("；{all} 个数中有 {n} 个不同"),
            ),
        };
        let (g, e) = ((self.write)(g), (self.write)(e));
        let mut text = say(
            format!(
                "{what}: values differ{place}: expected {e}, got \
                {g}{off}{share}"
            ),
            format!("{what}：数值不同{place}：应为 {e}，得到 {g}{off}{share}"),
        );
        if (2..=36).contains(&all) {
            for (name, array) in [
                (say("expected", "应为"), expected),
                (say("got", "得到"), got),
            ] {
                let mut numbers = String::new();
                nested(array.view(), self.write, &mut numbers);
                write!(text, "\n  {name} {numbers}").expect("strings grow");
            }
        }
        Some(text)
    }

    fn named_axes(&self) -> String {
        if self.axes.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.axes.join(" × "))
        }
    }

    fn index(&self, at: &[usize]) -> String {
        if self.axes.len() != at.len() {
            return format!("{at:?}");
        }
        let named: Vec<_> = self
            .axes
            .iter()
            .zip(at)
            .map(|(axis, i)| format!("{axis} {i}"))
            .collect();
        format!("{at:?} ({})", named.join(", "))
    }

    /// All that would explain the difference. What the exercise knows of comes first: it is nearer to the cause.
    fn suspicions(&self) -> Vec<Suspicion> {
        let got = &self.got;
        let same = |a: &ArrayD<f64>, b: &ArrayD<f64>| {
            let near = |(&a, &b): (&f64, &f64)| !self.differ(a, b) || a.is_nan() && b.is_nan();
            a.shape() == b.shape() && a.iter().zip(b).all(near)
        };
        let own = self
            .smells
            .iter()
            .filter(|smell| same(&smell.makes, got))
            .map(|smell| Suspicion {
                kind: smell.text.clone(),
                text: smell.text.clone(),
            });
        let structural = self.structural(&same).into_iter().map(|text| Suspicion {
            // Without its numbers, which are another case's others.
            kind: text
                .chars()
                .filter(|c| !"0123456789.-".contains(*c))
                .collect(),
            text,
        });
        own.chain(structural).collect()
    }

    /// What can be told of any array.
    fn structural(&self, same: &dyn Fn(&ArrayD<f64>, &ArrayD<f64>) -> bool) -> Vec<String> {
        let mut found = Vec::new();
        let (got, expected) = (&self.got, &self.expected);
        let finite = |a: &ArrayD<f64>| a.iter().all(|x| x.is_finite());
        if got.ndim() >= 2 {
            let mut swapped = expected.view();
            swapped.swap_axes(got.ndim() - 2, got.ndim() - 1);
            if same(&swapped.to_owned(), got) {
                found.push(say("transposed: rows are columns", "转置了：行成了列"));
            }
            if swapped.shape() == got.shape() && got.shape() != expected.shape() {
                found.push(say(
                    "transposed: the last two axes change places in the shape \
                (and the values are not right yet either)",
                    "转置了：形状的最后两个轴对调了（数值也还不对）",
                ));
            }
        }
        if got.shape() != expected.shape() {
            if found.is_empty() && got.len() == expected.len() && !got.is_empty() {
                found.push(say(
                    "the same number of entries in another shape: is an axis \
                split, joined or moved?",
                    "数目相同而形状不同：是否有轴被拆开、合并或移动？",
                ));
            }
            return found;
        }
        let nan = got.iter().filter(|x| x.is_nan()).count();
        if nan > 0 {
            found.push(say(
                format!(
                    "{nan} of {} are NaN: ∞ − ∞, ∞/∞ or 0/0 on the way (an \
                overflow? a sum of nothing? −∞ minus −∞?)",
                    got.len()
                ),
                format!(
                    "{} 个中有 {nan} 个是 NaN：途中出现了 ∞ − ∞、∞/∞ 或 \
                0/0（溢出？空的和？−∞ 减 −∞？）",
                    got.len()
                ),
            ));
            return found;
        }
        if got.is_empty() {
            return found;
        }
        if self.truth {
            if same(&got.mapv(|x| 1.0 - x), expected) {
                found.push(say(
                    "inverted: true and false change places",
                    "反了：true 与 false 对调",
                ));
            }
        } else if finite(got) && finite(expected) {
            if expected.len() > 1 && got.iter().all(|&x| x == 0.0) {
                found.push(say(
                    "nothing but zeros: is the result ever written?",
                    "全是零：结果写进去了吗？",
                ));
            }
            if same(&got.mapv(|x| -x), expected) {
                found.push(say("the sign is turned round", "符号反了"));
            }
            if let Some(text) = self.scaled_or_offset() {
                found.push(text);
            }
        }
        for (axis, &n) in got.shape().iter().enumerate().filter(|(_, n)| **n > 1) {
            let axis = Axis(axis);
            let name = self.axis_name(axis.0);
            let mut reversed = expected.clone();
            reversed.invert_axis(axis);
            if same(&reversed, got) {
                found.push(say(
                    format!("in reverse along the axis of {name}"),
                    format!("沿 {name} 轴颠倒了"),
                ));
            }
            if n > 2 {
                let without_first =
                    |a: &ArrayD<f64>| a.slice_axis(axis, Slice::from(1..)).to_owned();
                let without_last =
                    |a: &ArrayD<f64>| a.slice_axis(axis, Slice::from(..-1)).to_owned();
                for (a, b) in [(got, expected), (expected, got)] {
                    let constant = a
                        .iter()
                        .all(|&x| x == a[ndarray::IxDyn(&vec![0; a.ndim()])]);
                    if !constant && same(&without_first(a), &without_last(b)) {
                        found.push(say(
                            format!("shifted by one along the axis of {name}"),
                            format!("沿 {name} 轴错开了一位"),
                        ));
                    }
                }
            }
        }
        let sorted = |a: &ArrayD<f64>| {
            let mut v: Vec<f64> = a.iter().copied().collect();
            v.sort_by(f64::total_cmp);
            ArrayD::from_shape_vec(vec![v.len()], v).expect("one axis")
        };
        if got.len() > 2 && same(&sorted(got), &sorted(expected)) {
            found.push(say(
                "the right numbers in the wrong places",
                "数是对的，位置不对",
            ));
        }
        found.extend(self.only_at_an_edge());
        found
    }

    /// The same factor, or the same difference, everywhere.
    fn scaled_or_offset(&self) -> Option<String> {
        let pairs = || self.got.iter().copied().zip(self.expected.iter().copied());
        let (g, e) = pairs().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))?;
        // One number alone is any multiple of any other.
        if self.expected.iter().filter(|&&x| x != 0.0).count() < 3 {
            return None;
        }
        let factor = g / e;
        if pairs().all(|(g, e)| !differ(g, e * factor, self.tolerance.max(1e-7))) {
            let (factor, inverse) = (f64::write(factor), f64::write(1.0 / factor));
            return Some(say(
                format!(
                    "every number is {factor} times what it should be \
                (1/{inverse}): a scale forgotten, or used twice?"
                ),
                format!(
                    "每个数都是应有的 {factor} 倍（1/{inverse}）：\
                是否漏了一个缩放，或用了两次？"
                ),
            ));
        }
        let offset = g - e;
        pairs()
            .all(|(g, e)| !differ(g, e + offset, self.tolerance.max(1e-7)))
            .then(|| {
                let offset = f64::write(offset);
                say(
                    format!(
                        "every number is off by {offset}: something added that \
                should not be, or not added?"
                    ),
                    format!("每个数都差 {offset}：是否多加或少加了什么？"),
                )
            })
    }

    fn only_at_an_edge(&self) -> Option<String> {
        for (axis, &n) in self.got.shape().iter().enumerate().filter(|(_, n)| **n > 2) {
            let wrong: Vec<usize> = (0..n)
                .filter(|&i| {
                    let [g, e] = [&self.got, &self.expected].map(|a| a.index_axis(Axis(axis), i));
                    g.iter().zip(e).any(|(&g, &e)| self.differ(g, e))
                })
                .collect();
            let name = self.axis_name(axis);
            if let &[only] = wrong.as_slice() {
                return Some(say(
                    format!(
                        "right everywhere but at {name} {only}{}: a boundary?",
                        if only + 1 == n { " (the last)" } else { "" }
                    ),
                    format!(
                        "只有 {name} {only}{}不对：是边界的问题吗？",
                        if only + 1 == n {
                            "（最后一个）"
                        } else {
                            ""
                        }
                    ),
                ));
            }
        }
        None
    }

    fn axis_name(&self, axis: usize) -> String {
        self.axes
            .get(axis)
            .cloned()
            .unwrap_or_else(|| axis.to_string())
    }
}

/// NaN differs from everything; infinities are equal to themselves alone.
fn differ(got: f64, expected: f64, tolerance: f64) -> bool {
    let near =
        expected.is_finite() && (got - expected).abs() <= tolerance * expected.abs().max(1.0);
    !(near || got == expected)
}

/// Two things that are no arrays of numbers: texts, maps, lists of pairs.
pub struct Equality<'a, T> {
    what: String,
    got: &'a T,
    expected: &'a T,
    given: Vec<(String, String)>,
    smells: Vec<(String, T)>,
}

/// Compares two things exactly.
pub fn equal<'a, T: PartialEq + Debug>(
    what: impl Into<String>,
    got: &'a T,
    expected: &'a T,
) -> Equality<'a, T> {
    Equality {
        what: what.into(),
        got,
        expected,
        given: Vec::new(),
        smells: Vec::new(),
    }
}

impl<T: PartialEq + Debug> Equality<'_, T> {
    /// As [`Comparison::given`].
    pub fn given(mut self, name: &str, value: &(impl Show + ?Sized)) -> Self {
        self.given.push((name.to_owned(), value.show()));
        self
    }

    /// As [`Comparison::smell`].
    pub fn smell(mut self, text: String, makes: T) -> Self {
        self.smells.push((text, makes));
        self
    }

    /// Compares.
    pub fn check(self) -> Finding {
        let Equality {
            what,
            got,
            expected,
            given,
            smells,
        } = self;
        if got == expected {
            return Ok(());
        }
        let (g, e) = (
            shortened(format!("{got:?}")),
            shortened(format!("{expected:?}")),
        );
        let text = say(
            format!("{what}:\n  expected {e}\n  got      {g}"),
            format!("{what}：\n  应为 {e}\n  得到 {g}"),
        );
        let explains = smells.into_iter().filter(|(_, makes)| makes == got);
        Err(Problem::Wrong(Wrong {
            text: with_inputs(text, &given),
            suspicions: explains
                .map(|(text, _)| Suspicion {
                    kind: text.clone(),
                    text,
                })
                .collect(),
            about: what,
        }))
    }
}

/// A difference, and what the learner's function was given.
fn with_inputs(mut text: String, given: &[(String, String)]) -> String {
    for (name, value) in given {
        let line = say(
            format!("given {name} = {value}"),
            format!("输入 {name} = {value}"),
        );
        write!(text, "\n  {line}").expect("strings grow");
    }
    text
}
