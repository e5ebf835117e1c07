//! What can go wrong on the way from the hub, and what to do about it.

use hf_hub::api::sync::ApiError;
use std::{io, path::PathBuf};
use thiserror::Error;

/// A model that cannot be fetched.
#[derive(Debug, Error)]
pub enum HubError {
    /// Not a name of the form `organisation/model`.
    #[error(
        "`{0}` is no model's name; give `organisation/model`, or one of 7b-base, 7b-chat, 13b-base, 13b-chat"
    )]
    BadName(String),
    /// The hub has no such model or revision.
    #[error("{endpoint} has no model `{repo}` with a revision `{revision}`")]
    NotFound {
        /// The server.
        endpoint: String,
        /// The model.
        repo: String,
        /// The branch, tag or commit.
        revision: String,
    },
    /// The hub does not show this model to everyone.
    #[error(
        "{endpoint} does not show `{repo}` to everyone: it is private, gated, or misspelt; if it is gated, accept its terms at \
         {endpoint}/{repo}, then set HF_TOKEN to a token that may read it"
    )]
    Forbidden {
        /// The server.
        endpoint: String,
        /// The model.
        repo: String,
    },
    /// The hub has the model, but no weights in a form that can be read.
    #[error("`{0}` has no config.json with safetensors or pytorch_model.bin weights beside it")]
    NoWeights(String),
    /// The disk is too small.
    #[error("{}: {needed} bytes are needed, {free} are free; make room, or choose another place with --out", folder.display())]
    NoSpace {
        /// Where the files would go.
        folder: PathBuf,
        /// Bytes that are still to be fetched.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// A file that arrived in another form than the hub promised.
    #[error(
        "{file}: what arrived is not what the hub holds ({what}); it was removed, run the command again"
    )]
    Corrupted {
        /// The file.
        file: String,
        /// Which sums differ.
        what: String,
    },
    /// A server that does not answer as the hub does.
    #[error("{endpoint}: {what}")]
    Protocol {
        /// The server.
        endpoint: String,
        /// What it did.
        what: String,
    },
    /// The connection failed.
    #[error("{file}: {reason}; run the same command again to go on from where it stopped")]
    Transfer {
        /// The file, or the list of files.
        file: String,
        /// What went wrong.
        reason: Box<ApiError>,
    },
    /// A file of this machine.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What went wrong.
        reason: io::Error,
    },
    /// No place to put the files.
    #[error("no home folder is known for the cache; set HF_HOME, or choose a place with --out")]
    NoHome,
}
