//! What each block adds to the logit of one token.

use super::{attention_color, mlp_color};
use crate::{
    analysis::Analysis,
    background,
    course::Topic,
    theme,
    views::{
        Scene,
        likely::{Bar, ROW},
        stream::{choose_depth, position, token},
    },
};
use baichuan2::{
    attribution::{Attribution, AttributionError, of_heads},
    probe::{Site, Trace},
};
use eframe::egui::{Color32, Id, RichText, TextEdit, Ui};
use ndarray::{Array1, Axis};

/// The shares of all blocks, and of all heads.
struct Shares {
    of: Attribution<f32>,
    /// Of each layer, `[H]`.
    heads: Vec<Array1<f32>>,
}

type Asked = (u64, usize, u32);
type Found = Result<Shares, String>;

/// The token to choose, and a bar for each block; for each head of the layer that is looked at.
pub fn contributions(ui: &mut Ui, scene: &mut Scene) {
    scene.explain(ui, "A logit is the stream at the end times the token's row of the output matrix, and the stream is the sum of what all blocks added: so each has its share. What later blocks made of it counts as theirs.", &Topic::CONTRIBUTIONS);
    choose(ui, scene);
    let (position, token) = (position(scene), token(scene));
    let analysis = scene.analysis;
    let id = Id::unique("attribution");
    let key: Asked = (analysis.serial, position, token);
    let latest = background::latest(ui, id, key, || {
        let (trace, model) = (trace(analysis, position), analysis.model.clone());
        move |_: &dyn Fn() -> bool| {
            let decoder = model.weights()?;
            let shares = || {
                let of = Attribution::of(decoder, &trace, 0, token)?;
                let layers = decoder.config().num_hidden_layers;
                let heads = |layer| of_heads(decoder, &trace, layer, 0, token);
                let heads: Result<_, AttributionError> = (0..layers).map(heads).collect();
                Ok(Shares { of, heads: heads? })
            };
            Some(shares().map_err(|error: AttributionError| error.to_string()))
        }
    });
    match latest.current() {
        Some(Ok(found)) => shares(ui, scene, found, token),
        Some(Err(why)) => {
            ui.label(RichText::new(why).color(ui.visuals().error_fg_color));
        }
        None => {
            ui.horizontal(|ui| background::waiting::<Asked, Found>(ui, id, scene.language));
        }
    }
}

/// What a probe would have kept of one position.
fn trace(analysis: &Analysis, position: usize) -> Trace {
    let mut trace = Trace::of(Attribution::<f32>::wants);
    for site in Site::all(analysis.layers()).filter(|site| Attribution::<f32>::wants(*site)) {
        if let Some(rows) = analysis.rows(site) {
            let row = rows.row(position).insert_axis(Axis(0)).to_owned();
            trace.values.insert(site.to_string(), row.into_dyn());
        }
    }
    trace
}

/// The token whose logit is taken apart: one of the likeliest, or any, by its id or its text.
fn choose(ui: &mut Ui, scene: &mut Scene) {
    let analysis = scene.analysis;
    let shown = token(scene);
    ui.horizontal_wrapped(|ui| {
        let label = ui.label(scene.tr("Token"));
        let id = Id::unique("token to take apart");
        let mut typed = ui
            .data(|data| data.get_temp::<String>(id))
            .unwrap_or_default();
        let field = ui
            .add(
                TextEdit::singleline(&mut typed)
                    .desired_width(90.0)
                    .hint_text(scene.tr("id or text")),
            )
            .labelled_by(label.id);
        if field.changed() && !typed.is_empty() {
            scene.session.token = find(analysis, &typed);
        }
        let is_found = typed.is_empty() || find(analysis, &typed).is_some();
        ui.data_mut(|data| data.insert_temp(id, typed));
        if !is_found {
            ui.label(RichText::new(scene.tr("no such piece")).color(ui.visuals().error_fg_color));
        }
        ui.monospace(RichText::new(analysis.label_of(shown)).strong());
        ui.weak(format!("id {shown}"));
        ui.separator();
        ui.weak(scene.tr("likeliest:"));
        for (id, p) in analysis.next(position(scene), 5) {
            let name = analysis.label_of(id);
            if ui
                .selectable_label(id == shown, name)
                .on_hover_text(format!("id {id}   {p:.6}"))
                .clicked()
            {
                scene.session.token = Some(id);
            }
        }
    });
}

