//! Tests of data that is no part of the project: real tokenizers, real weights, and the libraries that ship them.
//!
//! Where its data is absent, a test is listed as ignored, and its name says what is missing. With `BAICHUAN2_REQUIRE_REFERENCE=1`
//! (as in `.ci/run`) absence is a failure.
//!
//! | data | where |
//! |---|---|
//! | reference data | `BAICHUAN2_REFERENCE`, or `../shared/reference` |
//! | SmolLM2-135M-Instruct, as `smollm2/convert.py` of the reference data makes it | `BAICHUAN2_SMOLLM2` |
//! | a Python with the packages `sentencepiece` and `tokenizers` | `BAICHUAN2_PYTHON` |
//! | a Python with `torch` and `transformers`; gigabytes, so that its absence is never a failure | `BAICHUAN2_TORCH_PYTHON` |
//! | the same with `peft`, too | `BAICHUAN2_PEFT_PYTHON` |

mod checkpoint;
mod live;
mod origin;
#[path = "../common/reference.rs"]
mod reference;
mod smollm2;
mod stories;
mod tokenizer;
mod torch;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    process::ExitCode,
};

fn main() -> ExitCode {
    let trials = [
        checkpoint::trials(),
        tokenizer::trials(),
        stories::trials(),
        smollm2::trials(),
        live::trials(),
        origin::trials(),
        torch::trials(),
    ];
    let trials = trials.into_iter().flatten().collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Data that may be absent.
#[derive(Clone, Copy)]
pub enum Data {
    /// A file or folder of the reference data.
    Reference(&'static str),
    /// A file, folder or program that an environment variable names.
    Env(&'static str),
    /// A Python with `torch` that an environment variable names; nothing requires it.
    Torch(&'static str),
}

impl Data {
    /// The environment variable that says where it lies.
    fn variable(self) -> &'static str {
        match self {
            Data::Reference(_) => "BAICHUAN2_REFERENCE",
            Data::Env(name) | Data::Torch(name) => name,
        }
    }

    fn find(self) -> Option<PathBuf> {
        match self {
            Data::Reference(path) => reference::reference(path),
            Data::Env(name) | Data::Torch(name) => std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.exists()),
        }
    }
}

/// A test of some data. Where it is absent the test is ignored under a name that says so, and fails where it is run nevertheless.
pub fn needs<const N: usize>(data: [Data; N], name: &str, test: fn([&Path; N])) -> Trial {
    let found = data.map(Data::find);
    if found.iter().all(Option::is_some) {
        let paths = found.map(Option::unwrap);
        return Trial::test(name, move || {
            test(paths.each_ref().map(PathBuf::as_path));
            Ok(())
        });
    }
    let absent = data.iter().zip(&found).filter(|(_, found)| found.is_none());
    let variables: BTreeSet<_> = absent.map(|(data, _)| data.variable()).collect();
    let cure = format!("set {}", Vec::from_iter(variables).join(", "));
    let why =
        format!("its data is not here: {cure} to where it lies (see tests/reference/main.rs)");
    let may_be_absent = data.iter().all(|data| matches!(data, Data::Torch(_)));
    let required =
        !may_be_absent && std::env::var_os("BAICHUAN2_REQUIRE_REFERENCE").is_some_and(|v| v == "1");
    Trial::test(name, move || Err(Failed::from(why)))
        .with_kind(cure)
        .with_ignored_flag(!required)
}

/// A file of JSON.
pub fn json(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

/// A list of ids.
pub fn ids(value: &Value) -> Vec<u32> {
    let ids = value.as_array().unwrap().iter();
    ids.map(|id| id.as_u64().unwrap().try_into().unwrap())
        .collect()
}

/// The f32 tensors of a safetensors file: shape and numbers.
pub fn tensors(path: &Path) -> HashMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let floats = file
        .iter()
        .filter(|(_, view)| view.dtype() == safetensors::Dtype::F32);
    floats
        .map(|(name, view)| {
            let numbers = view.data().as_chunks().0.iter();
            let numbers = numbers.map(|b| f32::from_le_bytes(*b)).collect();
            (name.to_owned(), (view.shape().to_vec(), numbers))
        })
        .collect()
}

/// The largest difference of as many numbers.
#[track_caller]
pub fn difference<'a>(
    ours: impl IntoIterator<Item = &'a f32>,
    golden: impl IntoIterator<Item = &'a f32>,
) -> f32 {
    let (ours, golden): (Vec<_>, Vec<_>) =
        (ours.into_iter().collect(), golden.into_iter().collect());
    assert_eq!(ours.len(), golden.len(), "as many numbers");
    assert!(!ours.is_empty(), "nothing to compare");
    let differences = ours.iter().zip(&golden).map(|(a, b)| (*a - *b).abs());
    // NaN is the largest difference of all, and `max` alone would drop it.
    differences.fold(0.0, |max, d| {
        if d.is_nan() {
            f32::INFINITY
        } else {
            d.max(max)
        }
    })
}
