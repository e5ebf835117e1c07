//! The text as coloured pieces, and as ids; what longest match would have made of it, and how merging made what it is.

use super::{Scene, kept, merges};
use crate::{
    analysis::{Analysis, Token, token},
    course::Topic,
    model::Source,
    session::Wanted,
    theme,
};
use baichuan2::bpe::{Kind, Merge};
use eframe::egui::{
    self, Color32, FontId, Grid, Id, Response, Role, ScrollArea, Sense, Stroke, StrokeKind,
    TextEdit, Ui, WidgetInfo, vec2,
};
use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

/// The pieces, with what each is made of; the ids, to be changed; longest match; the merges.
pub fn show(ui: &mut Ui, scene: &mut Scene) {
    let reading = reading(ui, scene.analysis);
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        super::leave_room_for_bar(ui);
        counts(ui, scene);
        scene.explain(ui, "Each colour is a token: a piece of the vocabulary, with ▁ for a space. A character without a piece is cut into its bytes.", &Topic::PIECES);
        ui.add_space(4.0);
        let look = Look {
            size: 18.0,
            ids: scene.session.pieces.ids,
            parts: true,
        };
        row(ui, scene, &look);
        ui.add_space(8.0);
        ids(ui, scene);
        ui.separator();
        longest_match(ui, scene, &reading.longest, look.ids);
        ui.separator();
        merges::show(ui, scene, &reading.replay);
    });
}

/// What the tokenizer made of the text that was looked at, beside its tokens.
pub struct Reading {
    /// Of each token that is a part of a character, which part.
    parts: Vec<Option<Part>>,
    /// The rank of the merge that makes a piece of the text, by its id.
    ranks: HashMap<u32, u32>,
    /// What longest match makes of the same text.
    longest: Longest,
    /// The merges.
    replay: merges::Replay,
}

/// A part of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    of: char,
    /// Which of its bytes comes first, counted from 0.
    first: usize,
}

struct Longest {
    tokens: Vec<Token>,
    /// Which of them merging does not make.
    differ: Vec<bool>,
}

/// The reading of what is shown, made once.
pub fn reading(ui: &Ui, analysis: &Analysis) -> Arc<Reading> {
    kept(ui, "reading", analysis.serial, || read(analysis))
}

fn read(analysis: &Analysis) -> Reading {
    let model = &analysis.model;
    let text = looked_at(analysis);
    let mut merges: Vec<Merge> = Vec::new();
    model
        .tokenizer
        .encode_observed(text, |merge| merges.push(merge));
    let longest = model.tokenizer.encode_longest_match(text);
    let longest: Vec<Token> = longest.into_iter().map(|id| token(model, id)).collect();
    let ours: HashSet<Range<usize>> = spans(&analysis.tokens).collect();
    Reading {
        parts: parts(&analysis.tokens),
        ranks: merges.iter().map(|merge| (merge.id, merge.rank)).collect(),
        longest: Longest {
            differ: spans(&longest).map(|span| !ours.contains(&span)).collect(),
            tokens: longest,
        },
        replay: merges::Replay::new(&model.tokenizer, text, merges),
    }
}

/// The text of the tokens that were looked at: all of it, where none was left out.
fn looked_at(analysis: &Analysis) -> &str {
    let text = &analysis.wanted.text;
    if analysis.left_out == 0 {
        return text;
    }
    let bytes = analysis.tokens.iter().map(|token| token.bytes.len()).sum();
    &text[..text.floor_char_boundary(bytes)]
}

/// Where each token stands among the bytes of all.
fn spans(tokens: &[Token]) -> impl Iterator<Item = Range<usize>> {
    tokens.iter().scan(0, |end, token| {
        let start = *end;
        *end += token.bytes.len();
        Some(start..*end)
    })
}

fn parts(tokens: &[Token]) -> Vec<Option<Part>> {
    let bytes: Vec<u8> = tokens.iter().flat_map(|t| t.bytes.clone()).collect();
    // Of each byte, the character it is of and where that begins.
    let mut characters: Vec<Option<(char, usize)>> = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let start = characters.len();
            characters.resize(start + c.len_utf8(), Some((c, start)));
        }
        characters.resize(characters.len() + chunk.invalid().len(), None);
    }
    let part = |(token, span): (&Token, Range<usize>)| {
        if std::str::from_utf8(&token.bytes).is_ok() {
            return None;
        }
        let (of, start) = characters.get(span.start).copied().flatten()?;
        let first = span.start - start;
        Some(Part { of, first })
    };
    tokens.iter().zip(spans(tokens)).map(part).collect()
}

