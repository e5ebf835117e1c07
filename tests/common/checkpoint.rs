//! Folders to open and to break.

use baichuan2::checkpoint::Checkpoint;
use indexmap::IndexMap;
use ndarray::ArrayD;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A file or folder of the goldens.
pub fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/goldens")
        .join(path)
}

/// The parameters of a golden, in f32.
#[allow(dead_code, reason = "each test binary uses a part of this")]
pub fn arrays(size: &str) -> IndexMap<String, ArrayD<f32>> {
    let checkpoint = Checkpoint::open(golden(size)).unwrap();
    let items = checkpoint.iter();
    items
        .map(|item| (item.name.to_owned(), item.tensor.to_array()))
        .collect()
}

/// A folder of our own, gone when it is dropped.
pub struct Folder(TempDir);

#[allow(dead_code, reason = "each test binary uses a part of this")]
impl Folder {
    /// Both configurations of a golden, and the files named.
    pub fn copy_of(size: &str, files: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        for file in ["config.json", "generation_config.json"]
            .iter()
            .chain(files)
        {
            fs::copy(golden(size).join(file), folder.path().join(file)).unwrap();
        }
        Folder(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap()
    }

    pub fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path().join(file), bytes).unwrap();
    }

    pub fn remove(&self, file: &str) {
        fs::remove_file(self.path().join(file)).unwrap();
    }
}
