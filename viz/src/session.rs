//! What is wanted: the part of the window's state that is saved, opened again, and undone.

use crate::{generator::Settings, model::Source};
use baichuan2::{
    heads::Head,
    picture::{Colors, Scale},
};
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
    /// Tokens looked at unless more are asked for: what a small model reads in a blink.
    pub const MOST_TOKENS: usize = 2048;
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

impl Session {
    /// What a new window shows: a head that finds the word after, in a text where there is something to find.
    pub fn first() -> Self {
        Session {
            layer: 5,
            ..Session::default()
        }
    }

    /// Keeps layer, head, query and key within what the analysed model and text have.
    pub fn clamp(&mut self, layers: usize, heads: usize, tokens: usize) {
        self.layer = self.layer.min(layers.saturating_sub(1));
        self.head = self.head.min(heads.saturating_sub(1));
        self.query = self.query.filter(|&query| query < tokens);
        self.key = self.key.filter(|&key| key < tokens);
    }
}
