//! What can be wrong with a checkpoint, told with the tensor, the shapes and the file.
//!
//! Each message is whole, its reason included, so none of these errors has a `source` that would say it again.

use super::{ConfigFileError, SafetensorsError, TorchError};
use crate::tensor::ShapeError;
use std::{fmt, path::PathBuf};
use thiserror::Error;

/// A checkpoint that cannot be opened.
#[derive(Debug, Error)]
pub enum Error {
    /// A file that cannot be read.
    #[error("{}: {reason}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What went wrong.
        reason: std::io::Error,
    },
    /// There is no such folder.
    #[error("{}: is not a folder; give the folder that holds config.json and the weights", .0.display())]
    NotAFolder(PathBuf),
    /// A folder without weights.
    #[error(
        "{}: has no weights; looked for model.safetensors, model.safetensors.index.json, pytorch_model.bin and \
         pytorch_model.bin.index.json{}", folder.display(), hint
    )]
    NoWeights {
        /// The folder.
        folder: PathBuf,
        /// What was found instead, where that helps.
        hint: String,
    },
    /// A weight file whose format cannot be told.
    #[error("{}: is neither safetensors nor a torch file: {why}", file.display())]
    UnknownFormat {
        /// The file.
        file: PathBuf,
        /// What it is instead, and what to do.
        why: &'static str,
    },
    /// A text file that is too long to be what its name says.
    #[error("{}: is {bytes} bytes long; no file of this kind needs more than {limit}", file.display())]
    TooLong {
        /// The file.
        file: PathBuf,
        /// Its length.
        bytes: u64,
        /// The length that is accepted.
        limit: u64,
    },
    /// A `config.json` or `generation_config.json` that cannot be used.
    #[error("{}: {reason}", file.display())]
    Config {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: Box<ConfigFileError>,
    },
    /// A safetensors file that cannot be read.
    #[error("{}: {reason}", file.display())]
    Safetensors {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: Box<SafetensorsError>,
    },
    /// A torch file that cannot be read.
    #[error("{}: {reason}", file.display())]
    Torch {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: Box<TorchError>,
    },
    /// An index that is not an object with a `weight_map` from tensors to files.
    #[error("{}: {reason}", file.display())]
    Index {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: serde_json::Error,
    },
    /// Tensors that do not fit the configuration.
    #[error("{}: the weights are not those of this model; problems: {}\n{problems}", folder.display(), problems.count())]
    Problems {
        /// The folder.
        folder: PathBuf,
        /// What does not fit.
        problems: Problems,
    },
    /// A name that no parameter has.
    #[error("the checkpoint has no parameter `{0}`")]
    NoTensor(String),
    /// Parameters that make no decoder.
    #[error(transparent)]
    Decoder(#[from] crate::dtransformer::Error),
}

/// A tensor in a number format that the decoder does not compute with.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("a tensor of shape {shape:?} in {dtype}; supported are f32, f16 and bf16")]
pub struct UnsupportedDtype {
    /// The format, as the file names it.
    pub dtype: String,
    /// The shape.
    pub shape: Vec<usize>,
}

/// One way in which the files do not fit the configuration, or each other.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// A parameter that no file holds.
    #[error("{name}: missing; it should have shape {shape:?}")]
    Missing {
        /// The parameter.
        name: String,
        /// The shape that the configuration gives it.
        shape: Vec<usize>,
    },
    /// A tensor that the configuration has no place for.
    #[error("{name}: of shape {shape:?} in {}, is no parameter of this model", file.display())]
    Extra {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The file that holds it.
        file: PathBuf,
    },
    /// A parameter of another shape.
    #[error("{reason} in {}", file.display())]
    Shape {
        /// The file that holds it.
        file: PathBuf,
        /// The parameter and both shapes.
        reason: ShapeError,
    },
    /// A parameter in a number format that the decoder does not compute with.
    #[error("{name}: stored in {dtype} in {}; supported are f32, f16 and bf16", file.display())]
    Dtype {
        /// The parameter.
        name: String,
        /// Its format, as the file names it.
        dtype: String,
        /// The file that holds it.
        file: PathBuf,
    },
    /// A tensor that two files hold.
    #[error("{name}: in {} and again in {}", files[0].display(), files[1].display())]
    Duplicate {
        /// The tensor.
        name: String,
        /// The files.
        files: [PathBuf; 2],
    },
    /// A tensor that the index looks for in another file.
    #[error("{name}: the index says {}, which does not hold it", file.display())]
    NotInShard {
        /// The tensor.
        name: String,
        /// The file that the index names.
        file: PathBuf,
    },
    /// A tensor that the index does not know.
    #[error("{name}: in {}, but not in the index", file.display())]
    NotInIndex {
        /// The tensor.
        name: String,
        /// The file that holds it.
        file: PathBuf,
    },
    /// A file that the index names and the folder lacks.
    #[error("{}: is missing; the index looks there for {tensors} tensors, `{first}` among them", file.display())]
    NoShard {
        /// The file.
        file: PathBuf,
        /// Tensors it should hold.
        tensors: usize,
        /// One of them.
        first: String,
    },
    /// A file that the index looks for outside the folder.
    #[error(
        "{first}: the index says `{file}`, which is not the name of a file in the folder; refused"
    )]
    Outside {
        /// The path that the index gives.
        file: String,
        /// A tensor that should be there.
        first: String,
    },
    /// More layers than tensors.
    #[error("config.json has {layers} layers, but the files hold {tensors} tensors in all")]
    TooFewTensors {
        /// `num_hidden_layers`.
        layers: usize,
        /// Tensors in all files.
        tensors: usize,
    },
}

/// The problems of a checkpoint: the first ten, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    first: Vec<Problem>,
    count: usize,
}

impl Problems {
    /// More than ten tell nothing new.
    const SHOWN: usize = 10;

    /// The first ten.
    pub fn first(&self) -> &[Problem] {
        &self.first
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    pub(super) fn push(&mut self, problem: Problem) {
        self.count += 1;
        if self.first.len() < Problems::SHOWN {
            self.first.push(problem);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn into_error(self, folder: PathBuf) -> Error {
        Error::Problems {
            folder,
            problems: self,
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.first.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}  {problem}")?;
        }
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
