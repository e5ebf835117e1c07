//! `baichuan2 bench`: what a machine can do, and what of it the decoder makes use of.

use super::{
    inspect::bytes,
    model::{CacheArgs, ModelArgs, embedded},
};
use anyhow::ensure;
use baichuan2::{
    attention::{Bias, Visibility, attend, attend_in_blocks},
    checkpoint::{Checkpoint, Item},
    dtransformer::{Config, Decoder},
    tensor::{blas, machine},
};
use comfy_table::{CellAlignment, Table, presets::NOTHING};
use ndarray::Array2;
use serde_json::json;
use std::{path::Path, time::Instant};

/// Measure this machine, and how much of it a model makes use of
///
/// First what is there: the arithmetic of the BLAS (products of matrices that fit the caches, on all threads at once) and the bandwidth of memory
/// (a sum over half a gigabyte). Then, in the same rounds, a prompt, which is bound by arithmetic, and one token at a time, which is bound by reading
/// every weight once; each as a share of what the machine did beside it. Figures are medians of the rounds.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  baichuan2 bench
  baichuan2 bench --model Baichuan2-7B-Chat
  baichuan2 synth 7b my-7b && baichuan2 bench --model my-7b
  baichuan2 bench --prompt 512 --tokens 32 --rounds 7 --json
  baichuan2 bench --attention 16384          attention alone, with the whole map and in blocks")]
pub struct Bench {
    #[command(flatten)]
    model: ModelArgs,
    /// Tokens of the prompt.
    #[arg(long, value_name = "N", default_value_t = 512)]
    prompt: usize,
    /// Tokens that follow, one at a time.
    #[arg(long, value_name = "N", default_value_t = 16)]
    tokens: usize,
    /// How often all of it is done.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    #[command(flatten)]
    cache: CacheArgs,
    /// Instead of a model: one head of causal attention over so many tokens, with its whole map and in blocks.
    #[arg(long, value_name = "TOKENS")]
    attention: Option<usize>,
    /// The width of that head.
    #[arg(long, value_name = "N", default_value_t = 128, requires = "attention")]
    head_dim: usize,
    /// Print JSON: tokens and bytes per second, and shares.
    #[arg(long)]
    json: bool,
}

/// What was measured in one round.
struct Round {
    /// Floating-point operations per second that the BLAS does.
    arithmetic: f64,
    /// Bytes per second that memory gives.
    bandwidth: f64,
    /// Seconds for the prompt.
    prompt: f64,
    /// Seconds for one token after it.
    token: f64,
    /// Bytes of the keys and values that are then kept.
    cache: usize,
}