/// How pieces are drawn.
struct Look {
    size: f32,
    /// Whether ids stand below.
    ids: bool,
    /// Whether the character stands below of which a piece is a part.
    parts: bool,
}

/// Every piece of the text, side by side. A click chooses it as the query that is looked at.
pub fn pieces(ui: &mut Ui, scene: &mut Scene, size: f32) {
    let (ids, parts) = (false, false);
    row(ui, scene, &Look { size, ids, parts });
}

fn row(ui: &mut Ui, scene: &mut Scene, look: &Look) {
    let reading = look.parts.then(|| reading(ui, scene.analysis));
    let part = |i: usize| reading.as_ref().and_then(|reading| reading.parts[i]);
    let analysis = scene.analysis;
    // The pieces of one character are of one colour.
    let mut color = 0;
    wrapped(ui, |ui| {
        for (i, token) in analysis.tokens.iter().enumerate() {
            color += usize::from(i > 0 && part(i).is_none_or(|part| part.first == 0));
            let below = part(i).map(|part| match part.first {
                0 => readable(ui, part.of),
                _ => "·".to_owned(),
            });
            let chosen = scene.session.query == Some(i);
            let stroke = chosen.then_some(ui.visuals().selection.stroke);
            let color = theme::token(color, ui.visuals().dark_mode);
            let response = piece(ui, token, below.as_deref(), look, color, stroke);
            response.widget_info(|| {
                WidgetInfo::selected(
                    Role::Button,
                    true,
                    chosen,
                    scene.format("Token {0}: {1}", &[&i, &token.label]),
                )
            });
            let response = response.on_hover_ui(|ui| facts(ui, scene, i));
            if response.clicked() {
                scene.session.query = (!chosen).then_some(i);
            }
            // A line break in the text is one on the screen.
            if token.label.ends_with("\\n") {
                ui.end_row();
            }
        }
    });
}

fn wrapped(ui: &mut Ui, pieces: impl FnOnce(&mut Ui)) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(2.0, 3.0);
        pieces(ui);
    });
}

fn piece(
    ui: &mut Ui,
    token: &Token,
    below: Option<&str>,
    look: &Look,
    color: Color32,
    stroke: Option<Stroke>,
) -> Response {
    let visuals = ui.visuals();
    let (strong, faint) = (visuals.strong_text_color(), visuals.text_color());
    let layout = |text: &str, font: FontId, color: Color32| {
        ui.painter().layout_no_wrap(text.to_owned(), font, color)
    };
    let label = layout(&token.label, FontId::monospace(look.size), strong);
    let small = || FontId::proportional(look.size * 0.6);
    let id = look.ids.then(|| token.id.to_string());
    let below: Vec<_> = [id.as_deref(), below]
        .into_iter()
        .flatten()
        .map(|text| layout(text, small(), faint))
        .collect();
    let (margin, box_height) = (vec2(3.0, 1.0), label.size().y + 2.0);
    let widest = below.iter().map(|galley| galley.size().x);
    let width = widest.fold(label.size().x, f32::max) + 2.0 * margin.x;
    let height = box_height + below.iter().map(|galley| galley.size().y).sum::<f32>();
    let (rect, response) = ui.allocate_exact_size(vec2(width, height), Sense::click());
    if !ui.is_rect_visible(rect) {
        return response;
    }
    let painter = ui.painter();
    let tile = rect.with_max_y(rect.top() + box_height);
    painter.rect_filled(tile, 3.0, color);
    let stroke = stroke.or_else(|| {
        let seen = response.hovered() || response.has_focus();
        seen.then(|| ui.visuals().widgets.hovered.bg_stroke)
    });
    if let Some(stroke) = stroke {
        painter.rect_stroke(tile, 3.0, stroke, StrokeKind::Inside);
    }
    let center = |width: f32| tile.center().x - width / 2.0;
    painter.galley(
        egui::pos2(center(label.size().x), tile.top() + margin.y),
        label,
        strong,
    );
    let mut y = tile.bottom();
    for galley in below {
        let size = galley.size();
        painter.galley(egui::pos2(center(size.x), y), galley, faint);
        y += size.y;
    }
    response
}

