//! candle's Llama over a folder of safetensors: `candle-peer FOLDER bf16|f32 PROMPT TOKENS`.
//!
//! Each line of standard input asks for a round, and is answered with tokens per second of the prompt, and of one token at a time.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::llama::{Cache, Llama, LlamaConfig};
use std::{io::BufRead, time::Instant};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, dtype, prompt, tokens] = &arguments[..] else {
        anyhow::bail!("usage: candle-peer FOLDER bf16|f32 PROMPT TOKENS");
    };
    let dtype = if dtype == "f32" {
        DType::F32
    } else {
        DType::BF16
    };
    let (prompt, tokens): (usize, usize) = (prompt.parse()?, tokens.parse()?);
    let config: LlamaConfig =
        serde_json::from_slice(&std::fs::read(format!("{folder}/config.json"))?)?;
    let config = config.into_config(false);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "safetensors") {
            files.push(path);
        }
    }
    let device = Device::Cpu;
    // SAFETY: nobody writes the files while they are read.
    let weights = unsafe { VarBuilder::from_mmaped_safetensors(&files, dtype, &device)? };
    let model = Llama::load(weights, &config)?;
    let ids: Vec<u32> = (0..prompt)
        .map(|i| (i * 7919 % config.vocab_size) as u32)
        .collect();
    for line in std::io::stdin().lock().lines() {
        line?;
        let mut cache = Cache::new(true, dtype, &config, &device)?;
        let begin = Instant::now();
        let input = Tensor::new(&ids[..], &device)?.unsqueeze(0)?;
        let mut logits = model.forward(&input, 0, &mut cache)?;
        let first = begin.elapsed().as_secs_f64();
        let mut times = Vec::new();
        for at in 0..tokens {
            let begin = Instant::now();
            let next = logits.flatten_all()?.argmax(0)?.to_scalar::<u32>()?;
            let input = Tensor::new(&[next], &device)?.unsqueeze(0)?;
            logits = model.forward(&input, prompt + at, &mut cache)?;
            times.push(begin.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        println!("[{}, {}]", prompt as f64 / first, 1.0 / times[tokens / 2]);
    }
    Ok(())
}
