//! How merging made the pieces: a tree that grows over the characters, merge by merge.

use super::Scene;
use crate::{course::Topic, player::player, theme};
use baichuan2::{
    bpe::{Merge, Tokenizer},
    picture::visible,
};
use eframe::egui::{
    Align2, ComboBox, FontId, Pos2, Rect, RichText, Role, ScrollArea, Sense, Stroke, StrokeKind,
    Ui, WidgetInfo, pos2, vec2,
};
use std::{cmp::Ordering, collections::HashMap, ops::Range};

/// All merges of a text, in their order, and the trees that they make.
pub struct Replay {
    /// The text as merging sees it.
    text: String,
    /// Where each leaf stands in it: a character, or a symbol that is never merged.
    leaves: Vec<Range<usize>>,
    merges: Vec<Node>,
    /// The number of the symbol that each leaf goes into: its colour, as among the pieces.
    colors: Vec<usize>,
    /// Leaves of the parts that may be looked at alone.
    parts: Vec<Range<usize>>,
}

/// A merge in its tree.
struct Node {
    merge: Merge,
    /// The leaves below it.
    leaves: Range<usize>,
    /// How far below it the lowest leaf is.
    level: usize,
    /// The two that it joins: a merge, or else a leaf.
    children: [Child; 2],
}

#[derive(Clone, Copy)]
enum Child {
    Leaf(usize),
    Merge(usize),
}

/// Leaves of a part, unless a single piece has more.
const PART: usize = 24;
/// Leaves that are drawn as a whole.
const WHOLE: usize = 400;

impl Replay {
    /// The trees of `merges`, which were observed of `text`.
    pub fn new(tokenizer: &Tokenizer, text: &str, merges: Vec<Merge>) -> Self {
        let prepared = tokenizer.prepare(text);
        let leaves: Vec<Range<usize>> = prepared
            .words
            .iter()
            .flat_map(|word| {
                let characters = prepared.text[word.range.clone()].char_indices();
                let start = word.range.start;
                let each: Vec<_> = match word.frozen {
                    Some(_) => vec![word.range.clone()],
                    None => characters
                        .map(|(at, c)| start + at..start + at + c.len_utf8())
                        .collect(),
                };
                each
            })
            .collect();
        let by_start: HashMap<usize, usize> = leaves.iter().map(|l| l.start).zip(0..).collect();
        let mut made: HashMap<Range<usize>, usize> = HashMap::new();
        let mut joined = vec![false; leaves.len()];
        let mut nodes: Vec<Node> = Vec::new();
        for merge in merges {
            let children = [&merge.left, &merge.right].map(|side| match made.get(side) {
                Some(&below) => Child::Merge(below),
                None => Child::Leaf(by_start[&side.start]),
            });
            let leaves_of = |child| match child {
                Child::Leaf(leaf) => (leaf..leaf + 1, 0),
                Child::Merge(i) => (nodes[i].leaves.clone(), nodes[i].level),
            };
            let [(left, low), (right, high)] = children.map(leaves_of);
            joined[right.start] = true;
            made.insert(merge.left.start..merge.right.end, nodes.len());
            nodes.push(Node {
                merge,
                leaves: left.start..right.end,
                level: low.max(high) + 1,
                children,
            });
        }
        let symbols = runs(&joined, 0..leaves.len());
        let mut colors = Vec::with_capacity(leaves.len());
        for (i, symbol) in symbols.iter().enumerate() {
            colors.resize(symbol.end, i);
        }
        let parts = parts(&prepared.text, &leaves, &symbols);
        Replay {
            text: prepared.text,
            leaves,
            merges: nodes,
            colors,
            parts,
        }
    }

    fn text_of(&self, leaves: &Range<usize>) -> String {
        let bytes = self.leaves[leaves.start].start..self.leaves[leaves.end - 1].end;
        visible(&self.text[bytes])
    }

    /// A merge in words: `t + h → th`.
    fn told(&self, node: &Node) -> String {
        let side = |range: &Range<usize>| visible(&self.text[range.clone()]);
        let whole = node.merge.left.start..node.merge.right.end;
        let (left, right) = (side(&node.merge.left), side(&node.merge.right));
        format!("{left} + {right} → {}", side(&whole))
    }

