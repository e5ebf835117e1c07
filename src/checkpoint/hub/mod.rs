//! Downloads from the Hugging Face hub, or from any server that answers as it does.
//!
//! A [`Plan`] lists the files of one commit that a checkpoint needs; [`Hub::download`] fetches those that are not there yet. An
//! interrupted file goes on where it stopped, and every file is checked by its length and, where the hub gives one, by its SHA-256.
//!
//! The transfer itself, and the layout of the cache that other programs share, are the crate `hf-hub`'s. It resumes partial files,
//! but neither checks what it got nor survives its own retries (after a failed request it starts at byte 0 of a file it appends
//! to), so both are done here.

mod error;

pub use error::HubError;

use super::BESIDE_WEIGHTS;
use hf_hub::{
    Cache, Repo, RepoType,
    api::{
        Progress,
        sync::{Api, ApiBuilder, ApiError, ApiRepo},
    },
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    time::Duration,
};

/// Where the hub is, if nothing else is said.
pub const ENDPOINT: &str = "https://huggingface.co";

/// The hub's name of a model: `7b-base` and its like stand for those of Baichuan 2.
///
/// ```
/// use baichuan2::checkpoint::hub::repository;
/// assert_eq!(repository("13b-chat").unwrap(), "baichuan-inc/Baichuan2-13B-Chat");
/// assert_eq!(repository("org/model").unwrap(), "org/model");
/// assert!(repository("70b").is_err());
/// ```
///
/// # Errors
/// Neither a short name nor of the form `organisation/model`.
pub fn repository(name: &str) -> Result<String, HubError> {
    let model = match name.to_lowercase().as_str() {
        "7b-base" => "Baichuan2-7B-Base",
        "7b-chat" => "Baichuan2-7B-Chat",
        "13b-base" => "Baichuan2-13B-Base",
        "13b-chat" => "Baichuan2-13B-Chat",
        _ => match name.split('/').collect::<Vec<_>>().as_slice() {
            [organisation, model] if is_plain(organisation) && is_plain(model) => {
                return Ok(name.to_owned());
            }
            _ => return Err(HubError::BadName(name.to_owned())),
        },
    };
    Ok(format!("baichuan-inc/{model}"))
}

/// Letters, digits and `-_.`, and not hidden: what becomes part of a path here.
fn is_plain(name: &str) -> bool {
    let ascii = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && !name.starts_with('.') && name.chars().all(ascii)
}

/// A server of models.
#[derive(Clone, Debug)]
pub struct Hub {
    /// `https://huggingface.co`, or a mirror.
    pub endpoint: String,
    /// Shown to the server for models that not everyone may see.
    pub token: Option<String>,
}

impl Hub {
    /// The hub that `HF_ENDPOINT` names, with the token of `HF_TOKEN` or of the cache.
    pub fn from_env() -> Self {
        let var = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
        let cached = || {
            cache_folder()
                .ok()
                .and_then(|path| Cache::new(path).token())
        };
        Hub {
            endpoint: var("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()),
            token: var("HF_TOKEN").or_else(cached),
        }
    }
}

/// Where the files go.
#[derive(Clone, Debug)]
pub enum Destination {
    /// The cache below `HF_HOME`, or else `~/.cache/huggingface`, in which other programs find them too.
    Cache,
    /// A plain folder of files.
    Folder(PathBuf),
}

impl Destination {
    fn cache(&self) -> Result<Cache, HubError> {
        let path = match self {
            Destination::Cache => cache_folder()?,
            Destination::Folder(folder) => folder.join(UNFINISHED),
        };
        // Links inside the cache are relative, and can only be told from one absolute path to another.
        let path = std::path::absolute(&path).map_err(|reason| HubError::Io { path, reason })?;
        Ok(Cache::new(path))
    }
}

/// Files on their way, inside the folder that they go to.
const UNFINISHED: &str = ".unfinished";

fn cache_folder() -> Result<PathBuf, HubError> {
    if std::env::var_os("HF_HOME").is_none() && std::env::home_dir().is_none() {
        return Err(HubError::NoHome);
    }
    Ok(Cache::from_env().path().clone())
}

/// The files of one commit that a checkpoint needs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `organisation/model`.
    pub repo: String,
    /// The branch, tag or commit that was asked for.
    pub revision: String,
    /// The commit that it is.
    pub commit: String,
    /// The files, small ones first.
    pub files: Vec<RemoteFile>,
}

impl Plan {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// All requests go to the one commit, so that a model that is changed meanwhile is not mixed with its successor.
    fn repo(&self) -> Repo {
        Repo::with_revision(self.repo.clone(), RepoType::Model, self.commit.clone())
    }
}

/// One file of the hub.
#[derive(Clone, Debug)]
pub struct RemoteFile {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256 in hexadecimal, which the hub keeps for large files.
    pub sha256: Option<String>,
    /// The name under which a cache keeps it.
    etag: String,
}

#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
}

