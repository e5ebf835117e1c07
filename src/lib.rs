//! Baichuan 2, algorithm by algorithm.
//!
//! *Baichuan 2: Open Large-scale Language Models* (arXiv 2309.10305) is taught as a page of pseudocode in the notation of
//! *Formal Algorithms for Transformers* (arXiv 2207.09238). Here each algorithm of that page is a module.

pub mod alibi;
pub mod attention;
pub mod bpe;
pub mod checkpoint;
pub mod dtransformer;
pub mod generation;
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

#[cfg(test)]
mod testing;

#[cfg(not(target_endian = "little"))]
compile_error!(
    "stored weights are read where they lie, as the little-endian numbers that checkpoints hold"
);