impl Bench {
    /// Measures and prints.
    ///
    /// # Errors
    /// A model that cannot be opened, or no rounds to measure in.
    pub fn run(self) -> anyhow::Result<()> {
        ensure!(
            self.rounds > 0 && self.tokens > 0 && self.prompt > 0,
            "there is nothing to measure: give numbers above 0"
        );
        if let Some(tokens) = self.attention {
            return self.attention(tokens);
        }
        let before = resident();
        let begin = Instant::now();
        let (decoder, read) = open(&self.model.model)?;
        let opening = begin.elapsed();
        let opened = resident()
            .zip(before)
            .map(|(now, before)| now.saturating_sub(before));
        // Once for the pages of the file and the norms of the head, which are read at the first use.
        self.round(&decoder)?;
        let rounds = (0..self.rounds).map(|_| self.round(&decoder));
        let rounds = rounds.collect::<anyhow::Result<Vec<Round>>>()?;
        let of = |f: &dyn Fn(&Round) -> f64| median(rounds.iter().map(f).collect());
        let work = work(decoder.config(), self.prompt);
        let read = read as f64;
        let prompt = of(&|r| self.prompt as f64 / r.prompt);
        let prompt_share = of(&|r| work / r.prompt / r.arithmetic);
        let token = of(&|r| 1.0 / r.token);
        let token_share = of(&|r| read / r.token / r.bandwidth);
        let (arithmetic, bandwidth) = (of(&|r| r.arithmetic), of(&|r| r.bandwidth));
        let (threads, cache) = (machine::threads(), rounds[0].cache);
        if self.json {
            let result = json!({
                "threads": threads, "blas": blas::NAME, "model": self.model.name(),
                "arithmetic_flops": arithmetic, "bandwidth_bytes": bandwidth,
                "open_seconds": opening.as_secs_f64(), "open_bytes": opened,
                "prompt": { "tokens": self.prompt, "tokens_per_second": prompt, "flops": work * prompt / self.prompt as f64, "share": prompt_share },
                "token": { "tokens_per_second": token, "bytes": read, "bytes_per_second": read * token, "share": token_share },
                "cache_bytes": cache,
                "peak_resident_bytes": peak_resident(),
            });
            println!("{result:#}");
            return Ok(());
        }
        let giga = |x: f64| format!("{:.1}", x / 1e9);
        let percent = |x: f64| format!("{:.0}%", 100.0 * x);
        let mut table = plain_table();
        table.add_row(["threads", &threads.to_string(), "", ""]);
        table.add_row([
            "arithmetic, products of f32",
            &giga(arithmetic),
            "GFLOP/s",
            blas::NAME,
        ]);
        table.add_row(["memory, reading", &giga(bandwidth), "GB/s", ""]);
        let memory = opened.map_or(String::new(), |b| format!("{} of memory", bytes(b)));
        table.add_row([
            "opening",
            &format!("{:.1}", opening.as_secs_f64() * 1e3),
            "ms",
            &memory,
        ]);
        let used = format!(
            "{} GFLOP/s, {} of the arithmetic",
            giga(work * prompt / self.prompt as f64),
            percent(prompt_share)
        );
        table.add_row([
            &format!("a prompt of {}", self.prompt),
            &figure(prompt),
            "tokens/s",
            &used,
        ]);
        let used = format!(
            "{} GB/s of weights, {} of the bandwidth",
            giga(read * token),
            percent(token_share)
        );
        table.add_row(["one token at a time", &figure(token), "tokens/s", &used]);
        let note = format!(
            "of keys and values after {} tokens",
            self.prompt + self.tokens
        );
        table.add_row(["cache", &giga_binary(cache), "GiB", &note]);
        if let Some(peak) = peak_resident() {
            let note = format!(
                "most resident memory, mapped weights included ({} read per token)",
                bytes(read as usize)
            );
            table.add_row(["memory", &giga_binary(peak), "GiB", &note]);
        }
        print_table(table);
        Ok(())
    }

    fn round(&self, decoder: &Decoder) -> anyhow::Result<Round> {
        let arithmetic = machine::arithmetic();
        let bandwidth = machine::bandwidth();
        let vocab = decoder.config().vocab_size;
        // Any tokens will do: other rows of the embedding each time.
        let ids: Vec<u32> = (0..self.prompt + self.tokens)
            .map(|i| (i * 7919 % vocab) as u32)
            .collect();
        let (prompt, following) = ids.split_at(self.prompt);
        // Beyond the trained context the text is no better than noise, which it is here anyway.
        let mut cache = decoder.new_cache_in(self.cache.format(), ids.len());
        let begin = Instant::now();
        decoder.forward_last(prompt, &mut cache, None)?;
        let prompt = begin.elapsed();
        let mut times = Vec::new();
        for &id in following {
            let begin = Instant::now();
            decoder.forward_last(&[id], &mut cache, None)?;
            times.push(begin.elapsed().as_secs_f64());
        }
        Ok(Round {
            arithmetic,
            bandwidth,
            prompt: prompt.as_secs_f64(),
            token: median(times),
            cache: cache.byte_len(),
        })
    }

