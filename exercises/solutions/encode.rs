//! Text into pieces, solved.

use std::collections::HashMap;

/// The pieces of `text`. `scores` has every piece that merging can make, and the single characters that are pieces.
pub fn encode(text: &str, scores: &HashMap<String, f64>) -> Vec<String> {
    let text = text.replace(' ', "▁");
    let mut symbols: Vec<String> = text.chars().map(String::from).collect();
    loop {
        let mut best: Option<(f64, usize)> = None;
        for (i, pair) in symbols.windows(2).enumerate() {
            // Strictly better, so that of equals the leftmost stays.
            if let Some(&score) = scores.get(&pair.concat())
                && best.is_none_or(|(highest, _)| score > highest)
            {
                best = Some((score, i));
            }
        }
        let Some((_, i)) = best else { break };
        let right = symbols.remove(i + 1);
        symbols[i] += &right;
    }
    symbols
        .into_iter()
        .flat_map(|symbol| {
            if scores.contains_key(&symbol) {
                vec![symbol]
            } else {
                symbol.bytes().map(|b| format!("<0x{b:02X}>")).collect()
            }
        })
        .collect()
}
