//! Where the course says more: its pages as they were built, on this machine or, in a page of it, beside that page.

use crate::language::Language;
use eframe::egui::{Button, Frame, OpenUrl, RichText, TextStyle, Ui, containers::menu::MenuButton};

/// A chapter of the course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chapter {
    /// The name of its page: `rope` for `rope.html`.
    pub page: &'static str,
    /// Its title, in English.
    pub title: &'static str,
}

/// Where what a panel shows is computed, and taught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The library's modules.
    pub modules: &'static str,
    /// The chapters, the nearest first.
    pub chapters: &'static [Chapter],
}

/// The command that builds the course.
pub const BUILD: &str = "cargo run -p baichuan2-book";

const fn chapter(page: &'static str, title: &'static str) -> Chapter {
    Chapter { page, title }
}

const TEXT: Chapter = chapter("text-and-bytes", "Text and bytes");
const BPE_TRAINING: Chapter = chapter("bpe-training", "Learning a vocabulary");
const BPE_ENCODING: Chapter = chapter("bpe-encoding", "Encoding");
const BPE_DECODING: Chapter = chapter("bpe-decoding", "Decoding");
const EMBEDDING: Chapter = chapter("embedding", "Embedding and unembedding");
const ATTENTION: Chapter = chapter("attention", "Attention");
const MULTI_HEAD: Chapter = chapter("multi-head", "Multi-head attention");
const ROPE: Chapter = chapter("rope", "RoPE");
const ALIBI: Chapter = chapter("alibi", "ALiBi");
const GROUPED: Chapter = chapter("grouped-query", "Grouped queries and the cache");
const MEMORY: Chapter = chapter("memory-efficient", "Memory-efficient attention");
const RMS_NORM: Chapter = chapter("rms-norm", "RMSNorm");
const SWIGLU: Chapter = chapter("swiglu", "SwiGLU");
const NORM_HEAD: Chapter = chapter("norm-head", "NormHead and max-z");
const DECODER: Chapter = chapter("decoder", "The decoder");
const GENERATION: Chapter = chapter("generation", "Generation and chat");
const CHECKPOINTS: Chapter = chapter("checkpoints", "What forms when");

impl Topic {
    /// Pieces, bytes and ids.
    pub const PIECES: Topic = topic("src/bpe/", &[TEXT, BPE_DECODING]);
    /// Longest match beside merging.
    pub const LONGEST: Topic = topic("src/bpe/encoding.rs", &[BPE_ENCODING]);
    /// The merges.
    pub const MERGES: Topic = topic("src/bpe/encoding.rs", &[BPE_ENCODING, BPE_TRAINING]);
    /// Maps, threads, thumbnails and aggregates.
    pub const ATTENTION: Topic = topic("src/attention/", &[ATTENTION, MULTI_HEAD]);
    /// One weight.
    pub const WEIGHT: Topic = topic("src/attention/map.rs", &[ATTENTION]);
    /// Rotated pairs.
    pub const ROPE: Topic = topic("src/rope.rs", &[ROPE]);
    /// Slopes and biases.
    pub const ALIBI: Topic = topic("src/alibi.rs", &[ALIBI]);
    /// Which heads share keys.
    pub const GROUPED: Topic = topic("src/attention/grouped_query.rs", &[GROUPED]);
    /// Both schemes of positions.
    pub const POSITIONS: Topic = topic("src/rope.rs, src/alibi.rs", &[ROPE, ALIBI, GROUPED]);
    /// The logit lens.
    pub const LENS: Topic = topic(
        "src/dtransformer/, src/unembedding.rs",
        &[DECODER, EMBEDDING],
    );
    /// The stream's length.
    pub const LENGTHS: Topic = topic("src/dtransformer/layer.rs", &[DECODER, RMS_NORM, SWIGLU]);
    /// What adds to a logit.
    pub const CONTRIBUTIONS: Topic = topic("src/attribution.rs", &[DECODER, SWIGLU]);
    /// NormHead.
    pub const NORM_HEAD: Topic = topic("src/unembedding.rs", &[NORM_HEAD]);
    /// Embeddings, projected.
    pub const EMBEDDINGS: Topic = topic("src/tensor/principal_components.rs", &[EMBEDDING]);
    /// The softmax in blocks.
    pub const BLOCKS: Topic = topic("src/attention/memory_efficient.rs", &[MEMORY]);
    /// Filters and sampling.
    pub const GENERATION: Topic = topic("src/generation/", &[GENERATION]);
    /// Two side by side.
    pub const COMPARE: Topic = topic("src/attention/map.rs", &[CHECKPOINTS, MULTI_HEAD]);

