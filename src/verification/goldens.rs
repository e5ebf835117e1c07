//! A model against the intermediates that the shipped code computed from the same weights.

use super::{Check, Report, numbers::Goldens};
use crate::{
    alibi,
    attention::KeyValueCache,
    checkpoint::{Checkpoint, Error as CheckpointError},
    dtransformer::{self, DTransformer, Decoder, Position},
    generation::{Sampling, filters},
    probe::Trace,
    tensor::LinearMap,
    training::loss,
};
use ndarray::{Array1, ArrayD, ArrayView1, ArrayViewD, Axis, IxDyn, concatenate, s};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Largest difference from the shipped code in f32; what it differs from itself with and without a cache is 3e-6.
const TOLERANCE: f64 = 2e-5;

/// A verification that could not be made.
#[derive(Debug, Error)]
pub enum Error {
    /// The folder has nothing to compare with.
    #[error("{}: has no {missing} to compare with", folder.display())]
    NoGoldens {
        /// The folder.
        folder: PathBuf,
        /// The file that is not there.
        missing: &'static str,
    },
    /// A file of numbers that cannot be read.
    #[error("{}: {why}", file.display())]
    Golden {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Weights that cannot be opened.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// An input that the decoder does not take.
    #[error(transparent)]
    Decoder(#[from] dtransformer::Error),
}

/// Runs the model of `folder` on the inputs of its goldens, from every form in which the folder holds the weights.
///
/// # Errors
/// Goldens or weights that cannot be read. Numbers that differ are not an error, but a [`Check`] that did not pass.
pub fn verify(folder: &Path) -> Result<Report, Error> {
    let goldens = Goldens::read(folder)?;
    let mut report = Report::default();
    let forms = [
        "model.safetensors",
        "pytorch_model.bin",
        "sharded",
        "model.safetensors.index.json",
        "pytorch_model.bin.index.json",
    ];
    for form in forms {
        let weights = folder.join(form);
        if !weights.exists() {
            continue;
        }
        let decoder = Checkpoint::open_with(folder, &weights)?.decoder()?;
        let checks = goldens.compare(&decoder)?;
        if report.checks.is_empty() {
            report.checks = checks;
        } else {
            report
                .checks
                .push(in_one(&format!("all of the above, from {form}"), &checks));
        }
    }
    let bf16 = folder.join("pytorch_model_bf16.bin");
    if bf16.exists() {
        let decoder = Checkpoint::open_with(folder, &bf16)?.decoder()?;
        report.checks.extend(goldens.bf16(&decoder)?);
    }
    Ok(report)
}

/// Any decoder of the model of `folder` against its goldens, whatever its matrices are held as: what their rounding costs is each check's difference.
///
/// # Errors
/// As [`verify`].
pub fn compare<M: LinearMap<f32> + Clone>(
    folder: &Path,
    decoder: &DTransformer<f32, M>,
) -> Result<Vec<Check>, Error> {
    Goldens::read(folder)?.compare(decoder)
}

/// Many checks in one. One that failed although it is nearer than [`TOLERANCE`], since nothing at all was allowed, counts as ∞.
fn in_one(what: &str, checks: &[Check]) -> Check {
    let difference = |c: &Check| {
        if c.passed() || c.difference > TOLERANCE {
            c.difference
        } else {
            f64::INFINITY
        }
    };
    Check {
        what: what.to_owned(),
        against: SHIPPED.to_owned(),
        numbers: checks.iter().map(|c| c.numbers).sum(),
        difference: checks.iter().map(difference).fold(0.0, f64::max),
        tolerance: TOLERANCE,
    }
}

const SHIPPED: &str = "shipped code";

impl Goldens {
    fn compare<M: LinearMap<f32> + Clone>(
        &self,
        decoder: &DTransformer<f32, M>,
    ) -> Result<Vec<Check>, Error> {
        let comparison = Comparison {
            goldens: self,
            decoder,
            checks: Vec::new(),
        };
        comparison.run()
    }

    /// Weights in bf16: as near to the shipped code in bf16 as that is to itself in f32.
    fn bf16(&self, decoder: &Decoder) -> Result<Vec<Check>, Error> {
        let logits = decoder.forward(&self.golden.prompt_ids, &mut decoder.new_cache(), None)?;
        let against = "shipped code, bf16";
        let tolerance = self.golden.bf16_vs_f32_maxdiff;
        let logits = Check {
            against: against.to_owned(),
            tolerance,
            ..check(
                "bf16 weights: logits",
                logits.into_dyn().view(),
                without_batch(self.array("bf16.logits")?).view(),
            )
        };
        let golden = self.array("bf16.lm_head_normalised_head")?;
        let rows = normalized_head(decoder, golden.shape().first().copied().unwrap_or(0));
        let head = Check {
            against: against.to_owned(),
            tolerance: 1.0 / 256.0, // one step of bf16 below 1: the norm and the quotient are both rounded
            ..check(
                "bf16 weights: normalized head",
                rows.view().into_dyn(),
                golden.view(),
            )
        };
        Ok(vec![logits, head])
    }
}

/// One decoder against the goldens.
struct Comparison<'a, M> {
    goldens: &'a Goldens,
    decoder: &'a DTransformer<f32, M>,
    checks: Vec<Check>,
}

impl<M: LinearMap<f32> + Clone> Comparison<'_, M> {
    fn run(mut self) -> Result<Vec<Check>, Error> {
        self.plain()?;
        self.cached()?;
        self.over_length()?;
        self.padded()?;
        self.head_and_biases()?;
        self.losses()?;
        self.greedy()?;
        self.sampling()?;
        Ok(self.checks)
    }

