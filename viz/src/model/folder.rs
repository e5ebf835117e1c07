//! Models in Hugging Face folders.

use super::{OpenError, Parts};
use baichuan2::{
    bpe::Tokenizer,
    checkpoint::{self, Checkpoint, WhenCut, when_cut},
};
use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

/// What the files of a folder looked like when they were opened.
pub type Files = Vec<(PathBuf, Option<SystemTime>, u64)>;

/// Opens the model in a folder, or its checkpoint at `tokens`.
pub fn open(folder: &Path, tokens: Option<u64>) -> Result<Parts, OpenError> {
    let history = checkpoint::history(folder);
    let at = match tokens {
        None => folder,
        Some(tokens) => history
            .iter()
            .find_map(|(n, path)| (*n == tokens).then_some(path))
            .ok_or_else(|| OpenError::NoCheckpoint {
                source_name: folder.display().to_string(),
                tokens,
                known: history.len(),
            })?,
    };
    let files = files_of(at);
    // `were_replaced` tells it.
    when_cut(WhenCut::ReadZeros);
    let checkpoint = Checkpoint::open(at)?;
    let beside = [at, folder].map(|folder| folder.join("tokenizer.model"));
    let found = checkpoint
        .tokenizer
        .clone()
        .or_else(|| beside.into_iter().find(|file| file.is_file()))
        .ok_or_else(|| OpenError::NoTokenizer(folder.to_owned()))?;
    Ok(Parts {
        history: history.into_iter().map(|(tokens, _)| tokens).collect(),
        checkpoint,
        tokenizer: Tokenizer::open(found)?,
        files,
    })
}

/// Whether other files lie there now.
pub fn were_replaced(files: &Files) -> bool {
    let now: Files = files.iter().map(|(path, ..)| look(path.clone())).collect();
    *files != now
}

/// Those that a model is made of: what else a training run writes there does not count.
fn files_of(folder: &Path) -> Files {
    const KINDS: [&str; 4] = ["safetensors", "bin", "json", "model"];
    let is_of_model = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| KINDS.contains(&extension))
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path()).filter(is_of_model);
    let mut files: Files = paths.map(look).collect();
    files.sort();
    files
}

fn look(path: PathBuf) -> (PathBuf, Option<SystemTime>, u64) {
    let metadata = std::fs::metadata(&path).ok();
    let modified = metadata.as_ref().and_then(|m| m.modified().ok());
    (path, modified, metadata.map_or(0, |m| m.len()))
}
