//! The checkpoints that a training run left along the way.

use std::path::{Path, PathBuf};

/// The checkpoints of a run with the tokens that each has seen, fewest first: folders named `tokens-N` in `folder`, or in `checkpoints` in it.
///
/// None where the folder has none, or cannot be read.
pub fn history(folder: impl AsRef<Path>) -> Vec<(u64, PathBuf)> {
    let folder = folder.as_ref();
    let inside = Some(folder.join("checkpoints")).filter(|inside| inside.is_dir());
    let entries = std::fs::read_dir(inside.as_deref().unwrap_or(folder));
    let paths = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let numbered = paths.filter_map(|path| Some((tokens_seen(&path)?, path)));
    let mut found: Vec<_> = numbered.filter(|(_, path)| path.is_dir()).collect();
    found.sort();
    found
}

/// How many tokens a checkpoint has seen, as the name of its folder says.
///
/// ```
/// # use baichuan2::checkpoint::tokens_seen;
/// assert_eq!(tokens_seen("run/checkpoints/tokens-0000032768"), Some(32_768));
/// assert_eq!(tokens_seen("run"), None);
/// ```
pub fn tokens_seen(folder: impl AsRef<Path>) -> Option<u64> {
    let name = folder.as_ref().file_name()?.to_str()?;
    name.strip_prefix("tokens-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: an order by name, in which 1000 comes before 200; a file, or a folder of another name, taken for a checkpoint; checkpoints beside the model
    /// that are not found.
    #[test]
    fn checkpoints_are_in_the_order_of_their_tokens() {
        let run = tempfile::tempdir().unwrap();
        for folder in ["tokens-200", "tokens-1000", "tokens-x", "others"] {
            std::fs::create_dir(run.path().join(folder)).unwrap();
        }
        std::fs::write(run.path().join("tokens-5"), "").unwrap();
        let seen = |folder: &Path| -> Vec<u64> {
            history(folder)
                .into_iter()
                .map(|(tokens, _)| tokens)
                .collect()
        };
        assert_eq!(seen(run.path()), [200, 1000]);
        std::fs::create_dir_all(run.path().join("checkpoints/tokens-7")).unwrap();
        assert_eq!(seen(run.path()), [7]);
        assert_eq!(
            history(run.path())[0].1,
            run.path().join("checkpoints/tokens-7")
        );
        assert!(seen(&run.path().join("nowhere")).is_empty());
    }
}
