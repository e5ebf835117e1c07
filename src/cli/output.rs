//! Files that a command writes: whole or not at all, and never over another unless told to.

use anyhow::{Context, Result, ensure};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

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

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}
