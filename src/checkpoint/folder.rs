//! Opening a folder: which files hold the weights, and mapping them.

use super::{
    Checkpoint, ConfigFileError, Error, Format, Gathered, GenerationConfig, NamedTensors, Problem,
    config, mapped::Mapped, read_config, read_generation_config, read_safetensors, read_torch,
    safetensors::has_entry, unique::UniqueMap,
};
use bytes::Bytes;
use indexmap::{IndexMap, IndexSet};
use serde::Deserialize;
use std::{
    fs,
    io::ErrorKind,
    path::{Component, Path, PathBuf},
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
    /// The files are mapped, and must not be changed while the checkpoint or a tensor of it lives. One that is put in the place of another does no harm;
    /// one that is written over changes the weights, and one that is cut ends the program: see [`when_cut`](super::when_cut).
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
            Err(Error::Io { reason, .. }) if reason.kind() == ErrorKind::NotFound => {
                GenerationConfig::default()
            }
            generation => generation?,
        };
        let generation = generation.or(model.generation.clone());
        let mut gathered = Gathered::default();
        let format = gather(weights, &mut gathered)?;
        // Files that are missing are told first, without every tensor that is therefore missing too.
        if !gathered.problems.is_empty() {
            return Err(gathered.problems.into_error(weights.to_owned()));
        }
        let tokenizer = ["tokenizer.model", "tokenizer.json"].map(|name| folder.join(name));
        let checkpoint = gathered.check(model, format, weights.to_owned())?;
        Ok(Checkpoint {
            generation,
            tokenizer: tokenizer.into_iter().find(|path| path.is_file()),
            ..checkpoint
        })
    }
}

/// The weight files of a folder, in the order in which they are preferred.
const FORMS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

fn gather(weights: &Path, gathered: &mut Gathered) -> Result<Format, Error> {
    let found = if weights.is_dir() {
        let mut forms = FORMS.iter().map(|form| weights.join(form));
        forms
            .find(|form| form.is_file())
            .ok_or_else(|| no_weights(weights))?
    } else {
        weights.to_owned()
    };
    if found.extension().is_some_and(|e| e == "json") {
        return gather_shards(&found, gathered);
    }
    let (tensors, format) = read_tensors(&found)?;
    gathered.add(tensors, &Arc::from(found));
    Ok(format)
}

/// What a folder without weights has instead.
fn no_weights(folder: &Path) -> Error {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut others: Vec<String> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".safetensors") || name.ends_with(".bin"))
        .collect();
    others.sort();
    Error::NoWeights {
        folder: folder.to_owned(),
        hint: match others.as_slice() {
            [] => String::new(),
            [one, ..] => format!(
                "; there is {one}, though: name that file, or bring the index that belongs to the shards"
            ),
        },
    }
}

/// Which file holds which tensor, `*.index.json`.
#[derive(Deserialize)]
struct Index {
    weight_map: UniqueMap<String>,
}

fn gather_shards(path: &Path, gathered: &mut Gathered) -> Result<Format, Error> {
    let json = read_short(path)?;
    let index: Index = config::parse(&json).map_err(|reason| Error::Index {
        file: path.to_owned(),
        reason,
    })?;
    let mut shards: IndexMap<String, Vec<String>> = IndexMap::new();
    for (tensor, shard) in index.weight_map.0 {
        shards.entry(shard).or_default().push(tensor);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut format = None;
    for (shard, names) in shards {
        // A name of a file is one plain component; links are followed, for a hub's cache consists of them.
        let mut components = Path::new(&shard).components();
        let plain = matches!(components.next(), Some(Component::Normal(_)));
        if !(plain && components.next().is_none()) {
            let first = names.into_iter().next().unwrap_or_default();
            let problem = Problem::Outside { file: shard, first };
            gathered.problems.push(problem);
            continue;
        }
        let file: Arc<Path> = folder.join(&shard).into();
        if !file.is_file() {
            gathered.problems.push(Problem::NoShard {
                file: file.to_path_buf(),
                tensors: names.len(),
                first: names.into_iter().next().unwrap_or_default(),
            });
            continue;
        }
        let (tensors, found) = read_tensors(&file)?;
        format.get_or_insert(found);
        let names: IndexSet<String> = names.into_iter().collect();
        for name in names.iter().filter(|name| !has_entry(&tensors, name)) {
            gathered.problems.push(Problem::NotInShard {
                name: name.clone(),
                file: file.to_path_buf(),
            });
        }
        for name in tensors.keys().filter(|name| !names.contains(*name)) {
            gathered.problems.push(Problem::NotInIndex {
                name: name.clone(),
                file: file.to_path_buf(),
            });
        }
        gathered.add(tensors, &file);
    }
    // An index that names no file fits no configuration, and is told apart there.
    Ok(format.unwrap_or(Format::Safetensors))
}

/// A weight file, whose format its first bytes tell.
fn read_tensors(file: &Path) -> Result<(NamedTensors, Format), Error> {
    let bytes = map(file)?;
    let unknown = |why| Error::UnknownFormat {
        file: file.to_owned(),
        why,
    };
    let extension = file.extension().and_then(|e| e.to_str());
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(unknown(
            "it is a pointer that git-lfs left in its place; run `git lfs pull`, or fetch the model again",
        ));
    }
    let zip = bytes.starts_with(b"PK");
    let pickle = bytes.first() == Some(&0x80) && bytes.get(8) != Some(&b'{');
    if zip || pickle || extension == Some("bin") {
        let tensors = read_torch(bytes).map_err(|reason| Error::Torch {
            file: file.to_owned(),
            reason: Box::new(reason),
        })?;
        return Ok((tensors, Format::Torch));
    }
    if extension == Some("safetensors") || bytes.get(8) == Some(&b'{') {
        let tensors = read_safetensors(bytes).map_err(|reason| Error::Safetensors {
            file: file.to_owned(),
            reason: Box::new(reason),
        })?;
        return Ok((tensors, Format::Safetensors));
    }
    Err(unknown(
        "name a .safetensors or .bin file, or the folder that holds one",
    ))
}

/// The bytes of a file, as pages that the system reads when they are touched.
fn map(path: &Path) -> Result<Bytes, Error> {
    let mapped = Mapped::open(path).map_err(|reason| Error::Io {
        file: path.to_owned(),
        reason,
    })?;
    Ok(Bytes::from_owner(mapped))
}

fn read_json<T>(
    path: &Path,
    read: impl FnOnce(&[u8]) -> Result<T, ConfigFileError>,
) -> Result<T, Error> {
    let json = read_short(path)?;
    read(&json).map_err(|reason| Error::Config {
        file: path.to_owned(),
        reason: Box::new(reason),
    })
}

fn read_short(path: &Path) -> Result<Vec<u8>, Error> {
    let file: PathBuf = path.to_owned();
    let io = |reason| Error::Io {
        file: path.to_owned(),
        reason,
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
