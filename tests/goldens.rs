//! The shipped model's own numbers, for both sizes and every form of their weights.

use baichuan2::verification::{Report, verify};
use std::path::Path;

fn report(size: &str) -> Report {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/goldens")
        .join(size);
    verify(&folder).unwrap()
}

#[test]
fn both_sizes_agree_with_the_shipped_code() {
    for size in ["tiny7b", "tiny13b"] {
        for c in &report(size).checks {
            eprintln!(
                "{size} {:45} {:8} {:10.2e} {:10.2e} {}",
                c.what,
                c.numbers,
                c.difference,
                c.tolerance,
                c.passed()
            );
        }
        assert!(report(size).passed());
    }
}
