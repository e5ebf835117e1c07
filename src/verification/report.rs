//! What a verification found.

/// One quantity, compared number by number with a reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What was compared.
    pub what: String,
    /// With whose numbers.
    pub against: String,
    /// How many numbers.
    pub numbers: usize,
    /// The largest absolute difference (for ids: how many differ); ∞ where shapes differ or a number is NaN.
    pub difference: f64,
    /// What it may be.
    pub tolerance: f64,
}

impl Check {
    /// Whether the difference is within the tolerance, and there was something to compare.
    pub fn passed(&self) -> bool {
        self.numbers > 0 && self.difference <= self.tolerance
    }
}

/// All checks of one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether every check passed, and there was one at least.
    pub fn passed(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(Check::passed)
    }
}
