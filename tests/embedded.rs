//! The models inside the program: that they are there from any folder, speak both languages, and have learned what `docs/models.md` says.
#![cfg(feature = "cli")]

use assert_cmd::Command;
use baichuan2::{
    embedded::EmbeddedModel,
    training::skills::{Skill, accuracy, probes},
};
use predicates::{prelude::PredicateBooleanExt, str::contains};

/// The command in a folder where nothing is.
fn baichuan2(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("baichuan2").unwrap();
    command
        .args(arguments)
        .current_dir(std::env::temp_dir())
        .env_remove("BAICHUAN2_TOKENIZER");
    command
}

/// Catches: weights that were exchanged for others, or a tokenizer for another's; a model that was trained on one language only.
#[test]
fn both_tell_a_story_in_both_languages() {
    let of = |model: &str, prompt: &str| {
        let told = baichuan2(&["generate", "--model", model, prompt])
            .assert()
            .success();
        String::from_utf8(told.get_output().stdout.clone()).unwrap()
    };
    for model in EmbeddedModel::ALL {
        let english = of(&model.to_string(), "Once upon a time");
        let words = english.split_whitespace().count();
        assert!(
            english.starts_with("Once upon a time") && words > 30,
            "{english}"
        );
        assert!(english.is_ascii(), "{english}");
        let chinese = of(&model.to_string(), "从前");
        let characters = chinese
            .chars()
            .filter(|c| ('\u{4e00}'..='\u{9fff}').contains(c));
        assert!(
            chinese.starts_with("从前") && characters.count() > 50,
            "{chinese}"
        );
        assert!(!chinese.contains('\u{fffd}'), "{chinese}");
    }
}

/// Catches: a model that lost what it had learned, or a claim of `docs/models.md` that is not so any more.
#[test]
fn both_have_the_skills_that_are_claimed() {
    for model in EmbeddedModel::ALL {
        let (decoder, tokenizer) = (model.checkpoint().decoder().unwrap(), model.tokenizer());
        for skill in [Skill::Recall, Skill::Induction, Skill::Brackets] {
            let accuracy = accuracy(&decoder, &tokenizer, &probes(skill, 400, 1)).unwrap();
            assert!(accuracy > 0.9, "{model}: {skill} {accuracy}");
        }
    }
}

/// Catches: a command that still asks for a folder; a name that is taken for one.
#[test]
fn commands_run_without_a_model_named() {
    for arguments in [
        &["inspect"][..],
        &["verify"],
        &["tokenize", "从前有一只小猫"],
        &[
            "attention",
            "--layer",
            "1",
            "--head",
            "0",
            "Lily likes cakes.",
        ],
        &["trace", "Lily likes cakes."],
        &[
            "generate",
            "--model",
            "embedded:alibi",
            "--max-new-tokens",
            "3",
            "Lily",
        ],
    ] {
        baichuan2(arguments).assert().success();
    }
    for arguments in [
        &["generate", "--model", "embedded:mamba", "x"][..],
        &["inspect", "embedded:mamba"],
        &["probe-heads", "--model", "embedded:mamba"],
    ] {
        baichuan2(arguments)
            .assert()
            .code(1)
            .stderr(contains("embedded:rope").and(contains("embedded:alibi")));
    }
    baichuan2(&["probe-skills", "--checkpoints"])
        .assert()
        .code(1)
        .stderr(contains("models/rope"));
}