/// An id, or a piece as it is shown or written, or what a text begins with.
fn find(analysis: &Analysis, typed: &str) -> Option<u32> {
    let (config, tokenizer) = (analysis.model.decoder.config(), &analysis.model.tokenizer);
    if let Ok(id) = typed.trim().parse::<u32>() {
        return ((id as usize) < config.vocab_size).then_some(id);
    }
    let marked = typed.replace(' ', "▁");
    tokenizer
        .id_of(&marked)
        .or_else(|| tokenizer.encode(typed).first().copied())
}

/// A bar of a share, in one of the columns.
struct Share<'a> {
    label: String,
    name: String,
    value: f32,
    largest: f32,
    color: Color32,
    chosen: bool,
    hint: &'a str,
}

impl Share<'_> {
    fn clicked(&self, ui: &mut Ui) -> bool {
        let bar = Bar {
            label: &self.label,
            name: &self.name,
            share: self.value / self.largest,
            number: format!("{:+.4}", self.value),
            color: self.color,
            chosen: self.chosen,
        };
        let shown = bar.show(ui, true);
        shown
            .on_hover_text(format!("{}\n{:+.6}\n{}", self.name, self.value, self.hint))
            .clicked()
    }
}

fn shares(ui: &mut Ui, scene: &mut Scene, found: &Shares, token: u32) {
    let Shares { of, heads } = found;
    let layer = scene.session.layer.min(heads.len().saturating_sub(1));
    let all = of.self_attn.iter().chain(&of.mlp).chain([&of.embed]);
    let all = all.chain(heads.iter().flatten());
    let largest = all.fold(f32::MIN_POSITIVE, |max, share| max.max(share.abs()));
    let number = |x: f32| format!("{x:+.4}");
    ui.label(scene.format(
        "embedding {0}   attention {1}   feed-forward {2}   =   logit {3} of {4}",
        &[
            &number(of.embed),
            &number(of.self_attn.sum()),
            &number(of.mlp.sum()),
            &number(of.logit),
            &scene.analysis.label_of(token),
        ],
    ));
    let hints = [scene.tr("Click: its heads"), scene.tr("Click: look there")];
    let hints = hints.map(|hint| hint.into_owned());
    let head = scene.session.head;
    let mut clicked = None;
    let mut clicked_head = None;
    ui.columns(3, |columns| {
        for ui in &mut *columns {
            ui.spacing_mut().item_spacing.y = 1.0;
        }
        columns[0].strong(scene.tr("Attention"));
        columns[1].strong(scene.tr("Feed-forward"));
        columns[2].strong(scene.format("Heads of layer {0}", &[&layer]));
        let blocks = [
            (&of.self_attn, attention_color(), "attention of layer {0}"),
            (&of.mlp, mlp_color(), "feed-forward of layer {0}"),
        ];
        for (i, (values, color, name)) in blocks.into_iter().enumerate() {
            for (l, &value) in values.iter().enumerate() {
                let share = Share {
                    label: scene.format("layer {0}", &[&l]),
                    name: scene.format(name, &[&l]),
                    value,
                    largest,
                    color,
                    chosen: l == layer && i == 0,
                    hint: &hints[i],
                };
                if share.clicked(&mut columns[i]) {
                    clicked = Some(l + 1);
                }
            }
        }
        for (h, &value) in heads[layer].iter().enumerate() {
            let share = Share {
                label: scene.format("head {0}", &[&h]),
                name: scene.format("head {0} of layer {1}", &[&h, &layer]),
                value,
                largest,
                color: attention_color(),
                chosen: h == head,
                hint: &hints[1],
            };
            if share.clicked(&mut columns[2]) {
                clicked_head = Some(h);
            }
        }
        let ui = &mut columns[2];
        ui.add_space(ROW / 2.0);
        ui.strong(scene.tr("Embedding"));
        let token = &scene.analysis.tokens[position(scene)].label;
        let share = Share {
            label: token.clone(),
            name: scene.format("embedding of {0}", &[token]),
            value: of.embed,
            largest,
            color: theme::head(9),
            chosen: false,
            hint: &hints[1],
        };
        if share.clicked(ui) {
            clicked = Some(0);
        }
    });
    if let Some(depth) = clicked {
        choose_depth(scene, depth);
    }
    if let Some(head) = clicked_head {
        scene.session.head = head;
    }
}
