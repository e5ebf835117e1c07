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
    partial: TempDir,
}

impl OutputFolder {
    /// Checks that `path` may be written. Where it is there already it must be empty, or with `force` hold nothing but files for which `ours` is true:
    /// those of an earlier run, all of which are replaced.
    pub fn new(path: &Path, force: bool, ours: impl Fn(&str) -> bool) -> Result<Self> {
        let name = path.display();
        if path.symlink_metadata().is_ok() {
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
                    "{name}: holds {found}, which --force would remove and this command does not write; name a new folder"
                );
            }
        }
        let beside = folder_of(path);
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
        Ok(OutputFolder {
            path: path.to_owned(),
            partial: builder
                .tempdir_in(beside)
                .with_context(|| format!("{name}: cannot be written"))?,
        })
    }

    /// Where to write what it is to hold. Gone again if it is not finished.
    pub fn partial(&self) -> &Path {
        self.partial.path()
    }

    /// Takes its place.
    pub fn finish(self) -> Result<()> {
        let cannot = || format!("{}: cannot be written", self.path.display());
        let earlier = self.path.is_dir().then(|| {
            let aside = tempfile::Builder::new()
                .prefix(".replaced-")
                .tempdir_in(folder_of(&self.path))?;
            fs::rename(&self.path, aside.path().join("folder")).map(|()| aside)
        });
        let earlier = earlier.transpose().with_context(cannot)?;
        if let Err(error) = fs::rename(self.partial.path(), &self.path) {
            if let Some(earlier) = &earlier {
                fs::rename(earlier.path().join("folder"), &self.path).with_context(cannot)?;
            }
            return Err(error).with_context(cannot);
        }
        // It has moved: there is nothing left to remove.
        let _ = self.partial.keep();
        eprintln!("wrote {}", self.path.display());
        Ok(())
    }
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}
