//! The difference of two maps.

use crate::analysis::Analysis;
use baichuan2::{
    attention::{MapError, Pooling},
    heads::Head,
    picture::pool_max,
};
use ndarray::{Array2, Zip, s};
use std::{ops::Range, sync::Arc};

/// The second's weights minus the first's, made where it is looked at.
pub struct Difference {
    first: Arc<Analysis>,
    second: Arc<Analysis>,
    head: Head,
    /// The least and the largest.
    pub range: [f32; 2],
}

/// Rows of two maps that are held at a time.
const ROWS: usize = 64;

impl Difference {
    /// Looks at all of it once, for its range; nothing where that is no longer wanted.
    pub fn of(
        [first, second]: [Arc<Analysis>; 2],
        head: Head,
        outdated: &dyn Fn() -> bool,
    ) -> Option<Result<Self, String>> {
        let n = first.tokens.len();
        let mut difference = Difference {
            first,
            second,
            head,
            range: [f32::INFINITY, f32::NEG_INFINITY],
        };
        for start in (0..n).step_by(ROWS) {
            if outdated() {
                return None;
            }
            let rows = start..(start + ROWS).min(n);
            let part = match difference.part(rows, 0..n) {
                Ok(part) => part,
                Err(why) => return Some(Err(why.to_string())),
            };
            let [least, most] = difference.range;
            // f32::min and max pass NaN over: what is hidden does not count.
            difference.range = [
                part.iter().copied().fold(least, f32::min),
                part.iter().copied().fold(most, f32::max),
            ];
        }
        Some(Ok(difference))
    }

    /// A rectangle of it, NaN where hidden.
    fn part(&self, rows: Range<usize>, columns: Range<usize>) -> Result<Array2<f32>, MapError> {
        let size = [rows.len(), columns.len()];
        let of = |analysis: &Analysis| {
            analysis.weights(self.head, rows.clone(), columns.clone(), size, Pooling::Max)
        };
        Ok(of(&self.second)? - of(&self.first)?)
    }

    /// One cell of it.
    pub fn at(&self, query: usize, key: usize) -> f32 {
        let cell = self.part(query..query + 1, key..key + 1);
        cell.map_or(f32::NAN, |cell| cell[[0, 0]])
    }

    /// Where the colours end: as far on both sides, so that white is no difference.
    pub fn reach(&self) -> f32 {
        self.range[0].abs().max(self.range[1].abs())
    }

    /// A rectangle in at most so many cells, each the largest difference of those it stands for, from −1 to 1.
    pub fn cells(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        size: [usize; 2],
    ) -> Result<Array2<f32>, MapError> {
        let reach = match self.reach() {
            0.0 => 1.0,
            reach => reach,
        };
        let size = [size[0].min(rows.len()), size[1].min(columns.len())];
        let mut cells = Array2::from_elem(size, f32::NAN);
        let start = |row: usize| rows.start + row * rows.len() / size[0];
        // As many rows of cells at a time as make about so many of the maps.
        let group = (ROWS * size[0] / rows.len().max(1)).max(1);
        for from in (0..size[0]).step_by(group) {
            let to = (from + group).min(size[0]);
            let part = self.part(start(from)..start(to), columns.clone())?;
            for row in from..to {
                let strip = start(row) - start(from)..start(row + 1) - start(from);
                let strip = part.slice(s![strip, ..]);
                let above = pool_max(strip, 1, size[1]);
                let below = pool_max(strip.mapv(|d| -d).view(), 1, size[1]);
                Zip::from(cells.row_mut(row))
                    .and(above.row(0))
                    .and(below.row(0))
                    .for_each(|cell, &above, &below| {
                        *cell = if below > above { -below } else { above } / reach;
                    });
            }
        }
        Ok(cells)
    }
}