    fn push(&mut self, what: &str, ours: ArrayViewD<f32>, golden: ArrayViewD<f32>) {
        self.checks.push(check(what, ours, golden));
    }

    fn numbers(&mut self, what: &str, ours: &[f64], golden: &[f64]) {
        let array = |v: &[f64]| Array1::from(v.to_vec()).into_dyn();
        self.checks
            .push(check(what, array(ours).view(), array(golden).view()));
    }

    fn exactly(&mut self, what: &str, ours: &[u32], golden: &[u32]) {
        let differ = ours.iter().zip(golden).filter(|(a, b)| a != b).count()
            + ours.len().abs_diff(golden.len());
        self.checks.push(Check {
            what: what.to_owned(),
            against: SHIPPED.to_owned(),
            numbers: golden.len(),
            difference: differ as f64,
            tolerance: 0.0,
        });
    }

    /// Every intermediate of a pass over the prompt.
    fn plain(&mut self) -> Result<(), Error> {
        let mut trace = Trace::everything();
        let mut cache = self.decoder.new_cache();
        self.decoder.forward(
            &self.goldens.golden.prompt_ids,
            &mut cache,
            Some(&mut trace),
        )?;
        for name in self.goldens.names()? {
            let Some(place) = name
                .strip_prefix("plain.")
                .filter(|place| *place != "input_ids")
            else {
                continue;
            };
            let golden = without_batch(self.goldens.array(&name)?);
            match trace.values.get(place) {
                Some(ours) => self.push(&name, ours.view(), golden.view()),
                // An intermediate that the decoder does not know fails, and is not passed over.
                None => self.push(&name, ArrayD::zeros(IxDyn(&[0])).view(), golden.view()),
            }
        }
        for (l, layer) in cache.layers.iter().enumerate() {
            let heads = self.decoder.config().num_key_value_heads;
            let stack = |of: &dyn Fn(usize) -> ArrayD<f32>| {
                let heads: Vec<_> = (0..heads).map(|h| of(h).insert_axis(Axis(0))).collect();
                let views: Vec<_> = heads.iter().map(|h| h.view()).collect();
                concatenate(Axis(0), &views).map_err(|e| self.goldens.bad(e))
            };
            let keys = stack(&|h| layer.keys(h).to_owned().into_dyn())?;
            let values = stack(&|h| layer.values(h).to_owned().into_dyn())?;
            for (name, ours) in [
                (format!("cache.{l}.k"), keys),
                (format!("cache.{l}.v"), values),
            ] {
                let golden = without_batch(self.goldens.array(&name)?);
                self.push(&name, ours.view(), golden.view());
            }
        }
        Ok(())
    }

    /// The same logits in two passes and then token by token.
    fn cached(&mut self) -> Result<(), Error> {
        let ids = &self.goldens.golden.prompt_ids;
        let golden = without_batch(self.goldens.array("cached.logits")?);
        let prefill = self.goldens.golden.cached_prefill.min(ids.len());
        let mut cache = self.decoder.new_cache();
        let mut ours = vec![self.decoder.forward(&ids[..prefill], &mut cache, None)?];
        for id in &ids[prefill..] {
            ours.push(self.decoder.forward(&[*id], &mut cache, None)?);
        }
        let views: Vec<_> = ours.iter().map(|l| l.view()).collect();
        let ours = concatenate(Axis(0), &views).map_err(|e| self.goldens.bad(e))?;
        self.push("cached.logits", ours.view().into_dyn(), golden.view());
        Ok(())
    }