    /// All.
    pub const ALL: [Topic; 17] = [
        Topic::PIECES,
        Topic::LONGEST,
        Topic::MERGES,
        Topic::ATTENTION,
        Topic::WEIGHT,
        Topic::ROPE,
        Topic::ALIBI,
        Topic::GROUPED,
        Topic::POSITIONS,
        Topic::LENS,
        Topic::LENGTHS,
        Topic::CONTRIBUTIONS,
        Topic::NORM_HEAD,
        Topic::EMBEDDINGS,
        Topic::BLOCKS,
        Topic::GENERATION,
        Topic::COMPARE,
    ];
}

const fn topic(modules: &'static str, chapters: &'static [Chapter]) -> Topic {
    Topic { modules, chapters }
}

/// The built course.
#[derive(Clone, Debug)]
pub struct Course(place::Place);

impl Course {
    /// The one that belongs to this program.
    pub fn usual() -> Self {
        Course(place::usual())
    }

    /// The one in a folder.
    #[cfg(feature = "desktop")]
    pub fn at(folder: std::path::PathBuf) -> Self {
        Course([folder].into())
    }

    /// The address of a chapter's page; nothing where it is not built.
    pub fn url(&self, chapter: Chapter, language: Language) -> Option<String> {
        place::url(&self.0, chapter, language)
    }
}

/// A question mark: what is seen, which module computes it, and the chapters that teach it, to be opened.
pub fn question(
    ui: &mut Ui,
    course: &Course,
    language: Language,
    explanation: Option<&str>,
    topic: &Topic,
) {
    let name = language.format(
        "What is this? {0}",
        &[&language.tr(topic.chapters[0].title)],
    );
    let (response, _) = MenuButton::from_button(Button::new("?").small()).ui(ui, |ui| {
        ui.set_max_width(380.0);
        if let Some(explanation) = explanation {
            ui.label(explanation);
        }
        ui.weak(language.format("Computed by {0}", &[&topic.modules]));
        for chapter in topic.chapters {
            let title = language.format("Course: {0}", &[&language.tr(chapter.title)]);
            match course.url(*chapter, language) {
                Some(url) => {
                    if ui.link(title).on_hover_text(&url).clicked() {
                        ui.ctx().open_url(OpenUrl::new_tab(url));
                        ui.close();
                    }
                }
                None => {
                    ui.weak(title);
                }
            }
        }
        let is_built = |chapter: &Chapter| course.url(*chapter, language).is_some();
        if !topic.chapters.iter().all(is_built) {
            not_built(ui, language);
        }
    });
    response.on_hover_text(&name).accessible_name(name);
}

fn not_built(ui: &mut Ui, language: Language) {
    ui.label(
        language.tr("The course is not built yet. In the folder of the project, this builds it:"),
    );
    ui.horizontal(|ui| {
        Frame::new()
            .fill(ui.visuals().code_bg_color)
            .inner_margin(4.0)
            .show(ui, |ui| {
                ui.label(RichText::new(BUILD).text_style(TextStyle::Monospace))
            });
        if ui.small_button(language.tr("Copy")).clicked() {
            ui.ctx().copy_text(BUILD.into());
        }
    });
}

#[cfg(feature = "desktop")]
mod place {
    use super::{Chapter, Language};
    use std::{
        env,
        path::{Path, PathBuf},
        sync::{Arc, OnceLock},
    };

    /// The folders where it may be, the likeliest first.
    pub type Place = Arc<[PathBuf]>;

    /// `BAICHUAN2_BOOK`, then `book` in the target folder that the program lies in, then in `target` of the working folder and of those above it.
    pub fn usual() -> Place {
        static USUAL: OnceLock<Place> = OnceLock::new();
        let found = || {
            let named = env::var_os("BAICHUAN2_BOOK").map(PathBuf::from);
            let program = env::current_exe().ok();
            let beside = program
                .iter()
                .flat_map(|program| program.ancestors().skip(1));
            let beside = beside.take(3).map(|folder| folder.join("book"));
            let target =
                env::var_os("CARGO_TARGET_DIR").map(|target| PathBuf::from(target).join("book"));
            let here = env::current_dir().ok();
            let above = here.iter().flat_map(|here| here.ancestors());
            let above = above.map(|folder| folder.join("target/book"));
            named
                .into_iter()
                .chain(beside)
                .chain(target)
                .chain(above)
                .collect()
        };
        USUAL.get_or_init(found).clone()
    }

    pub fn url(folders: &Place, chapter: Chapter, language: Language) -> Option<String> {
        let page = Path::new(language.code()).join(format!("{}.html", chapter.page));
        let mut pages = folders.iter().map(|folder| folder.join(&page));
        let page = std::path::absolute(pages.find(|page| page.is_file())?).ok()?;
        url::Url::from_file_path(page).ok().map(String::from)
    }
}

#[cfg(not(feature = "desktop"))]
mod place {
    use super::{Chapter, Language};

    /// Beside the page.
    pub type Place = ();

    pub fn usual() -> Place {}

    pub fn url((): &Place, chapter: Chapter, _: Language) -> Option<String> {
        Some(format!("{}.html", chapter.page))
    }
}
