//! The files that hold somebody else's numbers: `acts.safetensors` and `golden.json`.

use super::Error;
use ndarray::{ArrayD, IxDyn};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Numbers of `golden.json`.
#[derive(Deserialize)]
pub struct Golden {
    pub prompt_ids: Vec<u32>,
    pub cached_prefill: usize,
    pub lm_head_row_norm_before: Vec<f64>,
    pub loss_with_z: f64,
    pub z_loss_weight: f64,
    pub loss_without_z: f64,
    pub prompt_logprobs: Vec<f64>,
    pub prompt_ppl: f64,
    pub greedy: Vec<u32>,
    #[serde(rename = "greedy_rp1.05")]
    pub greedy_1_05: Vec<u32>,
    #[serde(rename = "greedy_rp1.3")]
    pub greedy_1_3: Vec<u32>,
    pub sampling: GoldenSampling,
    pub bf16_vs_f32_maxdiff: f64,
    pub slopes: Option<Vec<f64>>,
}

/// The prompt's last logits through each filter.
#[derive(Deserialize)]
pub struct GoldenSampling {
    pub temperature: f64,
    pub top_k: usize,
    pub top_p: f64,
    pub repetition_penalty: f64,
    pub after_repetition_penalty: Vec<f64>,
    pub after_top_k_kept: Vec<u32>,
    pub after_top_p_kept: Vec<u32>,
    pub probs_of_kept: Vec<f64>,
}

/// The numbers to compare with.
pub struct Goldens {
    pub file: PathBuf,
    pub acts: Vec<u8>,
    pub golden: Golden,
}

impl Goldens {
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let read = |name: &'static str| {
            let file = folder.join(name);
            let missing = Error::NoGoldens {
                folder: folder.to_owned(),
                missing: name,
            };
            if !file.is_file() {
                return Err(missing);
            }
            let why = |e: std::io::Error| Error::Golden {
                file: file.clone(),
                why: e.to_string(),
            };
            Ok((file.clone(), fs::read(&file).map_err(why)?))
        };
        let (file, acts) = read("acts.safetensors")?;
        let (json_file, json) = read("golden.json")?;
        let golden = serde_json::from_slice(&json).map_err(|e| Error::Golden {
            file: json_file,
            why: e.to_string(),
        })?;
        let goldens = Goldens { file, acts, golden };
        goldens.file()?;
        Ok(goldens)
    }

    pub fn bad(&self, why: impl ToString) -> Error {
        Error::Golden {
            file: self.file.clone(),
            why: why.to_string(),
        }
    }

    pub fn file(&self) -> Result<SafeTensors<'_>, Error> {
        SafeTensors::deserialize(&self.acts).map_err(|e| self.bad(e))
    }

    /// Names in the file, in order.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let mut names: Vec<String> = self
            .file()?
            .names()
            .into_iter()
            .map(str::to_owned)
            .collect();
        names.sort();
        Ok(names)
    }

    pub fn array(&self, name: &str) -> Result<ArrayD<f32>, Error> {
        let file = self.file()?;
        let view = file
            .tensor(name)
            .map_err(|e| self.bad(format!("{name}: {e}")))?;
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => view
                .data()
                .as_chunks()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect(),
            Dtype::BF16 => view
                .data()
                .as_chunks()
                .0
                .iter()
                .map(|b| half::bf16::from_le_bytes(*b).to_f32())
                .collect(),
            other => return Err(self.bad(format!("{name}: is in {other}, not in f32"))),
        };
        ArrayD::from_shape_vec(IxDyn(view.shape()), values).map_err(|e| self.bad(e))
    }

    /// Rows of ids, `[rows, tokens]`.
    pub fn ids(&self, name: &str) -> Result<Vec<Vec<u32>>, Error> {
        let file = self.file()?;
        let view = file
            .tensor(name)
            .map_err(|e| self.bad(format!("{name}: {e}")))?;
        let (Dtype::I64, &[_, tokens]) = (view.dtype(), view.shape()) else {
            return Err(self.bad(format!("{name}: is no batch of ids")));
        };
        let ids: Vec<u32> = view
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|b| u32::try_from(i64::from_le_bytes(*b)))
            .collect::<Result<_, _>>()
            .map_err(|e| self.bad(format!("{name}: {e}")))?;
        Ok(ids.chunks(tokens.max(1)).map(<[u32]>::to_vec).collect())
    }
}