    /// A text longer than the model was trained on.
    fn over_length(&mut self) -> Result<(), Error> {
        for ids in self.goldens.ids("long.input_ids")? {
            let golden = without_batch(self.goldens.array("long.logits_last3")?);
            let ours =
                self.decoder
                    .forward(&ids, &mut self.decoder.new_cache_of(ids.len()), None)?;
            let last = ours.slice(s![ours.nrows().saturating_sub(3).., ..]);
            self.push("long.logits_last3", last.into_dyn(), golden.view());
        }
        Ok(())
    }

    /// Rows of a batch that the shipped code pads on the left; here each row is run alone, without its padding.
    fn padded(&mut self) -> Result<(), Error> {
        let golden = self.goldens.array("padded.logits")?;
        let masks = self.goldens.ids("padded.attention_mask")?;
        for (row, ids) in self.goldens.ids("padded.input_ids")?.iter().enumerate() {
            let start = masks
                .get(row)
                .and_then(|mask| mask.iter().position(|&m| m == 1))
                .unwrap_or(0);
            let ours = self
                .decoder
                .forward(&ids[start..], &mut self.decoder.new_cache(), None)?;
            if golden.ndim() != 3 || golden.shape()[0] <= row || golden.shape()[1] != ids.len() {
                return Err(self
                    .goldens
                    .bad("padded.logits: is not one row of logits for each of padded.input_ids"));
            }
            let golden = golden.index_axis(Axis(0), row);
            let golden = golden.slice_axis(Axis(0), (start..).into());
            self.push(
                &format!("padded.logits, row {row} ({start} of padding)"),
                ours.view().into_dyn(),
                golden,
            );
            if start > 0 {
                let alone = without_batch(self.goldens.array("short_alone.logits")?);
                self.push("short_alone.logits", ours.view().into_dyn(), alone.view());
            }
        }
        Ok(())
    }

    fn head_and_biases(&mut self) -> Result<(), Error> {
        let golden = self.goldens.array("lm_head_normalised")?;
        let ours = normalized_head(self.decoder, golden.shape().first().copied().unwrap_or(0));
        self.push("lm_head_normalised", ours.view().into_dyn(), golden.view());
        let before = &self.goldens.golden.lm_head_row_norm_before;
        let norms = self.decoder.unembedding().weight().row_norms();
        let norms: Vec<f64> = norms
            .iter()
            .take(before.len())
            .copied()
            .map(f64::from)
            .collect();
        self.numbers("norms of the head's rows", &norms, before);
        if self.decoder.config().position == Position::Alibi {
            let heads = self.decoder.config().num_attention_heads;
            let slopes = alibi::slopes(heads);
            if let Some(golden) = &self.goldens.golden.slopes {
                self.numbers("ALiBi slopes", &slopes, golden);
                self.checks
                    .last_mut()
                    .into_iter()
                    .for_each(|check| check.tolerance = 0.0);
            }
            let golden = self.goldens.array("alibi_mask_eval_8")?;
            if golden.ndim() != 3 {
                return Err(self
                    .goldens
                    .bad("alibi_mask_eval_8: is not [heads, tokens, tokens]"));
            }
            let ours = ArrayD::from_shape_fn(golden.raw_dim(), |at| {
                let (h, i, j) = (at[0], at[1], at[2]);
                let bias = slopes.get(h).map_or(f64::NAN, |m| m * j as f64) as f32;
                if j <= i { bias } else { f32::NEG_INFINITY }
            });
            self.push("alibi_mask_eval_8", ours.view(), golden.view());
        }
        Ok(())
    }

    fn losses(&mut self) -> Result<(), Error> {
        let golden = &self.goldens.golden;
        let ids = &golden.prompt_ids;
        let logits = self
            .decoder
            .forward(ids, &mut self.decoder.new_cache(), None)?;
        let logits = logits.slice(s![..ids.len() - 1, ..]).mapv(f64::from);
        let targets = &ids[1..];
        let log_p: Vec<f64> = logits
            .rows()
            .into_iter()
            .zip(targets)
            .map(|(row, &y)| loss::log_probability(row, y as usize))
            .collect();
        let entropy = loss::cross_entropy(logits.view(), targets);
        let with_z = entropy + golden.z_loss_weight * loss::max_z(logits.view());
        self.numbers(
            "log-probabilities of the prompt",
            &log_p,
            &golden.prompt_logprobs,
        );
        self.numbers("loss, without max-z", &[entropy], &[golden.loss_without_z]);
        self.numbers("loss, with max-z", &[with_z], &[golden.loss_with_z]);
        // Relative to its size: it is an exponential of the loss.
        self.numbers(
            "perplexity, relative",
            &[entropy.exp() / golden.prompt_ppl],
            &[1.0],
        );
        Ok(())
    }

