//! A little Rust: brackets that close, names that are used as they were introduced.

use super::draw::Draw;

const NAMES: [&str; 12] = [
    "a", "b", "n", "x", "y", "count", "total", "price", "width", "height", "steps", "apples",
];
const TYPES: [&str; 6] = ["Cat", "Kite", "Box", "Garden", "Story", "River"];
const FIELDS: [&str; 6] = ["size", "age", "name", "color", "weight", "place"];

/// A few lines of Rust that compile, inside `fn main` or on their own.
pub fn program(draw: &mut Draw) -> String {
    match draw.below(6) {
        0 => {
            let (name, op) = *draw.pick(&[("add", '+'), ("subtract", '-'), ("multiply", '*')]);
            let two = draw.distinct(NAMES.len(), 2);
            let (a, b) = (NAMES[two[0]], NAMES[two[1]]);
            format!("fn {name}({a}: i32, {b}: i32) -> i32 {{\n    {a} {op} {b}\n}}")
        }
        1 => {
            let (name, times) = *draw.pick(&[("double", 2), ("triple", 3)]);
            let x = draw.pick(&NAMES);
            format!("fn {name}({x}: i32) -> i32 {{\n    {x} * {times}\n}}")
        }
        2 => {
            let (x, low, n) = (draw.pick(&NAMES), draw.below(2), draw.between(3, 9));
            format!(
                "fn main() {{\n    for {x} in {low}..{n} {{\n        println!(\"{{{x}}}\");\n    }}\n}}"
            )
        }
        3 => {
            let (x, first, y) = {
                let two = draw.distinct(NAMES.len(), 2);
                (NAMES[two[0]], draw.between(1, 9), NAMES[two[1]])
            };
            let step = draw.between(1, 9);
            format!(
                "fn main() {{\n    let {x} = {first};\n    let {y} = {x} + {step};\n    println!(\"{{{y}}}\");\n}}"
            )
        }
        4 => {
            let name = draw.pick(&TYPES);
            let two = draw.distinct(FIELDS.len(), 2);
            let (a, b) = (FIELDS[two[0]], FIELDS[two[1]]);
            format!(
                "struct {name} {{\n    {a}: u32,\n    {b}: u32,\n}}\n\nimpl {name} {{\n    fn {a}(&self) -> u32 {{\n        self.{a}\n    }}\n}}"
            )
        }
        _ => {
            let (name, sign, x) = {
                let &(name, sign) = draw.pick(&[("larger", '>'), ("smaller", '<')]);
                (name, sign, draw.distinct(NAMES.len(), 2))
            };
            let (a, b) = (NAMES[x[0]], NAMES[x[1]]);
            format!(
                "fn {name}({a}: i32, {b}: i32) -> i32 {{\n    if {a} {sign} {b} {{ {a} }} else {{ {b} }}\n}}"
            )
        }
    }
}