impl Hub {
    fn api(&self, cache: Cache) -> Result<Api, HubError> {
        let builder = ApiBuilder::from_cache(cache)
            .with_endpoint(self.endpoint.trim_end_matches('/').to_owned())
            .with_token(self.token.clone())
            .with_progress(false);
        builder
            .build()
            .map_err(|reason| self.protocol(reason.to_string()))
    }

    fn protocol(&self, what: impl Into<String>) -> HubError {
        HubError::Protocol {
            endpoint: self.endpoint.clone(),
            what: what.into(),
        }
    }

    /// What the server said no to.
    fn refusal(&self, repo: &str, revision: &str, file: &str, reason: ApiError) -> HubError {
        let endpoint = self.endpoint.clone();
        let repo = repo.to_owned();
        let status = match &reason {
            ApiError::RequestError(error) => match **error {
                ureq::Error::StatusCode(status) => Some(status),
                _ => None,
            },
            _ => None,
        };
        if let ApiError::RequestError(error) = &reason
            && let ureq::Error::BadUri(_) | ureq::Error::Http(_) = **error
        {
            return self.protocol(format!("is no address of a server: {error}"));
        }
        match (status, reason) {
            (Some(401 | 403), _) => HubError::Forbidden { endpoint, repo },
            (Some(404), _) => HubError::NotFound {
                endpoint,
                repo,
                revision: revision.to_owned(),
            },
            (_, ApiError::MissingHeader(header) | ApiError::InvalidHeader(header)) => self
                .protocol(format!(
                    "answers for {file} without a usable header `{header}`, so it is no such hub"
                )),
            (_, reason) => HubError::Transfer {
                file: file.to_owned(),
                reason: Box::new(reason),
            },
        }
    }

    /// Asks which files the model has, and chooses: configuration, tokenizer, and the weights as safetensors or else as torch files.
    ///
    /// # Errors
    /// See [`HubError`].
    pub fn plan(&self, repo: &str, revision: &str, to: &Destination) -> Result<Plan, HubError> {
        let refusal = |file: &str, reason| self.refusal(repo, revision, file, reason);
        let api = self.api(to.cache()?)?;
        let branch = Repo::with_revision(repo.to_owned(), RepoType::Model, revision.to_owned());
        let request = api.repo(branch).info_request().query("blobs", "true");
        let list = format!("{}, list of files", self.endpoint);
        let json = |error| refusal(&list, ApiError::RequestError(Box::new(error)));
        let mut response = request.call().map_err(json)?;
        let listing: Listing = response.body_mut().read_json().map_err(json)?;
        if !is_plain(&listing.sha) {
            return Err(self.protocol(format!("names the commit `{}`", listing.sha)));
        }
        let mut plan = Plan {
            repo: repo.to_owned(),
            revision: revision.to_owned(),
            commit: listing.sha,
            files: vec![],
        };
        let remote = api.repo(plan.repo());
        for Sibling { rfilename, lfs } in needed(listing.siblings) {
            let found = api.metadata(&remote.url(&rfilename));
            let found = found.map_err(|reason| refusal(&rfilename, reason))?;
            if !is_plain(found.etag()) {
                return Err(self.protocol(format!("gives {rfilename} the tag `{}`", found.etag())));
            }
            plan.files.push(RemoteFile {
                size: found.size() as u64,
                sha256: lfs.and_then(|lfs| lfs.sha256),
                etag: found.etag().to_owned(),
                name: rfilename,
            });
        }
        let has = |suffix| plan.files.iter().any(|file| file.name.ends_with(suffix));
        if !(has("config.json") && (has(".safetensors") || has(".bin"))) {
            return Err(HubError::NoWeights(repo.to_owned()));
        }
        plan.files.sort_by_key(|file| file.size);
        Ok(plan)
    }

    /// Fetches what is not there yet, and gives the folder that then holds all files.
    ///
    /// `free` is the number of bytes that may be used; `None` asks the file system. Each file gets a `progress` of its own.
    ///
    /// # Errors
    /// See [`HubError`]. What was fetched stays, and the same call goes on from there.
    pub fn download<P: Progress>(
        &self,
        plan: &Plan,
        to: &Destination,
        free: Option<u64>,
        progress: impl Fn() -> P,
    ) -> Result<PathBuf, HubError> {
        let cache = to.cache()?;
        let folder = match to {
            Destination::Cache => cache.repo(plan.repo()).pointer_path(&plan.commit),
            Destination::Folder(folder) => folder.clone(),
        };
        let io = |path: &Path, reason| HubError::Io {
            path: path.to_owned(),
            reason,
        };
        fs::create_dir_all(cache.path()).map_err(|reason| io(cache.path(), reason))?;
        let missing: Vec<&RemoteFile> = plan
            .files
            .iter()
            .filter(|file| length(&folder.join(&file.name)) != Some(file.size))
            .collect();
        let part = |file: &RemoteFile| partial(&cache, plan, file);
        let needed = missing
            .iter()
            .map(|file| file.size.saturating_sub(length(&part(file)).unwrap_or(0)))
            .sum();
        let free = match free {
            Some(free) => free,
            None => fs4::available_space(cache.path()).map_err(|e| io(cache.path(), e))?,
        };
        if needed > free {
            return Err(HubError::NoSpace {
                folder,
                needed,
                free,
            });
        }
        let remote = self.api(cache.clone())?.repo(plan.repo());
        for file in missing {
            let got = self.fetch(plan, file, &remote, &part(file), &progress)?;
            if let Destination::Folder(folder) = to {
                // Out of the cache's store of blobs, to which its own name is a link.
                let blob = fs::canonicalize(&got).map_err(|reason| io(&got, reason))?;
                let place = folder.join(&file.name);
                fs::rename(&blob, &place).map_err(|reason| io(&place, reason))?;
            }
        }
        match to {
            Destination::Folder(_) => {
                fs::remove_dir_all(cache.path()).map_err(|reason| io(cache.path(), reason))?;
            }
            Destination::Cache => {
                let branch =
                    Repo::with_revision(plan.repo.clone(), RepoType::Model, plan.revision.clone());
                let named = cache.repo(branch).create_ref(&plan.commit);
                named.map_err(|reason| io(cache.path(), reason))?;
            }
        }
        Ok(folder)
    }

