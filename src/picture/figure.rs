//! What is to be drawn, whatever it is drawn on.

use super::{Colors, Scale, hide_first, hide_future, normalize};
use crate::bpe::byte_piece;
use ndarray::Array2;

/// One map of a figure.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Stands above it where there are several.
    pub title: String,
    /// Weights, `[queries, keys]`.
    pub weights: Array2<f32>,
}

/// Causal maps of attention weights over one text.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Stands above all.
    pub title: String,
    /// The tokens as [`visible`] shows them, `[keys]`; the queries are the last of them.
    pub labels: Vec<String>,
    /// The maps, all of one shape.
    pub panels: Vec<Panel>,
    /// How many maps stand side by side.
    pub columns: usize,
    /// How weights become shades.
    pub scale: Scale,
    /// How shades become colours.
    pub colors: Colors,
    /// Whether attention to the first token is left out.
    pub hide_first: bool,
}

impl Figure {
    /// The shades of a panel, `[queries, keys]`, NaN where a key is hidden.
    pub fn shades(&self, panel: &Panel) -> Array2<f32> {
        let mut map = hide_future(panel.weights.view());
        if self.hide_first {
            map = hide_first(map);
        }
        normalize(map.view(), self.scale)
    }

    /// What is drawn, in words.
    pub fn meaning(&self) -> String {
        let without = if self.hide_first {
            ", first token left out"
        } else {
            ""
        };
        format!("{}{without}", self.scale.meaning())
    }

    /// `[queries, keys]` of each panel.
    pub fn size(&self) -> [usize; 2] {
        self.panels
            .first()
            .map_or([0, 0], |panel| panel.weights.dim().into())
    }

    /// The name of key `j`; of a token without a name, nothing.
    pub fn label(&self, j: usize) -> &str {
        self.labels.get(j).map_or("", String::as_str)
    }

    /// The position of the first query among the keys.
    pub fn first_query(&self) -> usize {
        let [queries, keys] = self.size();
        keys.saturating_sub(queries)
    }
}

/// Bytes as a label: characters as [`visible`] has them, and each byte that is part of none by itself.
///
/// ```
/// use baichuan2::picture::visible_bytes;
/// assert_eq!(visible_bytes("a 你".as_bytes()), "a▁你");
/// assert_eq!(visible_bytes(b"\xE4\xBD"), "<0xE4><0xBD>");
/// ```
pub fn visible_bytes(bytes: &[u8]) -> String {
    let mut label = String::new();
    for chunk in bytes.utf8_chunks() {
        label += &visible(chunk.valid());
        label.extend(chunk.invalid().iter().map(|&byte| byte_piece(byte)));
    }
    label
}

/// A token as a label: spaces as `▁`, and what cannot be seen or would rule the terminal (line ends, escapes, marks of direction) as an escape.
///
/// ```
/// use baichuan2::picture::visible;
/// assert_eq!(visible(" the"), "▁the");
/// assert_eq!(visible("\n"), "\\n");
/// assert_eq!(visible("\u{1b}[31m"), "\\u{1b}[31m");
/// assert_eq!(visible("“你好”"), "“你好”");
/// ```
pub fn visible(token: &str) -> String {
    let mut label = String::new();
    for c in token.chars() {
        match c {
            ' ' => label.push('▁'),
            '"' | '\'' | '\\' => label.push(c),
            _ => label.extend(c.escape_debug()),
        }
    }
    label
}
