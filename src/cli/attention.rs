//! `baichuan2 attention`: which token looks at which.

use super::{model::ModelArgs, output::Outputs, prompt::Prompt};
use anyhow::{Result, bail, ensure};
use baichuan2::{
    attention::{max_over_heads, mean_over_heads},
    dtransformer::Config,
    picture::{Colors, Facts, Figure, Ink, Panel, Scale, png, svg, terminal},
    probe::{LayerSite, Probe, Site},
};
use clap::ValueEnum;
use ndarray::{Array3, ArrayViewD, Axis, Ix3, Ix4, stack};
use ndarray_npy::WriteNpyExt;
use std::{io::Write, path::PathBuf};

/// Show which token attends to which: the weights of a layer's heads as a heat map
///
/// Rows are queries (the token that looks), columns are keys (what it looks at); layers and heads are counted from 0. Keys
/// that the causal mask hides are left blank.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  All heads of a layer in the terminal:
    baichuan2 attention --layer 3 \"Lily is on the hill. Where is Lily?\"
  One head of a large model:
    baichuan2 attention --model Baichuan2-7B-Base --layer 3 --head 5 \\
      \"登鹳雀楼->王之涣\"
  Every head of a layer, as a picture and as numbers:
    baichuan2 attention --model Baichuan2-7B-Base --layer 3 --head all \\
      --svg heads.svg --npy heads.npy \"The cat sat.\"
  What the layers do on average, without the first token, which takes most:
    baichuan2 attention --model Baichuan2-7B-Base --layer all --head mean \\
      --hide-first \"The cat sat.\"
  Token ids instead of a text:
    baichuan2 attention --model tests/goldens/tiny13b --layer 0 --head 2 \\
      --ids 126,301,282")]
pub struct Attention {
    #[command(flatten)]
    model: ModelArgs,
    /// Layer, counted from 0, or `all`
    #[arg(long, allow_hyphen_values = true, value_name = "N|all")]
    layer: Index,
    /// Head, counted from 0; `all`; or the `mean` or the `max` of the layer's heads
    #[arg(
        long,
        allow_hyphen_values = true,
        value_name = "N|all|mean|max",
        default_value = "all"
    )]
    head: Heads,
    #[command(flatten)]
    prompt: Prompt,
    /// How weights become shades
    #[arg(long, value_enum, default_value_t)]
    scale: Scale,
    /// Leave out attention to the first token, beside which the rest is often too dark to be seen
    #[arg(long)]
    hide_first: bool,
    /// The colour map
    #[arg(long, value_enum, default_value_t)]
    colors: Colors,
    /// Write a picture of cells and a colour bar, without labels
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    /// Write a picture with labels, and with each weight under the pointer where tokens are few
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write the weights, f32: [queries, keys], before it [heads] or [layers] or both where `all` are asked for
    #[arg(long, value_name = "FILE")]
    npy: Option<PathBuf>,
    /// Overwrite files
    #[arg(long)]
    force: bool,
    /// Colour in the terminal
    #[arg(long, value_enum, default_value_t)]
    color: When,
    /// Columns of the terminal; by default as many as it has, or 80
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(40..), allow_negative_numbers = true)]
    width: Option<u16>,
    /// Tokens that are accepted; by default as many as the model was trained on
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    context: Option<usize>,
    /// Memory that maps may take
    #[arg(long, value_name = "GIB", default_value_t = 8.0, value_parser = super::positive, allow_negative_numbers = true)]
    max_memory: f64,
}

/// One, or all.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Index {
    One(i64),
    All,
}

/// Which of a layer's heads, or what of them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Heads {
    Each(Index),
    Mean,
    Max,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum When {
    /// Where the output is a terminal that has colours, and NO_COLOR is not set
    #[default]
    Auto,
    /// Everywhere, in 24-bit colour
    Always,
    /// Nowhere: shades are characters
    Never,
}

impl std::str::FromStr for Index {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "all" => Ok(Index::All),
            // Whole numbers that cannot be are told apart later, with how many there are.
            _ => s
                .parse()
                .map(Index::One)
                .map_err(|_| "give a number, counted from 0, or `all`".into()),
        }
    }
}

impl std::str::FromStr for Heads {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "mean" => Ok(Heads::Mean),
            "max" => Ok(Heads::Max),
            _ => s
                .parse()
                .map(Heads::Each)
                .map_err(|_| "give a number, counted from 0, `all`, `mean` or `max`".into()),
        }
    }
}

/// `index` as a place among `count` things called `what`; none for all of them.
fn place(index: Index, what: &str, count: usize) -> Result<Option<usize>> {
    let Index::One(i) = index else {
        return Ok(None);
    };
    match usize::try_from(i) {
        Ok(i) if i < count => Ok(Some(i)),
        _ => bail!(
            "there is no {what} {i}: the model has {count} {what}{}, counted from 0 to {}",
            if count == 1 { "" } else { "s" },
            count - 1
        ),
    }
}

