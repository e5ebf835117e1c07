//! What is wanted: the part of the window's state that is saved, opened again, and undone.

use crate::{generator::Settings, model::Source};
use baichuan2::{
    attention::MapError,
    picture::{Colors, Scale, hide_first, normalize},
    probe::Head,
};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What fills the middle of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum View {
    /// The pieces of the text, and how merging made them.
    Tokens,
    /// Who looks at whom.
    #[default]
    Attention,
    /// How the model knows what stands where.
    Positions,
    /// The residual stream and the logit lens.
    Stream,
    /// The softmax block by block.
    Blocks,
    /// Text token by token.
    Generation,
    /// Two side by side.
    Compare,
}

impl View {
    /// All, in the order in which they are offered.
    pub const ALL: [View; 7] = [
        View::Tokens,
        View::Attention,
        View::Positions,
        View::Stream,
        View::Blocks,
        View::Generation,
        View::Compare,
    ];

    /// Its name, in English.
    pub fn name(self) -> &'static str {
        match self {
            View::Tokens => "Tokens",
            View::Attention => "Attention",
            View::Positions => "Positions",
            View::Stream => "Stream",
            View::Blocks => "Softmax in blocks",
            View::Generation => "Generation",
            View::Compare => "Compare",
        }
    }
}

/// How attention is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttentionForm {
    /// One map, large.
    #[default]
    Map,
    /// Lines between tokens.
    Threads,
    /// All layers and heads, small.
    All,
    /// All heads as one: mean, maximum, rollout.
    Together,
}

impl AttentionForm {
    /// All, in the order in which they are offered.
    pub const ALL: [AttentionForm; 4] = [
        AttentionForm::Map,
        AttentionForm::Threads,
        AttentionForm::All,
        AttentionForm::Together,
    ];

    /// Its name, in English.
    pub fn name(self) -> &'static str {
        match self {
            AttentionForm::Map => "One head",
            AttentionForm::Threads => "Threads",
            AttentionForm::All => "All heads",
            AttentionForm::Together => "Together",
        }
    }
}

/// How the maps of several heads become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Together {
    /// Their mean.
    #[default]
    Mean,
    /// The largest of them.
    Largest,
    /// Through the layers.
    Rollout,
}

impl Together {
    /// All, in the order in which they are offered.
    pub const ALL: [Together; 3] = [Together::Mean, Together::Largest, Together::Rollout];

    /// Its name, in English.
    pub fn name(self) -> &'static str {
        match self {
            Together::Mean => "Mean",
            Together::Largest => "Largest",
            Together::Rollout => "Rollout",
        }
    }

    /// What it shows, in English.
    pub fn meaning(self) -> &'static str {
        match self {
            Together::Mean => "the mean of the heads of this layer",
            Together::Largest => "the largest weight that any head of this layer gives",
            Together::Rollout => {
                "how much of a token may come from each token, through all layers up to this one: each layer counts half for what it gathers, half for what was there"
            }
        }
    }
}

/// How weights become shades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shading {
    /// The scale.
    pub scale: Scale,
    /// Whether attention to the first token is left out.
    pub hide_first: bool,
}

impl Shading {
    /// The shades of a rectangle of weights whose first column is that of key `first`; of one that cannot be made, nothing.
    pub fn of(self, weights: Result<Array2<f32>, MapError>, first: usize) -> Array2<f32> {
        let Ok(mut weights) = weights else {
            return Array2::from_elem((1, 1), f32::NAN);
        };
        if self.hide_first && first == 0 {
            weights = hide_first(weights);
        }
        normalize(weights.view(), self.scale)
    }
}

/// What is shown of the residual stream, below the logit lens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamPart {
    /// How long it is after each layer, and what each block adds to it.
    #[default]
    Lengths,
    /// What each block adds to the logit of a token.
    Contributions,
    /// The next tokens with NormHead and without.
    NormHead,
    /// Where the embeddings of the text's tokens lie.
    Embeddings,
}

impl StreamPart {
    /// All, in the order in which they are offered.
    pub const ALL: [StreamPart; 4] = [
        StreamPart::Lengths,
        StreamPart::Contributions,
        StreamPart::NormHead,
        StreamPart::Embeddings,
    ];

    /// Its name, in English.
    pub fn name(self) -> &'static str {
        match self {
            StreamPart::Lengths => "Lengths",
            StreamPart::Contributions => "Who adds to a logit",
            StreamPart::NormHead => "NormHead",
            StreamPart::Embeddings => "Embeddings",
        }
    }
}

/// What goes to the model: a change of it asks for a new pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Which model.
    pub model: Source,
    /// Which of its checkpoints, in tokens seen; none for the model itself.
    pub checkpoint: Option<u64>,
    /// The text.
    pub text: String,
    /// Heads that add nothing.
    pub switched_off: BTreeSet<Head>,
    /// Tokens that are looked at, at the most; the rest of the text waits.
    pub most_tokens: usize,
}

impl Wanted {
    /// Tokens looked at unless more are asked for: what a small model reads in about a second.
    pub const MOST_TOKENS: usize = 4096;
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted {
            model: Source::default(),
            checkpoint: None,
            text: EXAMPLES[0].1.to_owned(),
            switched_off: BTreeSet::new(),
            most_tokens: Self::MOST_TOKENS,
        }
    }
}

