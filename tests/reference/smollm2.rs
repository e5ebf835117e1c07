//! SmolLM2-135M-Instruct: real pretrained weights, against Hugging Face's Llama in f32.

use crate::{Data, difference, ids, json, needs, tensors};
use baichuan2::{
    bpe::Tokenizer,
    checkpoint::Checkpoint,
    generation::{Event, Options, Sampling, Session},
    probe::{LayerSite, Site, Trace},
    training::loss,
};
use libtest_mimic::Trial;
use ndarray::{Axis, s};
use serde_json::Value;
use std::{ops::ControlFlow, path::Path};

pub fn trials() -> Vec<Trial> {
    const DATA: [Data; 2] = [Data::Env("BAICHUAN2_SMOLLM2"), Data::Reference("smollm2")];
    vec![
        needs(
            DATA,
            "smollm2::text_becomes_the_golden_ids",
            text_becomes_the_golden_ids,
        ),
        needs(
            DATA,
            "smollm2::hidden_states_and_logits_agree",
            hidden_states_and_logits_agree,
        ),
        needs(
            DATA,
            "smollm2::greedy_ids_are_the_golden_ones",
            greedy_ids_are_the_golden_ones,
        ),
    ]
}

/// The prompts and what is known of them.
fn prompts(reference: &Path) -> Vec<Value> {
    let golden = json(&reference.join("golden.json"));
    let prompts = golden.as_array().unwrap().clone();
    assert_eq!(prompts.len(), 3);
    prompts
}

/// Catches: digits that are not split, a pattern of words that is not GPT-2's, `<|im_start|>` taken for text, bytes without their letters.
fn text_becomes_the_golden_ids([folder, reference]: [&Path; 2]) {
    let tokenizer = Tokenizer::open(folder).unwrap();
    for prompt in prompts(reference) {
        let text = prompt["prompt"].as_str().unwrap();
        assert_eq!(
            tokenizer.encode_with_specials(text),
            ids(&prompt["ids"]),
            "{text:?}"
        );
        let greedy = tokenizer.decode(&ids(&prompt["greedy_ids"])).unwrap();
        assert_eq!(greedy, prompt["greedy_text"].as_str().unwrap());
    }
}

/// Catches: a base of 1e4 where config.json has 1e5, neighbours rotated for halves, a residual from the wrong side of a norm, key/value
/// heads in groups of the wrong size — and in which layer it happens.
fn hidden_states_and_logits_agree([folder, reference]: [&Path; 2]) {
    let goldens = tensors(&reference.join("logits.safetensors"));
    let decoder = Checkpoint::open(folder).unwrap().decoder().unwrap();
    for (i, prompt) in prompts(reference).iter().enumerate() {
        let ids = ids(&prompt["ids"]);
        let last = ids.len() - 1;
        let mut trace = Trace::of(|site| {
            matches!(
                site,
                Site::Embed | Site::Layer(_, LayerSite::Out) | Site::FinalNorm
            )
        });
        let mut cache = decoder.new_cache();
        let logits = decoder.forward(&ids, &mut cache, Some(&mut trace)).unwrap();

        // Hugging Face lists the embedding, each layer but the last, and the last after the final norm.
        let (shape, hidden) = &goldens[&format!("p{i}.hidden_last_token_per_layer")];
        assert_eq!(shape, &[31, 576]);
        let layers = (0..29).map(|layer| Site::Layer(layer, LayerSite::Out));
        let sites = [Site::Embed]
            .into_iter()
            .chain(layers)
            .chain([Site::FinalNorm]);
        let mut worst = (0.0, String::new());
        for (site, golden) in sites.zip(hidden.chunks(576)) {
            let ours = trace.get(site).unwrap().index_axis(Axis(0), last);
            let largest = golden.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
            let relative = difference(&ours, golden) / largest;
            assert!(relative < 1e-3, "prompt {i}, {site}: {relative}");
            if relative >= worst.0 {
                worst = (relative, site.to_string());
            }
        }

        let (shape, golden) = &goldens[&format!("p{i}.logits_all_first64")];
        assert_eq!(shape, &[ids.len(), 64]);
        let of_all = difference(logits.slice(s![.., ..64]), golden);
        let (shape, golden) = &goldens[&format!("p{i}.logits_last")];
        assert_eq!(shape, &[1, 49_152]);
        let of_last = difference(logits.row(last), golden);
        assert!(
            of_all < 2e-3 && of_last < 2e-3,
            "prompt {i}: {of_all}, {of_last}"
        );

        let logits = logits.slice(s![..last, ..]).mapv(f64::from);
        let entropy = loss::cross_entropy(logits.view(), &ids[1..]);
        let log_p = -entropy * last as f64;
        let off = (log_p - prompt["prompt_logprob_sum"].as_f64().unwrap()).abs();
        let perplexity = entropy.exp() / prompt["ppl"].as_f64().unwrap() - 1.0;
        assert!(
            off < 2e-3 && perplexity.abs() < 1e-4,
            "prompt {i}: {off}, {perplexity}"
        );
        eprintln!(
            "SmolLM2, prompt {i}: hidden states differ by {:.1e} of their largest number at most (in {}), logits by {:.1e}, \
             the prompt's log-probability by {off:.1e}, its perplexity by {:.1e} of it",
            worst.0,
            worst.1,
            of_all.max(of_last),
            perplexity.abs(),
        );
    }
}

/// Catches: a cache that lags by one; positions that start anew after the prompt.
fn greedy_ids_are_the_golden_ones([folder, reference]: [&Path; 2]) {
    let decoder = Checkpoint::open(folder).unwrap().decoder().unwrap();
    for prompt in prompts(reference) {
        let golden = ids(&prompt["greedy_ids"]);
        let options = Options {
            sampling: Sampling::greedy(),
            seed: 0,
            max_new_tokens: golden.len(),
            stop: vec![],
        };
        let mut ours = Vec::new();
        let mut observe = |event| {
            if let Event::Token(id) = event {
                ours.push(id);
            }
            ControlFlow::Continue(())
        };
        Session::new(&decoder, 512)
            .generate(&ids(&prompt["ids"]), &options, &mut observe)
            .unwrap();
        assert_eq!(ours, golden, "{}", prompt["prompt"]);
    }
}