impl Attention {
    pub fn run(self) -> Result<()> {
        let files = [&self.png, &self.svg, &self.npy];
        let outputs = Outputs::new(files.into_iter().flatten(), self.force)?;
        let model = self.model.open()?;
        let (checkpoint, decoder) = (&model.checkpoint, &model.decoder);
        let config = &checkpoint.config;
        let layer = place(self.layer, "layer", config.num_hidden_layers)?;
        let keep = match self.head {
            Heads::Each(index) => match place(index, "head", config.num_attention_heads)? {
                Some(head) => Keep::One(head),
                None => Keep::All,
            },
            Heads::Mean => Keep::Mean,
            Heads::Max => Keep::Max,
        };
        let tokens = self.prompt.tokens(&model)?;
        self.check_memory(config, tokens.ids.len(), layer, keep)?;

        let mut cache = decoder.new_cache_of(self.context.unwrap_or(config.context));
        let mut maps = Maps {
            layer,
            keep,
            seen: Vec::new(),
        };
        decoder.forward_last(&tokens.ids, &mut cache, Some(&mut maps))?;
        for (layer, weights) in &maps.seen {
            // Of a query that is not the last, the last layer's weights do not reach the logits that were checked.
            ensure!(
                weights.iter().all(|w| w.is_finite()),
                "weights of layer {layer} are not finite (`baichuan2 trace` shows the first intermediate where NaN or infinity appear)"
            );
        }
        let figure = self.figure(&maps, tokens.labels);

        // Before the terminal's, whose reader may go away first, as in `baichuan2 attention … | head`.
        if let Some(path) = &self.png {
            let file = png(&figure)?;
            outputs.write(path, |out| Ok(out.write_all(&file)?))?;
        }
        if let Some(path) = &self.svg {
            let file = svg(&figure)?;
            outputs.write(path, |out| Ok(out.write_all(file.as_bytes())?))?;
        }
        if let Some(path) = &self.npy {
            outputs.write(path, |out| maps.write_npy(out))?;
        }

        let (width, ink) = self.screen();
        let color = match ink {
            Ink::Shading => anstream::ColorChoice::Never,
            _ => anstream::ColorChoice::Always,
        };
        let mut out = anstream::AutoStream::new(std::io::stdout(), color).lock();
        write!(out, "{}", terminal(&figure, width, ink))?;
        write!(out, "{}", facts(&figure))?;
        out.flush()?;
        Ok(())
    }

    /// Refuses what would fill the memory, before it does.
    fn check_memory(
        &self,
        config: &Config,
        tokens: usize,
        layer: Option<usize>,
        keep: Keep,
    ) -> Result<()> {
        let map = 4.0 * (tokens as f64).powi(2);
        let layers = if layer.is_some() {
            1
        } else {
            config.num_hidden_layers
        };
        let kept = layers
            * if keep == Keep::All {
                config.num_attention_heads
            } else {
                1
            };
        // A layer makes the scores and the weights of all of its heads; what is kept is drawn from copies.
        let maps = 2 * config.num_attention_heads + 2 * kept;
        let needed = map * maps as f64 / (1_u64 << 30) as f64;
        ensure!(
            needed <= self.max_memory,
            "{tokens} tokens need {needed:.1} GiB for maps of {tokens} × {tokens} weights, more than the {} GiB allowed; shorten the prompt, \
             ask for one layer and one head, or raise --max-memory",
            self.max_memory
        );
        Ok(())
    }

    fn figure(&self, maps: &Maps, labels: Vec<String>) -> Figure {
        let all_layers = maps.layer.is_none();
        let all_heads = maps.keep == Keep::All;
        let mut panels = Vec::new();
        for (layer, weights) in &maps.seen {
            for (i, weights) in weights.outer_iter().enumerate() {
                let head = match maps.keep {
                    Keep::All => format!("head {i}"),
                    Keep::One(head) => format!("head {head}"),
                    Keep::Mean => "mean of heads".into(),
                    Keep::Max => "max of heads".into(),
                };
                let title = match (all_layers, all_heads) {
                    (true, true) => format!("layer {layer} {head}"),
                    (true, false) => format!("layer {layer}"),
                    (false, _) => head,
                };
                panels.push(Panel {
                    title,
                    weights: weights.to_owned(),
                });
            }
        }
        let heads = match maps.keep {
            Keep::All => "all heads".into(),
            Keep::One(head) => format!("head {head}"),
            Keep::Mean => "mean of heads".into(),
            Keep::Max => "max of heads".into(),
        };
        let layers = maps
            .layer
            .map_or("all layers".into(), |layer| format!("layer {layer}"));
        let columns = match (all_layers, all_heads) {
            (true, true) => panels.len() / maps.seen.len().max(1),
            _ => side_by_side(panels.len()),
        };
        let model = self.model.name();
        Figure {
            title: format!(
                "{}: attention of {layers}, {heads}",
                baichuan2::picture::visible(&model)
            ),
            labels,
            panels,
            columns,
            scale: self.scale,
            colors: self.colors,
            hide_first: self.hide_first,
        }
    }