    /// The merges within some leaves, in their order.
    fn merges_of(&self, leaves: &Range<usize>) -> Vec<usize> {
        let within =
            |node: &Node| leaves.start <= node.leaves.start && node.leaves.end <= leaves.end;
        (0..self.merges.len())
            .filter(|&i| within(&self.merges[i]))
            .collect()
    }

    /// The symbols that some leaves are after the first merges of them.
    fn symbols_after(&self, leaves: &Range<usize>, done: &[usize]) -> Vec<Range<usize>> {
        let mut joined = vec![false; self.leaves.len()];
        for &i in done {
            let node = &self.merges[i];
            let right = match node.children[1] {
                Child::Leaf(leaf) => leaf,
                Child::Merge(i) => self.merges[i].leaves.start,
            };
            joined[right] = true;
        }
        runs(&joined, leaves.clone())
    }
}

/// Leaves that are joined to the one before them go together.
fn runs(joined: &[bool], leaves: Range<usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for leaf in leaves {
        match runs.last_mut() {
            Some(run) if joined[leaf] => run.end = leaf + 1,
            _ => runs.push(leaf..leaf + 1),
        }
    }
    runs
}

/// Symbols in stretches that are short enough to look at: a word each, or some characters where there are no words. No merge reaches across.
fn parts(text: &str, leaves: &[Range<usize>], symbols: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    for symbol in symbols {
        let begins = text[leaves[symbol.start].clone()]
            .starts_with(|c: char| c == baichuan2::bpe::SPACE || c.is_whitespace());
        match parts.last_mut() {
            Some(part) if !begins && symbol.end - part.start <= PART => part.end = symbol.end,
            _ => parts.push(symbol.clone()),
        }
    }
    parts
}

/// The chooser, the steps, the tree, and the list.
pub fn show(ui: &mut Ui, scene: &mut Scene, replay: &Replay) {
    ui.strong(scene.tr("Merges"));
    scene.explain(ui, "A text starts as characters. Of all neighbours that together are a piece, those with the best score merge first (rank 0 before rank 1; of equals the leftmost), until none are left.", &Topic::MERGES);
    if replay.leaves.is_empty() {
        return;
    }
    let leaves = choose(ui, scene, replay);
    let merges = replay.merges_of(&leaves);
    if merges.is_empty() {
        ui.label(scene.tr("Nothing merges here."));
    } else {
        let step = &mut scene.session.pieces.step;
        player(ui, scene.language, "Merge", step, merges.len());
    }
    let step = scene.session.pieces.step;
    let step = step.map_or(merges.len(), |step| step.min(merges.len()));
    let newest = step.checked_sub(1).map(|last| &replay.merges[merges[last]]);
    let told = match newest {
        Some(node) => scene.format(
            "{0}, rank {1}, id {2}",
            &[&replay.told(node), &node.merge.rank, &node.merge.id],
        ),
        None => scene.tr("every character by itself").into_owned(),
    };
    ui.label(RichText::new(&told).strong());
    let list_width = 230.0;
    ui.horizontal_top(|ui| {
        let width = ui.available_width() - list_width - ui.spacing().item_spacing.x;
        ui.vertical(|ui| {
            ui.set_width(width.max(200.0));
            ScrollArea::horizontal()
                .id_salt("merge tree")
                .auto_shrink([false, true])
                .show(ui, |ui| {
                    tree(ui, scene, replay, &leaves, &merges, step, &told)
                });
        });
        ui.vertical(|ui| list(ui, scene, replay, &merges, step));
    });
}

/// Which part of the text is looked at, in leaves.
fn choose(ui: &mut Ui, scene: &mut Scene, replay: &Replay) -> Range<usize> {
    let whole = 0..replay.leaves.len();
    let all_fit = whole.len() <= WHOLE;
    let last = replay.parts.len() - 1;
    let mut part = scene.session.pieces.part.map(|part| part.min(last));
    if !all_fit {
        part = part.or(Some(0));
    }
    let before = part;
    let name = |part: Option<usize>| match part {
        Some(part) => short(&replay.text_of(&replay.parts[part])),
        None => scene.tr("The whole text").into_owned(),
    };
    if last > 0 {
        ui.horizontal(|ui| {
            let label = ui.label(scene.tr("Part of the text"));
            ComboBox::from_id_salt("part")
                .selected_text(name(part))
                .width(160.0)
                .show_ui(ui, |ui| {
                    if all_fit {
                        ui.selectable_value(&mut part, None, name(None));
                    }
                    for i in 0..=last {
                        ui.selectable_value(&mut part, Some(i), name(Some(i)));
                    }
                })
                .response
                .labelled_by(label.id);
        });
    }
    if part != before {
        scene.session.pieces.part = part;
        scene.session.pieces.step = None;
    }
    match part {
        Some(part) => replay.parts[part].clone(),
        None => whole,
    }
}