/// What a piece is: id, bytes, kind, score, and the rank of its merge.
pub fn facts(ui: &mut Ui, scene: &Scene, i: usize) {
    let token = &scene.analysis.tokens[i];
    ui.strong(format!("{}  {}", i, token.label));
    Grid::new("facts").num_columns(2).show(ui, |ui| {
        let mut row = |name: &str, value: String| {
            ui.weak(scene.tr(name));
            ui.monospace(value);
            ui.end_row();
        };
        row("id", token.id.to_string());
        row("bytes", hex(&token.bytes));
        if let Ok(piece) = scene.analysis.model.tokenizer.piece(token.id) {
            row("kind", scene.tr(kind(piece.kind)).into_owned());
            row("score", piece.score.to_string());
        }
    });
    let reading = reading(ui, scene.analysis);
    if let Some(Some(part)) = reading.parts.get(i) {
        let mut bytes = [0; 4];
        let bytes = part.of.encode_utf8(&mut bytes).as_bytes();
        let last = (part.first + token.bytes.len()).min(bytes.len());
        let which = match part.first + 1 == last {
            true => last.to_string(),
            false => format!("{}–{last}", part.first + 1),
        };
        ui.label(scene.format(
            "byte {0} of {1} of {2} ({3})",
            &[&which, &bytes.len(), &readable(ui, part.of), &hex(bytes)],
        ));
    }
    ui.label(match reading.ranks.get(&token.id) {
        Some(rank) => scene.format("made by the merge of rank {0}; 0 is merged first", &[rank]),
        None => scene.tr("made by no merge").into_owned(),
    });
}

/// A character, or its number where no font has it.
fn readable(ui: &Ui, character: char) -> String {
    let font = FontId::proportional(12.0);
    match ui.fonts_mut(|fonts| fonts.has_glyph(&font, character)) {
        true => character.to_string(),
        false => format!("U+{:04X}", u32::from(character)),
    }
}

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|b| format!("{b:02X}")).collect();
    bytes.join(" ")
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Normal => "ordinary",
        Kind::Byte(_) => "a single byte",
        Kind::UserDefined => "a symbol of its own, never merged",
        Kind::Control => "control",
        Kind::Unknown => "unknown",
    }
}

fn counts(ui: &mut Ui, scene: &mut Scene) {
    let text = &scene.analysis.wanted.text;
    let tokens = scene.analysis.tokens.len() + scene.analysis.left_out;
    let (characters, bytes) = (text.chars().count(), text.len());
    let per = |n: usize| n as f64 / tokens.max(1) as f64;
    ui.horizontal_wrapped(|ui| {
        ui.label(scene.format(
            "{0} tokens · {1} characters ({2} a token) · {3} bytes ({4} a token)",
            &[
                &tokens,
                &characters,
                &format!("{:.2}", per(characters)),
                &bytes,
                &format!("{:.2}", per(bytes)),
            ],
        ));
        let name = scene.tr("ids").into_owned();
        ui.checkbox(&mut scene.session.pieces.ids, name)
            .on_hover_text(scene.tr("Show the id of each piece below it"));
    });
}

/// Ids as they are typed.
#[derive(Clone)]
struct Draft {
    typed: String,
    /// The text that they stand for, and the model whose ids they are.
    text: String,
    model: Source,
    /// How many ids the text has when it is read anew, where those are others.
    cut_anew: Option<usize>,
    /// Why they stand for none.
    wrong: Option<String>,
}

/// What ids that were typed come to.
enum Typed {
    Text {
        text: String,
        cut_anew: Option<usize>,
    },
    Wrong(String),
}

/// Ids that nobody would type.
const MOST_IDS: usize = 4096;

