//! A small trained Llama with grouped-query heads, against its own author's program.

use crate::{Data, difference, ids, json, needs, tensors};
use assert_cmd::Command;
use baichuan2::{
    bpe::Tokenizer,
    checkpoint::Checkpoint,
    generation::{Event, Finish, Options, Sampling, Session},
};
use libtest_mimic::Trial;
use std::{ops::ControlFlow, path::Path};

pub fn trials() -> Vec<Trial> {
    const FOLDER: [Data; 1] = [Data::Reference("stories260k")];
    vec![
        needs(
            FOLDER,
            "stories260k::the_command_tells_the_golden_story",
            the_command_tells_the_golden_story,
        ),
        needs(
            FOLDER,
            "stories260k::greedy_ids_are_the_golden_ones",
            greedy_ids_are_the_golden_ones,
        ),
        needs(FOLDER, "stories260k::logits_agree", logits_agree),
    ]
}

/// Catches: a missing `<s>`, key/value heads shared by the wrong heads, a penalty or a temperature that nobody asked for, a prompt that
/// is left out or printed twice, spaces lost in streaming.
fn the_command_tells_the_golden_story([folder]: [&Path; 1]) {
    let golden = json(&folder.join("golden.json"));
    let mut command = Command::cargo_bin("baichuan2").unwrap();
    command.arg("generate").arg("--model").arg(folder);
    let output = command.arg("Once upon a time").assert().success();
    let printed = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert_eq!(
        printed.trim_end_matches('\n'),
        golden["text"].as_str().unwrap()
    );
}

/// Catches: a cache that lags by one, an argmax that takes the last of equals, a bos id that is not 1.
fn greedy_ids_are_the_golden_ones([folder]: [&Path; 1]) {
    let golden = ids(&json(&folder.join("golden.json"))["greedy_ids"]);
    assert_eq!(golden.len(), 201);
    let tokenizer = Tokenizer::open(folder).unwrap();
    let checkpoint = Checkpoint::open(folder).unwrap();
    let decoder = checkpoint.decoder().unwrap();
    let mut text = vec![tokenizer.bos().unwrap()];
    text.extend(tokenizer.encode("Once upon a time"));
    let options = Options {
        sampling: Sampling::greedy(),
        seed: 0,
        max_new_tokens: golden.len() - text.len(),
        stop: checkpoint.generation.eos_token_ids.clone(),
    };
    let prompt = text.clone();
    let mut observe = |event| {
        if let Event::Token(id) = event {
            text.push(id);
        }
        ControlFlow::Continue(())
    };
    let finish = Session::new(&decoder, 512).generate(&prompt, &options, &mut observe);
    assert_eq!(finish.unwrap(), Finish::Length);
    assert_eq!(text, golden);
}

/// Catches: neighbours rotated where the file holds halves, another ε, heads in groups of the wrong size.
fn logits_agree([folder]: [&Path; 1]) {
    let golden = ids(&json(&folder.join("golden.json"))["greedy_ids"]);
    let (shape, logits) = tensors(&folder.join("logits.safetensors"))
        .remove("logits")
        .unwrap();
    assert_eq!(shape, [1, 64, 512]);
    let decoder = Checkpoint::open(folder).unwrap().decoder().unwrap();
    let mut cache = decoder.new_cache();
    let ours = decoder.forward(&golden[..64], &mut cache, None).unwrap();
    let difference = difference(&ours, &logits);
    eprintln!("stories260k: 64 × 512 logits differ by {difference:.1e} at most");
    assert!(difference < 1e-4, "{difference}");
}
