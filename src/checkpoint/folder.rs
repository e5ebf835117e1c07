//! Opening a folder: which files hold the weights, and mapping them.

use super::{
    Checkpoint, ConfigFileError, Error, Format, Gathered, GenerationConfig, NamedTensors,
    read_config, read_generation_config, read_safetensors,
};
use bytes::Bytes;
use memmap2::Mmap;
use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Longer than any JSON file of a model, short enough to read at once.
const LONGEST_JSON: u64 = 64 << 20;

impl Checkpoint {
    /// Opens a folder as the hub holds it.
    ///
    /// ```no_run
    /// let checkpoint = baichuan2::checkpoint::Checkpoint::open("Baichuan2-7B-Base")?;
    /// let w_pack = checkpoint.tensor("model.layers.0.self_attn.W_pack.weight")?;
    /// assert_eq!(w_pack.shape(), [3 * 4096, 4096]);
    /// # Ok::<(), baichuan2::checkpoint::Error>(())
    /// ```
    ///
    /// The files are mapped, and must not be changed while the checkpoint or a tensor of it lives.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        Checkpoint::open_with(folder, folder)
    }

    /// Opens the weights of a file or folder of their own, with the configuration of another folder.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open_with(
        config_folder: impl AsRef<Path>,
        weights: impl AsRef<Path>,
    ) -> Result<Self, Error> {
        let (folder, weights) = (config_folder.as_ref(), weights.as_ref());
        if !folder.is_dir() {
            return Err(Error::NotAFolder(folder.to_owned()));
        }
        let model = read_json(&folder.join("config.json"), read_config)?;
        let generation = match read_json(
            &folder.join("generation_config.json"),
            read_generation_config,
        ) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                GenerationConfig::default()
            }
            generation => generation?,
        };
        let generation = generation.or(model.generation.clone());
        let mut gathered = Gathered::default();
        let format = if weights.is_dir() {
            gather_folder(weights, &mut gathered)?
        } else {
            gather_file(weights, &mut gathered)?
        };
        let tokenizer = ["tokenizer.model", "tokenizer.json"].map(|name| folder.join(name));
        let checkpoint = gathered.check(model, format, weights.to_owned())?;
        Ok(Checkpoint {
            generation,
            tokenizer: tokenizer.into_iter().find(|path| path.is_file()),
            ..checkpoint
        })
    }
}

fn gather_folder(folder: &Path, gathered: &mut Gathered) -> Result<Format, Error> {
    let file = folder.join("model.safetensors");
    if file.is_file() {
        return gather_file(&file, gathered);
    }
    Err(Error::NoWeights {
        folder: folder.to_owned(),
        hint: String::new(),
    })
}

fn gather_file(file: &Path, gathered: &mut Gathered) -> Result<Format, Error> {
    let (tensors, format) = read_tensors(file)?;
    gathered.add(tensors, &Arc::from(file));
    Ok(format)
}

fn read_tensors(file: &Path) -> Result<(NamedTensors, Format), Error> {
    let bytes = map(file)?;
    let tensors = read_safetensors(bytes).map_err(|source| Error::Safetensors {
        file: file.to_owned(),
        source: Box::new(source),
    })?;
    Ok((tensors, Format::Safetensors))
}

/// The bytes of a file, as pages that the system reads when they are touched.
fn map(path: &Path) -> Result<Bytes, Error> {
    let io = |source| Error::Io {
        file: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    // SAFETY: the pages are only read. That nobody shortens the file meanwhile is asked of the caller, in `Checkpoint::open`.
    let map = unsafe { Mmap::map(&file) }.map_err(io)?;
    Ok(Bytes::from_owner(map))
}

fn read_json<T>(
    path: &Path,
    read: impl FnOnce(&[u8]) -> Result<T, ConfigFileError>,
) -> Result<T, Error> {
    let json = read_short(path)?;
    read(&json).map_err(|source| Error::Config {
        file: path.to_owned(),
        source: Box::new(source),
    })
}

fn read_short(path: &Path) -> Result<Vec<u8>, Error> {
    let file: PathBuf = path.to_owned();
    let io = |source| Error::Io {
        file: path.to_owned(),
        source,
    };
    let bytes = fs::metadata(path).map_err(io)?.len();
    if bytes > LONGEST_JSON {
        return Err(Error::TooLong {
            file,
            bytes,
            limit: LONGEST_JSON,
        });
    }
    fs::read(path).map_err(io)
}
