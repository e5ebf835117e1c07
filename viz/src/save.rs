//! What can be saved: the session, the picture, its numbers. Written beside its place and then renamed, so that nothing is lost half-way.

use crate::{
    export,
    session::{Session, View},
    views::{self, Scene},
};
use baichuan2::attention::Pooling;
use eframe::egui::{Theme, Vec2};
use ndarray::Array2;
use ndarray_npy::WriteNpyExt;
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// What is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Model, text, layer, head, scale: everything that opens the same picture again.
    Session,
    /// What is in the middle, for the web and for drawing programs.
    Svg,
    /// The same in pixels, three a point: for print.
    Png,
    /// The numbers behind it, as text.
    Csv,
    /// The weights of the chosen head, for NumPy.
    Npy,
}

impl Content {
    /// All, in the order in which they are offered.
    pub const ALL: [Content; 5] = [
        Content::Session,
        Content::Svg,
        Content::Png,
        Content::Csv,
        Content::Npy,
    ];

    /// Its name, in English.
    pub fn name(self) -> &'static str {
        match self {
            Content::Session => "Session",
            Content::Svg => "Picture (SVG)",
            Content::Png => "Picture (PNG)",
            Content::Csv => "Numbers (CSV)",
            Content::Npy => "Numbers (NPY)",
        }
    }

    /// How its files end.
    pub fn extension(self) -> &'static str {
        match self {
            Content::Session => "json",
            Content::Svg => "svg",
            Content::Png => "png",
            Content::Csv => "csv",
            Content::Npy => "npy",
        }
    }
}

/// What cannot be saved or opened.
#[derive(Debug, Error)]
pub enum SaveError {
    /// The disk.
    #[error("{path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The picture.
    #[error(transparent)]
    Export(#[from] export::ExportError),
    /// The numbers.
    #[error("there are no such numbers in this view: {0}")]
    Numbers(String),
    /// Something else than a session.
    #[error("{path}: not a session of this program: {error}")]
    NotASession {
        /// Which file.
        path: PathBuf,
        /// Where it differs.
        error: serde_json::Error,
    },
}

/// The bytes to write.
///
/// # Errors
/// See [`SaveError`].
pub fn bytes(
    content: Content,
    scene: &mut Scene,
    size: Vec2,
    theme: Theme,
) -> Result<Vec<u8>, SaveError> {
    match content {
        Content::Session => Ok(scene.session.to_json().into_bytes()),
        Content::Svg => Ok(picture(scene, size, theme)?.into_bytes()),
        Content::Png => {
            const PIXELS_A_POINT: f32 = 3.0;
            Ok(export::png(&picture(scene, size, theme)?, PIXELS_A_POINT)?)
        }
        Content::Csv => csv(scene),
        Content::Npy => npy(scene),
    }
}

/// Opens a session.
///
/// # Errors
/// A file that cannot be read, or that is no session.
pub fn open_session(path: &Path) -> Result<Session, SaveError> {
    let bytes = fs::read(path).map_err(|error| at(path, error))?;
    Session::from_json(&bytes).map_err(|error| SaveError::NotASession {
        path: path.to_owned(),
        error,
    })
}

/// Writes a file whole or not at all.
///
/// # Errors
/// What the disk says.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), SaveError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let write = || -> io::Result<()> {
        let mut new = tempfile::Builder::new();
        // Otherwise nobody else could read it.
        #[cfg(unix)]
        new.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = new.tempfile_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| at(path, error))
}

fn at(path: &Path, error: io::Error) -> SaveError {
    SaveError::File {
        path: path.to_owned(),
        error,
    }
}

fn picture(scene: &mut Scene, size: Vec2, theme: Theme) -> Result<String, SaveError> {
    Ok(export::svg(size, theme, |ui| views::show(ui, scene))?)
}

/// The weights of the chosen head, `[queries, keys]`, NaN where hidden.
fn weights(scene: &Scene) -> Result<Array2<f32>, SaveError> {
    let n = scene.analysis.tokens.len();
    let head = views::attention::chosen(scene);
    let weights = scene
        .analysis
        .weights(head, 0..n, 0..n, [n, n], Pooling::Max);
    weights.map_err(|error| SaveError::Numbers(error.to_string()))
}

fn npy(scene: &Scene) -> Result<Vec<u8>, SaveError> {
    let mut bytes = Vec::new();
    weights(scene)?
        .write_npy(&mut bytes)
        .map_err(|error| SaveError::Numbers(error.to_string()))?;
    Ok(bytes)
}

/// Of attention the weights of the chosen head; of tokens the pieces; of the rest what comes next after the chosen token.
fn csv(scene: &Scene) -> Result<Vec<u8>, SaveError> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let tokens = &scene.analysis.tokens;
    let mut write = |row: Vec<String>| {
        let written = table.write_record(row);
        written.map_err(|error| SaveError::Numbers(error.to_string()))
    };
    match scene.session.view {
        View::Attention | View::Positions | View::Blocks | View::Compare => {
            let labels = tokens
                .iter()
                .enumerate()
                .map(|(i, token)| format!("{i} {}", token.label));
            write([String::from("query")].into_iter().chain(labels).collect())?;
            for (i, row) in weights(scene)?.rows().into_iter().enumerate() {
                let label = format!("{i} {}", tokens[i].label);
                let cells = row.iter().map(|w| {
                    if w.is_nan() {
                        String::new()
                    } else {
                        w.to_string()
                    }
                });
                write([label].into_iter().chain(cells).collect())?;
            }
        }
        View::Tokens => {
            write(
                ["position", "id", "piece", "bytes"]
                    .map(String::from)
                    .into(),
            )?;
            for (i, token) in tokens.iter().enumerate() {
                let bytes: Vec<String> = token.bytes.iter().map(|b| format!("{b:02X}")).collect();
                write(vec![
                    i.to_string(),
                    token.id.to_string(),
                    token.label.clone(),
                    bytes.join(" "),
                ])?;
            }
        }
        View::Stream | View::Generation => {
            let position = scene
                .session
                .query
                .unwrap_or(tokens.len().saturating_sub(1));
            let logits = scene.analysis.logits(position);
            let logits = logits.ok_or_else(|| SaveError::Numbers("there are no tokens".into()))?;
            write(
                ["id", "piece", "logit", "probability"]
                    .map(String::from)
                    .into(),
            )?;
            for (id, probability) in scene.analysis.next(position, usize::MAX) {
                let logit = logits[id as usize];
                write(vec![
                    id.to_string(),
                    scene.analysis.label_of(id),
                    logit.to_string(),
                    probability.to_string(),
                ])?;
            }
        }
    }
    table
        .into_inner()
        .map_err(|error| SaveError::Numbers(error.to_string()))
}
