//! Files and folders that a command writes: whole or not at all, and never over another unless told to.

use anyhow::{Context, Result, ensure};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Where a command may write.
pub struct Outputs {
    force: bool,
}

impl Outputs {
    /// Checks all files before any work is done for them.
    pub fn new<'a>(files: impl IntoIterator<Item = &'a PathBuf>, force: bool) -> Result<Self> {
        let outputs = Outputs { force };
        let mut known: Vec<&Path> = Vec::new();
        for file in files {
            ensure!(
                !known.contains(&file.as_path()),
                "{}: is named twice; each output needs a file of its own",
                file.display()
            );
            outputs.check(file)?;
            known.push(file);
        }
        Ok(outputs)
    }

    /// Checks that a file may be written.
    pub fn check(&self, file: &Path) -> Result<()> {
        let folder = folder_of(file);
        let name = file.display();
        ensure!(
            folder.is_dir(),
            "{name}: there is no folder {} to write it into",
            folder.display()
        );
        ensure!(!file.is_dir(), "{name}: is a folder; name a file");
        ensure!(
            self.force || file.symlink_metadata().is_err(),
            "{name}: exists already; --force overwrites it"
        );
        Ok(())
    }

    /// Writes a file: into a temporary one beside it that then takes its place.
    pub fn write(
        &self,
        path: &Path,
        contents: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        let cannot = || format!("{}: cannot be written", path.display());
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        // Readable as files are, and not by their owner alone, as temporary ones are; the umask still applies.
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder_of(path)).with_context(cannot)?;
        let mut buffered = std::io::BufWriter::new(file);
        contents(&mut buffered).with_context(cannot)?;
        let file = buffered.into_inner().map_err(|e| e.into_error());
        let file = file.with_context(cannot)?;
        let persisted = if self.force {
            file.persist(path)
        } else {
            // Something may have come to be there since it was checked.
            file.persist_noclobber(path)
        };
        persisted.map_err(|e| e.error).with_context(cannot)?;
        eprintln!("wrote {}", path.display());
        Ok(())
    }
}

/// A folder that is filled beside its place, and takes it when it is whole.
pub struct OutputFolder {
    path: PathBuf,
    force: bool,
    ours: fn(&str) -> bool,
    partial: TempDir,
}

impl OutputFolder {
    /// Checks that `path` may be written. Where it is there already it must be empty, or with `force` hold nothing but files for which `ours` is true:
    /// those of an earlier run, all of which are replaced.
    pub fn new(path: &Path, force: bool, ours: fn(&str) -> bool) -> Result<Self> {
        let name = path.display();
        // A folder cannot be put in the place of `.` or `..`; of `x/.` it can, under its name `x`.
        ensure!(
            path.file_name().is_some(),
            "{name}: does not name a folder that can be replaced; name it by its own name"
        );
        let path: PathBuf = path.components().collect();
        check_replaceable(&path, force, ours)?;
        let beside = folder_of(&path);
        ensure!(
            beside.is_dir(),
            "{name}: there is no folder {} to make it in",
            beside.display()
        );
        let mut builder = tempfile::Builder::new();
        builder.prefix(".partial-");
        #[cfg(unix)]
        // A temporary folder is its owner's alone; what it becomes may be read by others, as the umask says.
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let partial = builder.tempdir_in(beside);
        let partial = partial.with_context(|| format!("{name}: cannot be written"))?;
        Ok(OutputFolder {
            path,
            force,
            ours,
            partial,
        })
    }

    /// Where to write what it is to hold. Gone again if it is not finished.
    pub fn partial(&self) -> &Path {
        self.partial.path()
    }