    /// One file, tried a few times, each time from where the last one stopped, then checked.
    fn fetch<P: Progress>(
        &self,
        plan: &Plan,
        file: &RemoteFile,
        remote: &ApiRepo,
        part: &Path,
        progress: impl Fn() -> P,
    ) -> Result<PathBuf, HubError> {
        const TRIES: u32 = 5;
        let mut tries = 0;
        let got = loop {
            // There would be nothing to ask for, and a server has no answer to that.
            if length(part).is_some_and(|have| have >= file.size) {
                fs::remove_file(part).map_err(|reason| HubError::Io {
                    path: part.to_owned(),
                    reason,
                })?;
            }
            tries += 1;
            match remote.download_with_progress(&file.name, progress()) {
                Ok(path) => break path,
                Err(reason) => match self.refusal(&plan.repo, &plan.commit, &file.name, reason) {
                    HubError::Transfer { .. } if tries < TRIES => {
                        std::thread::sleep(Duration::from_millis(100) * tries * tries);
                    }
                    error => return Err(error),
                },
            }
        };
        check(file, &got)?;
        Ok(got)
    }
}

/// Where the bytes that have arrived so far are.
fn partial(cache: &Cache, plan: &Plan, file: &RemoteFile) -> PathBuf {
    let mut path = cache.repo(plan.repo()).blob_path(&file.etag);
    path.set_extension("part");
    path
}

fn length(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|found| found.len())
}

/// Compares a file with what the hub says of it, and removes it where they differ.
fn check(file: &RemoteFile, got: &Path) -> Result<(), HubError> {
    let io = |reason| HubError::Io {
        path: got.to_owned(),
        reason,
    };
    let length = fs::metadata(got).map_err(io)?.len();
    let mut what = None;
    if length != file.size {
        what = Some(format!("{length} bytes instead of {}", file.size));
    } else if let Some(expected) = &file.sha256 {
        let mut hash = Sha256::new();
        let mut reader = BufReader::with_capacity(1 << 20, File::open(got).map_err(io)?);
        loop {
            let bytes = reader.fill_buf().map_err(io)?;
            let read = bytes.len();
            if read == 0 {
                break;
            }
            hash.update(bytes);
            reader.consume(read);
        }
        let found: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        if !found.eq_ignore_ascii_case(expected) {
            what = Some(format!("SHA-256 {found} instead of {expected}"));
        }
    }
    let Some(what) = what else { return Ok(()) };
    // The link and the blob behind it, so that the next run begins anew.
    let blob = fs::canonicalize(got).map_err(io)?;
    fs::remove_file(got).map_err(io)?;
    if blob != got && blob.exists() {
        fs::remove_file(blob).map_err(io)?;
    }
    Err(HubError::Corrupted {
        file: file.name.clone(),
        what,
    })
}

/// The files that a checkpoint needs: nothing executable, and one form of the weights.
fn needed(siblings: Vec<Sibling>) -> Vec<Sibling> {
    let is = |name: &str, stem: &str, end: &str| {
        let rest = name.strip_prefix(stem);
        let rest = rest.and_then(|rest| rest.strip_suffix(end));
        // Alone, or one shard of several: `-00001-of-00002`.
        rest.is_some_and(|shard| shard.is_empty() || shard.starts_with('-'))
    };
    let is_safetensors =
        |name: &str| is(name, "model", ".safetensors") || name == "model.safetensors.index.json";
    let is_torch =
        |name: &str| is(name, "pytorch_model", ".bin") || name == "pytorch_model.bin.index.json";
    let safetensors = siblings
        .iter()
        .any(|file| is(&file.rfilename, "model", ".safetensors"));
    let is_weight = |name: &str| {
        if safetensors {
            is_safetensors(name)
        } else {
            is_torch(name)
        }
    };
    let mut files = siblings;
    files.retain(|file| {
        let name = file.rfilename.as_str();
        is_plain(name) && (BESIDE_WEIGHTS.contains(&name) || is_weight(name))
    });
    files
}