    /// One head over so many tokens.
    fn attention(&self, tokens: usize) -> anyhow::Result<()> {
        let d = self.head_dim;
        let wave = |seed: usize| {
            Array2::from_shape_fn((tokens, d), |(i, j)| ((i * 31 + j * 7 + seed) as f32).sin())
        };
        let (q, k, v) = (wave(0), wave(1), wave(2));
        let bias = Bias {
            visibility: Visibility::Causal { first: 0 },
            alibi_slope: Some(0.01),
        };
        // The map of scores and that of weights.
        let map = 2 * tokens * tokens * size_of::<f32>();
        let fits = map < available_memory() / 2;
        let (mut blocks, mut whole) = (Vec::new(), Vec::new());
        let mut out = Array2::zeros((tokens, d));
        for _ in 0..self.rounds {
            let begin = Instant::now();
            attend_in_blocks(q.view(), k.view(), v.view(), &bias, 256, out.view_mut());
            blocks.push(begin.elapsed().as_secs_f64());
            if fits {
                let begin = Instant::now();
                let head = attend(q.view(), k.view(), v.view(), &bias);
                whole.push(begin.elapsed().as_secs_f64());
                let largest = (&head.output - &out).fold(0.0_f32, |most, e| most.max(e.abs()));
                ensure!(largest < 1e-4, "the two differ by {largest}");
            }
        }
        let seconds = |times: &[f64]| median(times.to_vec());
        let mut table = plain_table();
        table.add_row([
            format!("{tokens} tokens, one head of width {d}, one thread"),
            String::new(),
            String::new(),
            String::new(),
        ]);
        table.add_row([
            "in blocks".to_owned(),
            format!("{:.2}", seconds(&blocks)),
            "s".to_owned(),
            "no map".to_owned(),
        ]);
        if fits {
            let ratio = median(blocks.iter().zip(&whole).map(|(b, w)| b / w).collect());
            let note = format!("{} of maps; blocks take {ratio:.2} of its time", bytes(map));
            table.add_row([
                "with the whole map".to_owned(),
                format!("{:.2}", seconds(&whole)),
                "s".to_owned(),
                note,
            ]);
        } else {
            table.add_row([
                "with the whole map".to_owned(),
                "–".to_owned(),
                String::new(),
                format!("{} of maps do not fit", bytes(map)),
            ]);
        }
        print_table(table);
        Ok(())
    }
}

/// The decoder alone, for a tokenizer has no part in it; and the bytes of weights that one token reads: all but the other tokens' embeddings.
fn open(model: &Path) -> anyhow::Result<(Decoder, usize)> {
    let checkpoint = match embedded(model)? {
        Some(model) => model.checkpoint(),
        None => Checkpoint::open(model)?,
    };
    let config = &checkpoint.config;
    let is_read =
        |item: &Item| config.tie_word_embeddings || item.name != "model.embed_tokens.weight";
    let read = checkpoint
        .iter()
        .filter(is_read)
        .map(|item| item.tensor.byte_len());
    Ok((checkpoint.decoder()?, read.sum()))
}

/// Floating-point operations of a prompt whose last token alone gets logits: two for each weight of the layers and token, and those of causal attention.
fn work(config: &Config, tokens: usize) -> f64 {
    let c = config;
    let widths = 2 * c.query_width() + 2 * c.kv_width() + 3 * c.intermediate_size;
    let maps = 2.0 * (widths * c.hidden_size * tokens) as f64;
    let attention = 2.0 * (c.query_width() * tokens * (tokens + 1)) as f64;
    let head = 2.0 * (c.vocab_size * c.hidden_size) as f64;
    c.num_hidden_layers as f64 * (maps + attention) + head
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let n = numbers.len();
    (numbers[(n - 1) / 2] + numbers[n / 2]) / 2.0
}

/// Three digits, more where there are more before the point.
fn figure(x: f64) -> String {
    let decimals = if x >= 100.0 {
        0
    } else if x >= 10.0 {
        1
    } else {
        2
    };
    format!("{x:.decimals$}")
}

fn giga_binary(bytes: usize) -> String {
    format!("{:.2}", bytes as f64 / (1 << 30) as f64)
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table
}

fn print_table(mut table: Table) {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if let Some(figures) = table.column_mut(1) {
        figures.set_cell_alignment(CellAlignment::Right);
    }
    println!("{}", table.trim_fmt());
}

fn available_memory() -> usize {
    use sysinfo::{MemoryRefreshKind, RefreshKind, System};
    let ram = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(ram).ok();
    let available = system.map_or(0, |system| system.available_memory());
    usize::try_from(available).unwrap_or(usize::MAX)
}

/// Resident memory of this process, where the system tells.
fn resident() -> Option<usize> {
    status("VmRSS:")
}

/// The most it ever was.
fn peak_resident() -> Option<usize> {
    status("VmHWM:")
}

fn status(key: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