fn short(text: &str) -> String {
    const MOST: usize = 18;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn list(ui: &mut Ui, scene: &mut Scene, replay: &Replay, merges: &[usize], step: usize) {
    let height = ui.text_style_height(&eframe::egui::TextStyle::Monospace) + 4.0;
    let mut area = ScrollArea::vertical()
        .id_salt("merge list")
        .max_height(240.0)
        .auto_shrink([false, true]);
    // The list follows the steps, but may be looked through between them.
    let seen = ui.scope_id().with("seen");
    if ui.data(|data| data.get_temp(seen)) != Some((step, merges.len())) {
        ui.data_mut(|data| data.insert_temp(seen, (step, merges.len())));
        let row = height + ui.spacing().item_spacing.y;
        area = area.vertical_scroll_offset(step.saturating_sub(5) as f32 * row);
    }
    area.show_rows(ui, height, merges.len(), |ui, rows| {
        for row in rows {
            let node = &replay.merges[merges[row]];
            let text = format!("{:>3}  {}", row + 1, replay.told(node));
            let visuals = ui.visuals();
            let color = match (row + 1).cmp(&step) {
                Ordering::Less => visuals.text_color(),
                Ordering::Equal => visuals.strong_text_color(),
                Ordering::Greater => visuals.weak_text_color(),
            };
            let text = RichText::new(text).monospace().color(color);
            let response = ui.selectable_label(row + 1 == step, text);
            let rank = scene.format("rank {0}, id {1}", &[&node.merge.rank, &node.merge.id]);
            if response.on_hover_text(rank).clicked() {
                scene.session.pieces.step = (row + 1 < merges.len()).then_some(row + 1);
            }
        }
    });
}

/// Widths and heights of the tree.
const CELL: f32 = 27.0;
const LEVEL: f32 = 40.0;
const LEAF: f32 = 30.0;
const BOX: f32 = 20.0;

fn tree(
    ui: &mut Ui,
    scene: &mut Scene,
    replay: &Replay,
    leaves: &Range<usize>,
    merges: &[usize],
    step: usize,
    told: &str,
) {
    let levels = merges.iter().map(|&i| replay.merges[i].level).max();
    let levels = levels.unwrap_or(0) as f32;
    // A symbol that never merges may be longer than a cell.
    let long = |leaf: usize| replay.text_of(&(leaf..leaf + 1)).chars().count().max(1);
    let mut x = 0.0;
    let edges: Vec<f32> = std::iter::once(0.0)
        .chain(leaves.clone().map(|leaf| {
            x += CELL + 9.0 * (long(leaf) - 1) as f32;
            x
        }))
        .collect();
    let size = vec2(x + 4.0, levels * LEVEL + LEAF + 14.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let done = &merges[..step];
    let symbols = replay.symbols_after(leaves, done);
    response.widget_info(|| {
        let symbols: Vec<String> = symbols.iter().map(|s| replay.text_of(s)).collect();
        WidgetInfo::labeled(
            Role::Image,
            true,
            scene.format(
                "Merge {0} of {1}: {2}. Symbols: {3}",
                &[&step, &merges.len(), &told, &symbols.join(" ")],
            ),
        )
    });
    let left = |leaf: usize| rect.left() + 2.0 + edges[leaf - leaves.start];
    let base = rect.bottom() - LEAF;
    let middle = |range: &Range<usize>| (left(range.start) + left(range.end)) / 2.0;
    let place = |node: &Node| {
        pos2(
            middle(&node.leaves),
            base - node.level as f32 * LEVEL + 14.0,
        )
    };
    let clip = ui.clip_rect();
    let painter = ui.painter();
    let visuals = ui.visuals();
    let (ink, strong, faint) = (
        visuals.text_color(),
        visuals.strong_text_color(),
        visuals.weak_text_color(),
    );
    let dark = visuals.dark_mode;
    let in_view =
        |range: &Range<usize>| left(range.start) < clip.right() && left(range.end) > clip.left();

    // Below, the text as it now is cut: boxes that grow together.
    for symbol in symbols.iter().filter(|symbol| in_view(symbol)) {
        let tile = Rect::from_min_max(
            pos2(left(symbol.start) + 1.5, base + 2.0),
            pos2(left(symbol.end) - 1.5, base + LEAF - 2.0),
        );
        painter.rect_filled(tile, 4.0, theme::token(replay.colors[symbol.start], dark));
    }
    for leaf in leaves.clone().filter(|leaf| in_view(&(*leaf..leaf + 1))) {
        let center = pos2(middle(&(leaf..leaf + 1)), base + LEAF / 2.0);
        let text = replay.text_of(&(leaf..leaf + 1));
        let size = if text.chars().count() > 1 { 11.0 } else { 15.0 };
        painter.text(
            center,
            Align2::CENTER_CENTER,
            text,
            FontId::monospace(size),
            strong,
        );
    }
    // Above, the merges.
    let pointer = response.hover_pos();
    let mut pointed = None;
    for (n, &i) in done.iter().enumerate() {
        let node = &replay.merges[i];
        if !in_view(&node.leaves) {
            continue;
        }
        let newest = n + 1 == step;
        let at = place(node);
        let stroke = match newest {
            true => Stroke::new(2.5, theme::head(1)),
            false => Stroke::new(1.0, faint),
        };
        for child in node.children {
            let foot = match child {
                Child::Leaf(leaf) => pos2(middle(&(leaf..leaf + 1)), base + 2.0),
                Child::Merge(i) => place(&replay.merges[i]) - vec2(0.0, BOX / 2.0),
            };
            let shoulder = pos2(foot.x, at.y);
            painter.line_segment([at, shoulder], stroke);
            painter.line_segment([shoulder, foot], stroke);
        }
    }
    for (n, &i) in done.iter().enumerate() {
        let node = &replay.merges[i];
        if !in_view(&node.leaves) {
            continue;
        }
        let newest = n + 1 == step;
        let at: Pos2 = place(node);
        let text = replay.text_of(&node.leaves);
        let label = painter.layout_no_wrap(text, FontId::monospace(13.0), strong);
        let tile = Rect::from_center_size(at, vec2(label.size().x + 8.0, BOX));
        let color = theme::token(replay.colors[node.leaves.start], dark);
        painter.rect_filled(tile, 4.0, color);
        let edge = match newest {
            true => Stroke::new(2.5, theme::head(1)),
            false => Stroke::new(1.0, faint),
        };
        painter.rect_stroke(tile, 4.0, edge, StrokeKind::Inside);
        painter.galley(tile.center() - label.size() / 2.0, label, strong);
        if newest {
            let rank = scene.format("rank {0}", &[&node.merge.rank]);
            painter.text(
                tile.center_top() - vec2(0.0, 1.0),
                Align2::CENTER_BOTTOM,
                rank,
                FontId::proportional(11.0),
                ink,
            );
        }
        if pointer.is_some_and(|pointer| tile.expand(2.0).contains(pointer)) {
            pointed = Some((n, node));
        }
    }
    let reach = done.last().map(|&i| place(&replay.merges[i]));
    let seen = ui.data(|data| data.get_temp::<usize>(response.id));
    if seen != Some(step) {
        ui.data_mut(|data| data.insert_temp(response.id, step));
        if let Some(at) = reach.filter(|_| seen.is_some()) {
            // The newest stays in sight; the page below stays where it is.
            let y = ui.clip_rect().center().y;
            ui.scroll_to_rect(
                Rect::from_center_size(pos2(at.x, y), vec2(120.0, 1.0)),
                None,
            );
        }
    }
    if let Some((n, node)) = pointed {
        if response.clicked() {
            scene.session.pieces.step = (n + 1 < merges.len()).then_some(n + 1);
        }
        response.on_hover_ui_at_pointer(|ui| {
            ui.strong(replay.told(node));
            ui.label(scene.format("merge {0} of {1}", &[&(n + 1), &merges.len()]));
            ui.label(scene.format("rank {0}, id {1}", &[&node.merge.rank, &node.merge.id]));
        });
    }
}
