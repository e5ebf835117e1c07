//! `baichuan2 fetch`: a checkpoint from the Hugging Face hub.

use super::inspect::bytes;
use anyhow::Context;
use baichuan2::checkpoint::{
    Checkpoint,
    hub::{Destination, Hub, repository},
};
use indicatif::ProgressBar;
use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

/// Download a checkpoint from the Hugging Face hub, or go on with a download that was interrupted
///
/// Fetches the configuration, the tokenizer and the weights (safetensors where the hub has them, torch files where not), no code.
/// HF_ENDPOINT, HF_TOKEN and HF_HOME are respected.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  baichuan2 fetch 7b-chat
  baichuan2 fetch 13b-base --out models/13b-base
  baichuan2 fetch 7b-base --endpoint URL

The folder is printed on standard output:
  baichuan2 chat --model \"$(baichuan2 fetch 7b-chat)\"")]
pub struct Fetch {
    /// 7b-base, 7b-chat, 13b-base, 13b-chat, or any `organisation/model`.
    name: String,
    /// A plain folder for the files, instead of the cache that other programs share.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Branch, tag or commit.
    #[arg(long, value_name = "NAME", default_value = "main")]
    revision: String,
    /// The server, or a mirror of it.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Bytes to take for free, instead of asking the file system.
    #[arg(long, hide = true)]
    free_space: Option<u64>,
}

impl Fetch {
    /// Downloads, checks, and says what to do next.
    ///
    /// # Errors
    /// The download fails, or what arrived is no checkpoint.
    pub fn run(self) -> anyhow::Result<()> {
        let repo = repository(&self.name)?;
        let mut hub = Hub::from_env();
        if let Some(endpoint) = self.endpoint {
            hub.endpoint = endpoint;
        }
        let to = self.out.map_or(Destination::Cache, Destination::Folder);
        let plan = hub.plan(&repo, &self.revision, &to)?;
        let total = usize::try_from(plan.bytes())?;
        eprintln!(
            "{repo} at {}: {} files, {}",
            plan.commit,
            plan.files.len(),
            bytes(total)
        );
        let bar = || match io::stderr().is_terminal() {
            true => ProgressBar::new(0),
            false => ProgressBar::hidden(),
        };
        let folder = hub.download(&plan, &to, self.free_space, bar)?;
        let checkpoint = Checkpoint::open(&folder)
            .with_context(|| format!("{repo} was fetched whole, but cannot be opened"))?;
        let mut out = io::stdout().lock();
        writeln!(out, "{}", folder.display())?;
        out.flush()?;
        eprintln!(
            "{} with {} parameters; next: baichuan2 inspect {}",
            checkpoint.family,
            checkpoint.parameter_count(),
            folder.display()
        );
        Ok(())
    }
}
