//! How a value is written to a learner.

use crate::harness::say;
use ndarray::{Array, ArrayViewD, Dimension};
use std::fmt::Debug;

/// What an array may hold.
pub trait Entry: Copy {
    /// Whether it is true or false, and no amount.
    const TRUTH: bool = false;
    /// As a number, for the arithmetic of differences.
    fn number(self) -> f64;
    /// How that number is written.
    fn write(number: f64) -> String;
}

impl Entry for f64 {
    fn number(self) -> f64 {
        self
    }
    fn write(number: f64) -> String {
        if number == 0.0 || (1e-3..1e7).contains(&number.abs()) {
            let digits = format!("{number:.6}");
            digits
                .trim_end_matches('0')
                .trim_end_matches('.')
                .to_owned()
        } else if number == f64::NEG_INFINITY {
            "−∞".to_owned()
        } else if number == f64::INFINITY {
            "∞".to_owned()
        } else if number.is_nan() {
            "NaN".to_owned()
        } else {
            format!("{number:.4e}")
        }
    }
}

impl Entry for bool {
    const TRUTH: bool = true;
    fn number(self) -> f64 {
        f64::from(self)
    }
    fn write(number: f64) -> String {
        (number != 0.0).to_string()
    }
}

macro_rules! whole {
    ($($t:ty),*) => {$(
        impl Entry for $t {
            fn number(self) -> f64 {
                self as f64
            }
            fn write(number: f64) -> String {
                format!("{number:.0}")
            }
        }
    )*};
}
whole!(u32, u64, usize);

/// What an input looks like to a learner.
pub trait Show {
    fn show(&self) -> String;
}

impl<A: Entry, D: Dimension> Show for Array<A, D> {
    fn show(&self) -> String {
        let numbers = self.mapv(Entry::number).into_dyn();
        let shape = self.shape().to_vec();
        if self.len() > 64 {
            return say(format!("of shape {shape:?}"), format!("形状为 {shape:?}"));
        }
        let mut text = String::new();
        nested(numbers.view(), A::write, &mut text);
        format!("{text}  {shape:?}")
    }
}

macro_rules! show_as_it_is {
    ($($t:ty),*) => {$(
        impl Show for $t {
            fn show(&self) -> String {
                format!("{self:?}")
            }
        }
    )*};
}
show_as_it_is!(f64, bool, usize, u32, u64, str, String, &str);

impl<T: Debug> Show for Vec<T> {
    fn show(&self) -> String {
        shortened(format!("{self:?}"))
    }
}

pub fn shortened(text: String) -> String {
    if text.chars().count() > 400 {
        text.chars().take(400).chain(" …".chars()).collect()
    } else {
        text
    }
}

pub fn nested(array: ArrayViewD<f64>, write: fn(f64) -> String, text: &mut String) {
    if array.ndim() == 0 {
        text.push_str(&write(array.sum()));
        return;
    }
    text.push('[');
    for (i, part) in array.outer_iter().enumerate() {
        if i > 0 {
            text.push_str(", ");
        }
        nested(part, write, text);
    }
    text.push(']');
}
