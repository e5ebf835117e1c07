//! One merge, and all of them undone, solved.

/// `tokens` with `new` wherever the two of `pair` stand side by side. `new` is a number that occurs nowhere yet.
pub fn merge_pair(tokens: &[u32], pair: (u32, u32), new: u32) -> Vec<u32> {
    let mut merged = Vec::with_capacity(tokens.len());
    let mut rest = tokens;
    loop {
        match *rest {
            [left, right, ref after @ ..] if (left, right) == pair => {
                merged.push(new);
                rest = after;
            }
            [token, ref after @ ..] => {
                merged.push(token);
                rest = after;
            }
            [] => return merged,
        }
    }
}

/// `tokens` with every merge undone. `merges[k]` are the two that became `first + k`; each is below `first + k`.
pub fn undo(tokens: &[u32], merges: &[(u32, u32)], first: u32) -> Vec<u32> {
    let mut undone = Vec::new();
    // The next symbol is on top, so that what it is made of comes before what follows.
    let mut stack: Vec<u32> = tokens.iter().rev().copied().collect();
    while let Some(token) = stack.pop() {
        match token.checked_sub(first) {
            Some(k) => {
                let (left, right) = merges[k as usize];
                stack.extend([right, left]);
            }
            None => undone.push(token),
        }
    }
    undone
}