    fn greedy(&mut self) -> Result<(), Error> {
        let golden = &self.goldens.golden;
        for (penalty, ids) in [
            (1.0, &golden.greedy),
            (1.05, &golden.greedy_1_05),
            (1.3, &golden.greedy_1_3),
        ] {
            let sampling = Sampling {
                repetition_penalty: penalty,
                ..Sampling::greedy()
            };
            let ours = self.continue_greedily(ids.len(), &sampling)?;
            self.exactly(
                &format!("greedy ids, repetition penalty {penalty}"),
                &ours,
                ids,
            );
        }
        Ok(())
    }

    fn continue_greedily(&self, tokens: usize, sampling: &Sampling) -> Result<Vec<u32>, Error> {
        let mut ids = self.goldens.golden.prompt_ids.clone();
        let prompt = ids.len();
        let mut cache: KeyValueCache<f32> = self.decoder.new_cache_of(prompt + tokens);
        let mut logits = self.decoder.forward_last(&ids, &mut cache, None)?;
        for _ in 0..tokens {
            let next = sampling.likeliest(logits.view_mut(), &ids);
            ids.push(next);
            if ids.len() < prompt + tokens {
                logits = self.decoder.forward_last(&[next], &mut cache, None)?;
            }
        }
        Ok(ids.split_off(prompt))
    }

    /// The last logits of the prompt, filter by filter.
    fn sampling(&mut self) -> Result<(), Error> {
        let golden = &self.goldens.golden;
        let ids = &golden.prompt_ids;
        let mut logits = self
            .decoder
            .forward_last(ids, &mut self.decoder.new_cache(), None)?;
        let kept = |logits: ArrayView1<f32>| -> Vec<u32> {
            let finite = logits.iter().enumerate().filter(|(_, l)| l.is_finite());
            finite.map(|(i, _)| i as u32).collect()
        };
        let wanted = &golden.sampling;
        filters::repetition_penalty(logits.view_mut(), ids, wanted.repetition_penalty as f32);
        let penalized: Vec<f64> = logits.iter().copied().map(f64::from).collect();
        self.numbers(
            "logits after the repetition penalty",
            &penalized,
            &wanted.after_repetition_penalty,
        );
        filters::temperature(logits.view_mut(), wanted.temperature as f32);
        filters::top_k(logits.view_mut(), wanted.top_k);
        self.exactly(
            "ids kept by top-k",
            &kept(logits.view()),
            &wanted.after_top_k_kept,
        );
        filters::top_p(logits.view_mut(), wanted.top_p as f32);
        self.exactly(
            "ids kept by top-p",
            &kept(logits.view()),
            &wanted.after_top_p_kept,
        );
        crate::tensor::softmax_in_place(logits.view_mut());
        let p: Vec<f64> = logits
            .iter()
            .filter(|p| **p > 0.0)
            .copied()
            .map(f64::from)
            .collect();
        self.numbers("probabilities of what is kept", &p, &wanted.probs_of_kept);
        Ok(())
    }
}

/// The first rows of the output matrix, as NormHead uses them.
fn normalized_head<M: LinearMap<f32> + Clone>(
    decoder: &DTransformer<f32, M>,
    rows: usize,
) -> ndarray::Array2<f32> {
    let weight = decoder.unembedding().weight();
    let [all, width] = weight.out_in();
    let mut head = ndarray::Array2::zeros((rows.min(all), width));
    for (i, row) in head.rows_mut().into_iter().enumerate() {
        weight.copy_row(i, row);
    }
    crate::unembedding::norm_head_formal(head.view())
}

fn without_batch(array: ArrayD<f32>) -> ArrayD<f32> {
    match array.shape().first() {
        Some(1) => array.index_axis_move(Axis(0), 0),
        _ => array,
    }
}

/// The largest difference of two arrays. A key that both hide, whether with −∞ or with the lowest finite number, does not differ.
fn check<A: Into<f64> + Copy>(what: &str, ours: ArrayViewD<A>, golden: ArrayViewD<A>) -> Check {
    let hidden = |x: f64| x <= f64::from(f32::MIN) / 2.0;
    let difference = if ours.shape() != golden.shape() {
        f64::INFINITY
    } else {
        ours.iter()
            .zip(golden.iter())
            .fold(0.0, |largest, (&a, &b)| {
                let (a, b): (f64, f64) = (a.into(), b.into());
                let difference = if hidden(a) && hidden(b) {
                    0.0
                } else {
                    (a - b).abs()
                };
                if difference.is_nan() {
                    f64::INFINITY
                } else {
                    difference.max(largest)
                }
            })
    };
    Check {
        what: what.to_owned(),
        against: SHIPPED.to_owned(),
        numbers: golden.len(),
        difference,
        tolerance: TOLERANCE,
    }
}
