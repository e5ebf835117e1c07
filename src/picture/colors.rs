//! Colour maps.

use colorous::Gradient;

/// A colour map from dark to bright. All are perceptually uniform: equal steps of the shade look equally large, in grey too.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Colors {
    /// Blue over green to yellow; told apart by colour-blind eyes.
    #[default]
    Viridis,
    /// Blue to yellow; looks nearly the same to colour-blind eyes and to others.
    Cividis,
    /// Black over purple to pale yellow.
    Magma,
}

impl Colors {
    /// Drawn where a key is hidden: no colour of any map.
    pub const BACKGROUND: [u8; 3] = [0xe8, 0xe8, 0xe8];

    /// The colour of a shade from 0 to 1, as red, green and blue; none where it is hidden (NaN).
    ///
    /// ```
    /// use baichuan2::picture::Colors;
    /// assert_eq!(Colors::Viridis.rgb(1.0), Some([0xfd, 0xe7, 0x25]));
    /// assert_eq!(Colors::Viridis.rgb(f32::NAN), None);
    /// ```
    pub fn rgb(self, shade: f32) -> Option<[u8; 3]> {
        if shade.is_nan() {
            return None;
        }
        let color = self
            .gradient()
            .eval_continuous(f64::from(shade.clamp(0.0, 1.0)));
        Some([color.r, color.g, color.b])
    }

    fn gradient(self) -> Gradient {
        match self {
            Colors::Viridis => colorous::VIRIDIS,
            Colors::Cividis => colorous::CIVIDIS,
            Colors::Magma => colorous::MAGMA,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a map that is turned around, or that is not ordered in grey (jet, rainbow).
    #[test]
    fn brighter_means_more_in_grey_too() {
        let grey = |[r, g, b]: [u8; 3]| {
            0.2126 * f32::from(r) + 0.7152 * f32::from(g) + 0.0722 * f32::from(b)
        };
        for colors in [Colors::Viridis, Colors::Cividis, Colors::Magma] {
            let greys: Vec<f32> = (0..=20)
                .map(|i| grey(colors.rgb(i as f32 / 20.0).unwrap()))
                .collect();
            assert!(greys.is_sorted(), "{colors:?}: {greys:?}");
            assert!(greys[20] - greys[0] > 150.0);
        }
    }
}