/// The ids of the whole text in a field: what is typed there becomes the text.
fn ids(ui: &mut Ui, scene: &mut Scene) {
    let analysis = scene.analysis;
    let label = ui
        .label(scene.tr("Ids, with blanks or commas between; change them, and the text follows:"));
    if analysis.tokens.len() + analysis.left_out > MOST_IDS {
        ui.weak(scene.format("More than {0} ids are not shown as text.", &[&MOST_IDS]));
        return;
    }
    let at = Id::unique("ids typed");
    let known = ui.data(|data| data.get_temp::<Draft>(at));
    // An analysis of another text than the one that is wanted is outdated.
    let settled = analysis.wanted.text == scene.session.wanted.text
        && analysis.wanted.model == scene.session.wanted.model;
    let is_of =
        |draft: &Draft, wanted: &Wanted| draft.text == wanted.text && draft.model == wanted.model;
    let mut draft = match known {
        Some(draft) if !settled || is_of(&draft, &analysis.wanted) => draft,
        _ => Draft {
            typed: as_typed(&analysis.model.tokenizer.encode(&analysis.wanted.text)),
            text: analysis.wanted.text.clone(),
            model: analysis.wanted.model.clone(),
            cut_anew: None,
            wrong: None,
        },
    };
    let field = ui.add(
        TextEdit::multiline(&mut draft.typed)
            .id(Id::unique("ids"))
            .font(FontId::monospace(13.0))
            .desired_rows(1)
            .desired_width(f32::INFINITY),
    );
    let field = field.labelled_by(label.id);
    // What is right was looked at when it was typed; what is wrong says so in the language of now.
    if field.changed() || draft.wrong.is_some() {
        match typed(scene, &draft.typed) {
            Typed::Wrong(why) => draft.wrong = Some(why),
            Typed::Text { text, cut_anew } => {
                (draft.text, draft.cut_anew, draft.wrong) = (text.clone(), cut_anew, None);
                scene.session.wanted.text = text;
            }
        }
    }
    match (&draft.wrong, draft.cut_anew) {
        (Some(why), _) => {
            ui.colored_label(ui.visuals().error_fg_color, why);
        }
        (None, Some(n)) => {
            ui.label(scene.format(
                "This text is cut otherwise when it is read, into {0} tokens: those above.",
                &[&n],
            ));
        }
        (None, None) => {}
    }
    ui.data_mut(|data| data.insert_temp(at, draft));
}

fn as_typed(ids: &[u32]) -> String {
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    ids.join(" ")
}

fn typed(scene: &Scene, typed: &str) -> Typed {
    let tokenizer = &scene.analysis.model.tokenizer;
    let mut ids: Vec<u32> = Vec::new();
    let words = typed.split(|c: char| c.is_whitespace() || c == ',');
    for word in words.filter(|word| !word.is_empty()) {
        match word.parse::<u32>() {
            Ok(id) if (id as usize) < tokenizer.vocab_size() => ids.push(id),
            Ok(id) => {
                let last = tokenizer.vocab_size() - 1;
                return Typed::Wrong(scene.format(
                    "There is no piece {0}: the vocabulary ends at {1}.",
                    &[&id, &last],
                ));
            }
            Err(_) => {
                let word: String = word.chars().take(24).collect();
                return Typed::Wrong(scene.format("“{0}” is not an id.", &[&word]));
            }
        }
    }
    match tokenizer.decode(&ids) {
        Ok(text) if text.is_empty() => Typed::Wrong(
            scene
                .tr("These ids print nothing, so the text stays as it is.")
                .into_owned(),
        ),
        Ok(text) => {
            let anew = tokenizer.encode(&text);
            let cut_anew = (anew != ids).then_some(anew.len());
            Typed::Text { text, cut_anew }
        }
        Err(error) => Typed::Wrong(error.to_string()),
    }
}

fn longest_match(ui: &mut Ui, scene: &Scene, longest: &Longest, ids: bool) {
    let tokens = scene.analysis.tokens.len();
    let differ = longest.differ.iter().filter(|differs| **differs).count();
    ui.strong(scene.tr("Longest match"));
    scene.explain(ui, "Always the longest piece that the rest of the text begins with: what is often printed in place of BPE, and is not the same.", &Topic::LONGEST);
    if differ == 0 {
        ui.label(scene.tr("The same pieces, for this text."));
        return;
    }
    ui.label(scene.format(
        "{0} of its {1} pieces are others (framed); merging made {2}.",
        &[&differ, &longest.tokens.len(), &tokens],
    ));
    let look = Look {
        size: 15.0,
        ids,
        parts: false,
    };
    let dark = ui.visuals().dark_mode;
    wrapped(ui, |ui| {
        for (i, (token, &differs)) in longest.tokens.iter().zip(&longest.differ).enumerate() {
            let color = match differs {
                true => theme::token(i, dark),
                false => theme::hidden(dark),
            };
            let stroke = differs.then(|| Stroke::new(1.5, ui.visuals().strong_text_color()));
            let response = piece(ui, token, None, &look, color, stroke);
            let name = match differs {
                true => "Longest match: {0}, which merging does not make",
                false => "Longest match: {0}, as in merging",
            };
            let name = scene.format(name, &[&token.label]);
            response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &name));
            response.on_hover_ui(|ui| {
                ui.label(&name);
                ui.weak(format!("{} {}", scene.tr("id"), token.id));
            });
            if token.label.ends_with("\\n") {
                ui.end_row();
            }
        }
    });
}
