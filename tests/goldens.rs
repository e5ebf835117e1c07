//! The shipped model's own numbers, for both sizes and every form of their weights.
#![cfg(feature = "files")]

use baichuan2::verification::verify;
use std::path::Path;

fn agrees(size: &str, checks: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/goldens")
        .join(size);
    let report = verify(&folder).unwrap();
    let failed: Vec<String> = report
        .checks
        .iter()
        .filter(|check| !check.passed())
        .map(|c| {
            format!(
                "{}: differs by {:.1e}, may by {:.1e}, in {} numbers",
                c.what, c.difference, c.tolerance, c.numbers
            )
        })
        .collect();
    assert!(failed.is_empty(), "{size}:\n{}", failed.join("\n"));
    // A check that vanishes passes too.
    assert_eq!(report.checks.len(), checks, "{size}: checks made");
    assert!(report.passed());
}

/// Catches: the traps of the 7B, listed with the mutation that each check found in docs/verification.md.
#[test]
fn the_7b_agrees_with_the_shipped_code() {
    agrees("tiny7b", 51);
}

/// Catches: the traps of the 13B; ALiBi above all.
#[test]
fn the_13b_agrees_with_the_shipped_code() {
    agrees("tiny13b", 53);
}