/// Texts to begin with: what to look for in each, and the text.
pub const EXAMPLES: [(&str, &str); 6] = [
    (
        "A copy: who finds the word after?",
        "moon fish tree boat sun cat | moon fish tree boat sun cat",
    ),
    (
        "A story: whose name is it?",
        "Once upon a time, a little girl named Lily lived by the sea. One day, Lily",
    ),
    ("Brackets: what is still open?", "( [ { } ( => ) ] )"),
    (
        "A question: which fact answers it?",
        "The one on the hill is Jack. The one by the sea is Lily.\nWho is by the sea? Lily.",
    ),
    (
        "故事：名字从哪里来？",
        "从前，有一只小兔子，大家都叫它豆豆。一天，豆豆",
    ),
    (
        "两种语言：哪个词对应哪个词？",
        "cat => 猫\ntree => 树\nmoon => 月亮",
    ),
];

/// Everything that is saved with a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    /// What goes to the model.
    pub wanted: Wanted,
    /// What fills the middle.
    pub view: View,
    /// How attention is shown.
    pub form: AttentionForm,
    /// The layer that is looked at.
    pub layer: usize,
    /// The head that is looked at.
    pub head: usize,
    /// The query that is looked at, where one is locked.
    pub query: Option<usize>,
    /// The key that is looked at, where one is locked.
    pub key: Option<usize>,
    /// How weights become shades.
    pub scale: Scale,
    /// How shades become colours.
    pub colors: Colors,
    /// Whether attention to the first token is left out.
    pub hide_first: bool,
    /// Heads without lines.
    pub hidden_heads: BTreeSet<usize>,
    /// How the maps of several heads become one.
    pub together: Together,
    /// How the pieces are shown.
    pub pieces: Pieces,
    /// How positions are shown.
    pub positions: Positions,
    /// How the softmax in blocks is shown.
    pub blocks: Blocks,
    /// Where the logit lens looks: 0 at the embeddings, `i` after layer `i − 1`; none at the output.
    pub depth: Option<usize>,
    /// What is shown below the lens.
    pub stream: StreamPart,
    /// Whose logit is taken apart; none for the likeliest.
    pub token: Option<u32>,
    /// How a text is continued.
    pub generation: Settings,
    /// What is compared; none until it was chosen.
    pub second: Option<Wanted>,
    /// Whether what is compared has a text of its own.
    pub second_text: bool,
}

/// A session as it is written: in a file, or in a page.
#[derive(Serialize, Deserialize)]
struct Written {
    /// What it is, for those who look inside, and for programs to come.
    baichuan2_session: u32,
    #[serde(flatten)]
    session: Session,
}

/// How the pieces are shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pieces {
    /// Whether ids stand below the pieces.
    pub ids: bool,
    /// Which part of the text the merges are shown of; none for the whole.
    pub part: Option<usize>,
    /// How many of its merges are done; none for all.
    pub step: Option<usize>,
}

/// How positions are shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Positions {
    /// How far apart the query and the key are put; none for where they stand.
    pub distance: Option<usize>,
    /// Whether each plane of rotation has a curve of its own.
    pub by_plane: bool,
}

/// How the softmax in blocks is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Blocks {
    /// Keys in a block.
    pub size: usize,
    /// How many blocks were met; none for all.
    pub step: Option<usize>,
}

impl Default for Blocks {
    fn default() -> Self {
        Blocks {
            size: 4,
            step: None,
        }
    }
}

impl Session {
    /// What a new window shows: a head that finds the word after, in a text where there is something to find.
    pub fn first() -> Self {
        Session {
            layer: 4,
            ..Session::default()
        }
    }

    /// The session as JSON, which [`from_json`](Self::from_json) reads.
    pub fn to_json(&self) -> String {
        let written = Written {
            baichuan2_session: 1,
            session: self.clone(),
        };
        serde_json::to_string_pretty(&written).expect("a session is plain data")
    }

    /// A session that was written as JSON; what is not written of it is as in [`Session::default`].
    ///
    /// # Errors
    /// Where it differs from one.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json).map(|written: Written| written.session)
    }

    /// How weights become shades.
    pub fn shading(&self) -> Shading {
        Shading {
            scale: self.scale,
            hide_first: self.hide_first,
        }
    }

    /// Locks a cell of the map, or lets it go where it was locked.
    pub fn lock(&mut self, query: usize, key: usize) {
        let locked = (self.query, self.key) == (Some(query), Some(key));
        (self.query, self.key) = match locked {
            true => (None, None),
            false => (Some(query), Some(key)),
        };
    }

    /// Keeps layer, head, query and key within what the analysed model and text have.
    pub fn clamp(&mut self, layers: usize, heads: usize, tokens: usize) {
        self.layer = self.layer.min(layers.saturating_sub(1));
        self.head = self.head.min(heads.saturating_sub(1));
        self.query = self.query.filter(|&query| query < tokens);
        self.key = self.key.filter(|&key| key < tokens);
    }
}
