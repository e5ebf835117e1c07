//! Baichuan 2, algorithm by algorithm.
//!
//! *Baichuan 2: Open Large-scale Language Models* (arXiv 2309.10305) is taught as a page of pseudocode (*the page*) in the notation of
//! *Formal Algorithms for Transformers* (arXiv 2207.09238). Here each algorithm of that page is a module, in two forms: the **formal** one,
//! which follows the page step by step, and the **shipped** one, which the model runs. They share no code, and a property test holds
//! them equal. What the shipped one computes is compared, number by number, with the published model code ([`verification`]).
//!
//! | algorithm of the page | module | paper |
//! |---|---|---|
//! | Byte-Pair Encoding, BPE Tokenization, BPE Detokenization | [`bpe`] | Sennrich et al. 2016, arXiv 1508.07909 |
//! | Rotary Positional Embedding | [`rope`] | Su et al. 2021, arXiv 2104.09864 |
//! | Attention with Linear Biases | [`alibi`] | Press et al. 2022, arXiv 2108.12409 |
//! | Attention | [`attention::single_head`] | Vaswani et al. 2017, arXiv 1706.03762 |
//! | Multi-head Attention | [`attention::multi_head`] | the same |
//! | Grouped-Query Attention, key/value cache | [`attention::grouped_query`], [`attention::cache`] | Ainslie et al. 2023, arXiv 2305.13245 |
//! | memory efficient attention | [`attention::memory_efficient`] | Rabe and Staats 2021, arXiv 2112.05682 |
//! | RMS Layer Normalization | [`rms_norm`] | Zhang and Sennrich 2019, arXiv 1910.07467 |
//! | SwiGLU | [`swiglu`] | Shazeer 2020, arXiv 2002.05202 |
//! | Unembedding, NormHead | [`unembedding`] | Baichuan 2, section 2.5 |
//! | DTransformer | [`dtransformer`] | Phuong and Hutter 2022, arXiv 2207.09238 |
//!
//! Around them: [`tensor`] (what all stand on), [`checkpoint`] (Hugging Face folders), [`generation`] (sampling, chat), [`probe`] (seeing inside a pass, and changing it),
//! [`attention::map`] (attention maps at any size), [`heads`] (what each head looks at), [`attribution`] (what each block adds to a logit),
//! [`training`] (loss, gradients, optimizer) and [`verification`].
//!
//! # Tokens are rows
//!
//! The page writes a sequence as the columns of a $d \times \ell$ matrix. The code stores it $\ell \times d$, row-major, so that a linear map is
//! $X W^\top$ with $W$ stored `[out, in]`, as every checkpoint stores it.
//!
//! # From text to the next token
//!
//! ```
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny7b");
//! use baichuan2::{checkpoint::Checkpoint, probe::Trace};
//!
//! let decoder = Checkpoint::open(folder)?.decoder()?;
//! let mut trace = Trace::everything();
//! let logits = decoder.forward(&[126, 301, 282], &mut decoder.new_cache(), Some(&mut trace))?;
//! assert_eq!(logits.dim(), (3, 320)); // a score for each of 320 ids after each of three tokens
//! assert_eq!(trace.values["layers.0.attn_probs"].shape(), [4, 3, 3]); // four heads
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! `blis` (default), `openblas-system`, `lapack-system` and `accelerate` choose the BLAS; with none of them products are pure Rust, and the plainest
//! build (`--no-default-features`) has no files, threads or command, and compiles for WebAssembly. `cli` (default) is the command.

#![warn(missing_docs)]

pub mod alibi;
pub mod attention;
pub mod attribution;
pub mod bpe;
pub mod checkpoint;
pub mod dtransformer;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod generation;
pub mod heads;
#[cfg(feature = "picture")]
pub mod picture;
pub mod probe;
pub mod rms_norm;
pub mod rope;
pub mod swiglu;
pub mod tensor;
pub mod training;
pub mod unembedding;
#[cfg(feature = "files")]
pub mod verification;

// What `testing` shares with `tests/` calls the library by its name.
#[cfg(test)]
extern crate self as baichuan2;
#[cfg(test)]
mod testing;

#[cfg(not(target_endian = "little"))]
compile_error!(
    "stored weights are read where they lie, as the little-endian numbers that checkpoints hold"
);
