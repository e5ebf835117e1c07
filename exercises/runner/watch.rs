//! Tests an exercise whenever its file is saved.

use crate::{
    catalogue::{Catalogue, Exercise},
    screen::{Screen, first_unsolved},
    tests::{self, State},
};
use anyhow::{Context, Result};
use notify::{EventKind, RecursiveMode, Watcher};
use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::mpsc::{self, Receiver},
    time::Duration,
};

/// An editor writes a file in several steps; this long after the last of them it is taken as saved.
const SETTLED: Duration = Duration::from_millis(150);

/// Goes on until it is interrupted, or everything is solved.
pub fn watch(catalogue: &Catalogue, screen: &Screen) -> Result<bool> {
    let (send, saved) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if let Ok(event) = event
            && matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_))
        {
            // The receiver is gone only when the program ends.
            let _ = send.send(event.paths);
        }
    })
    .context("the system does not say when files are saved")?;
    let folder = catalogue.folder.join("src");
    watcher
        .watch(&folder, RecursiveMode::NonRecursive)
        .with_context(|| folder.display().to_string())?;
    if go_on(catalogue, screen)? {
        return Ok(true);
    }
    screen.watching(catalogue);
    while let Some(paths) = next_save(&saved) {
        let mut solved = false;
        for exercise in exercises_of(catalogue, &paths) {
            let Some(found) = screen.tested(catalogue, Some(&exercise.name))? else {
                continue;
            };
            let trials = found.get(&exercise.name).map_or(&[][..], Vec::as_slice);
            screen.result(catalogue, exercise, trials);
            solved |= tests::state(trials) == State::Solved;
        }
        if solved && go_on(catalogue, screen)? {
            return Ok(true);
        }
    }
    Ok(true)
}

/// Shows the first exercise that is not solved. True where there is none.
fn go_on(catalogue: &Catalogue, screen: &Screen) -> Result<bool> {
    let Some(found) = screen.tested(catalogue, None)? else {
        return Ok(false);
    };
    println!();
    match first_unsolved(catalogue, &found) {
        Some(exercise) => {
            let trials = found.get(&exercise.name).map_or(&[][..], Vec::as_slice);
            screen.result(catalogue, exercise, trials);
            Ok(false)
        }
        None => {
            screen.all_solved(catalogue);
            Ok(true)
        }
    }
}

/// What was saved, once it settles. None where nobody watches any more.
fn next_save(saved: &Receiver<Vec<PathBuf>>) -> Option<BTreeSet<PathBuf>> {
    let mut paths: BTreeSet<PathBuf> = saved.recv().ok()?.into_iter().collect();
    while let Ok(more) = saved.recv_timeout(SETTLED) {
        paths.extend(more);
    }
    Some(paths)
}

fn exercises_of<'a>(catalogue: &'a Catalogue, paths: &BTreeSet<PathBuf>) -> Vec<&'a Exercise> {
    let saved = |exercise: &&Exercise| {
        let answer = catalogue.answer(&exercise.name);
        paths
            .iter()
            .any(|path| path.file_name() == answer.file_name())
    };
    catalogue.exercises.iter().filter(saved).collect()
}