    /// Takes its place. Where it cannot, nothing is lost: what it holds is kept, and what was there before.
    pub fn finish(self) -> Result<()> {
        let path = &self.path;
        let partial = self.partial.keep();
        let kept = || {
            format!(
                "{}: cannot be written; the result is kept in {}",
                path.display(),
                partial.display()
            )
        };
        // Something may have come to be there since it was checked.
        check_replaceable(path, self.force, self.ours).with_context(kept)?;
        let earlier = path.is_dir().then(|| set_aside(path));
        let earlier = earlier.transpose().with_context(kept)?;
        if let Err(error) = fs::rename(&partial, path) {
            let error = Err(error).with_context(kept);
            return match earlier {
                Some(earlier) if fs::rename(earlier.path().join(ASIDE), path).is_err() => {
                    let earlier = earlier.keep().join(ASIDE);
                    error.with_context(|| {
                        format!("what was there before is kept in {}", earlier.display())
                    })
                }
                _ => error,
            };
        }
        eprintln!("wrote {}", path.display());
        Ok(())
    }
}

/// Checks that nothing is at `path`, or a folder that is empty, or with `force` one with nothing but files for which `ours` is true.
fn check_replaceable(path: &Path, force: bool, ours: fn(&str) -> bool) -> Result<()> {
    let name = path.display();
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    ensure!(path.is_dir(), "{name}: is not a folder; name a new one");
    let entries = fs::read_dir(path).with_context(|| format!("{name}: cannot be read"))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("{name}: cannot be read"))?;
        let found = entry.file_name();
        let found = found.to_string_lossy();
        ensure!(
            force,
            "{name}: holds {found} already; name a new folder, or --force replaces it"
        );
        ensure!(
            ours(&found) && entry.path().is_file(),
            "{name}: holds {found}, which --force would remove although it need not be this command's; name a new folder"
        );
    }
    Ok(())
}

/// The name of a folder that was set aside.
const ASIDE: &str = "folder";

/// Moves a folder into a temporary one beside it.
fn set_aside(path: &Path) -> std::io::Result<TempDir> {
    let aside = tempfile::Builder::new()
        .prefix(".replaced-")
        .tempdir_in(folder_of(path))?;
    fs::rename(path, aside.path().join(ASIDE))?;
    Ok(aside)
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(name: &str) -> bool {
        name == "ours"
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    /// Catches: a result that is lost at the very end, where its place turns out to be none.
    #[test]
    fn what_has_no_name_is_refused_and_a_dot_at_the_end_is_none() {
        for path in [".", "..", "x/..", "/"] {
            let error = OutputFolder::new(Path::new(path), true, ours).err();
            let error = error.unwrap().to_string();
            assert!(error.contains("by its own name"), "{error}");
        }
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x");
        for round in ["new", "empty"] {
            let out = OutputFolder::new(&path.join("."), false, ours).unwrap();
            fs::write(out.partial().join("ours"), round).unwrap();
            out.finish().unwrap();
            assert_eq!(fs::read_to_string(path.join("ours")).unwrap(), round);
            assert_eq!(names(root.path()), ["x"]);
            fs::remove_file(path.join("ours")).unwrap();
        }
    }

    /// Catches: files removed that came to be there during the run; a result that is removed since they are not.
    #[test]
    fn what_appears_during_the_run_is_kept_and_so_is_the_result() {
        for (force, theirs, told) in [
            (false, "ours", "--force replaces it"),
            (true, "theirs", "--force would remove"),
        ] {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("x");
            let out = OutputFolder::new(&path, force, ours).unwrap();
            fs::write(out.partial().join("ours"), "result").unwrap();
            fs::create_dir(&path).unwrap();
            fs::write(path.join(theirs), "theirs").unwrap();
            let partial = out.partial().to_owned();
            let error = format!("{:#}", out.finish().unwrap_err());
            assert!(
                error.contains(told) && error.contains(partial.to_str().unwrap()),
                "{error}"
            );
            assert_eq!(fs::read_to_string(path.join(theirs)).unwrap(), "theirs");
            assert_eq!(fs::read_to_string(partial.join("ours")).unwrap(), "result");
        }
    }

    /// Catches: an earlier result that is removed although the new one could not take its place.
    #[test]
    fn what_was_there_is_put_back() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("ours"), "earlier").unwrap();
        let out = OutputFolder::new(&path, true, ours).unwrap();
        fs::remove_dir(out.partial()).unwrap();
        out.finish().unwrap_err();
        assert_eq!(fs::read_to_string(path.join("ours")).unwrap(), "earlier");
        assert_eq!(names(root.path()), ["x"]);
    }
}