    /// The columns of the terminal, and what it can show.
    fn screen(&self) -> (usize, Ink) {
        let stdout = std::io::stdout();
        let size = terminal_size::terminal_size_of(&stdout);
        let width = self
            .width
            .map_or(size.map_or(80, |(w, _)| w.0.max(40)), |w| w);
        let has_true_color = || {
            let term = std::env::var("COLORTERM");
            term.is_ok_and(|term| term == "truecolor" || term == "24bit")
        };
        let ink = match self.color {
            When::Never => Ink::Shading,
            When::Always => Ink::TrueColor,
            When::Auto => match anstream::AutoStream::choice(&stdout) {
                anstream::ColorChoice::Never => Ink::Shading,
                _ if has_true_color() => Ink::TrueColor,
                _ => Ink::Indexed,
            },
        };
        (width.into(), ink)
    }
}

/// How many of `n` panels stand side by side: about as many as below each other, and if possible in full rows.
fn side_by_side(n: usize) -> usize {
    let square = n.isqrt() + usize::from(n.isqrt().pow(2) < n);
    let full = (square..=2 * square).find(|columns| n.is_multiple_of(*columns));
    full.unwrap_or(square).max(1)
}

/// What is kept of a layer's heads.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Keep {
    One(usize),
    All,
    Mean,
    Max,
}

/// Keeps the attention weights of one layer, or of all, and of these the heads that are asked for.
struct Maps {
    layer: Option<usize>,
    keep: Keep,
    /// Layer, and its weights `[maps, queries, keys]`.
    seen: Vec<(usize, Array3<f32>)>,
}

impl Probe for Maps {
    fn wants(&self, site: Site) -> bool {
        match site {
            Site::Layer(layer, LayerSite::AttnProbs) => self.layer.is_none_or(|l| l == layer),
            _ => false,
        }
    }

    fn see(&mut self, site: Site, weights: ArrayViewD<f32>) {
        let (Site::Layer(layer, _), Ok(weights)) = (site, weights.into_dimensionality::<Ix3>())
        else {
            return;
        };
        let kept = match self.keep {
            Keep::All => weights.to_owned(),
            Keep::One(head) => weights
                .index_axis_move(Axis(0), head)
                .insert_axis(Axis(0))
                .to_owned(),
            Keep::Mean => mean_over_heads(weights).insert_axis(Axis(0)),
            Keep::Max => max_over_heads(weights).insert_axis(Axis(0)),
        };
        self.seen.push((layer, kept));
    }
}

impl Maps {
    /// `[layers, heads, queries, keys]`, without the axes of which one thing was asked for.
    fn write_npy(&self, out: &mut dyn Write) -> Result<()> {
        let layers: Vec<_> = self
            .seen
            .iter()
            .map(|(_, weights)| weights.view())
            .collect();
        let all: ndarray::Array<f32, Ix4> = stack(Axis(0), &layers)?;
        let mut all = all.into_dyn();
        if self.keep != Keep::All {
            all = all.index_axis_move(Axis(1), 0);
        }
        if self.layer.is_some() {
            all = all.index_axis_move(Axis(0), 0);
        }
        all.write_npy(out)?;
        Ok(())
    }
}

/// What people ask of a map, a line each; of several maps, a table.
fn facts(figure: &Figure) -> String {
    let all: Vec<(&str, Option<Facts>)> = figure
        .panels
        .iter()
        .map(|panel| (panel.title.as_str(), Facts::of(panel.weights.view())))
        .collect();
    match all.as_slice() {
        [(_, None)] => "one token: it can only look at itself\n".into(),
        [(_, Some(facts))] => format!(
            "\nmean over queries 1 to {}:\n  entropy of a row      {:.3} bits\n  to the first token    {:.4}\n  to the previous token {:.4}\n  to itself             {:.4}\n",
            figure.first_query() + figure.size()[0] - 1,
            facts.entropy,
            facts.first,
            facts.previous,
            facts.itself
        ),
        _ => {
            let mut table =
                super::trace::table(["", "entropy, bits", "to first", "to previous", "to itself"]);
            for (title, facts) in &all {
                let cells = facts.map(|f| {
                    let rest = [f.first, f.previous, f.itself].map(|x| format!("{x:.4}"));
                    [vec![format!("{:.3}", f.entropy)], rest.to_vec()].concat()
                });
                let cells = cells.unwrap_or_else(|| vec!["-".into(); 4]);
                table.add_row([vec![(*title).to_owned()], cells].concat());
            }
            format!(
                "mean over the queries after the first\n{}\n",
                super::trace::lines(&table)
            )
        }
    }
}
