//! Every page of the course as it was built into `target/book`, in a real browser: it fits a phone and a wide screen, in light and dark, and each of its live
//! pictures starts and answers a click.
//!
//! Needs what `module.rs` needs, and the course: `cargo run -p baichuan2-book -- --no-open`.

mod browser;

use anyhow::{Context, Result, ensure};
use browser::*;
use libtest_mimic::Arguments;
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

fn main() -> ExitCode {
    let trials = vec![
        trial("every_page_fits_a_phone_and_a_wide_screen", every_page_fits),
        trial(
            "every_live_picture_starts_and_answers_a_click",
            every_picture_answers,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The pages of a language, but those that repeat others.
fn pages(language: &str) -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/book")
        .join(language)
        .canonicalize();
    let folder =
        folder.context("the course is not built: cargo run -p baichuan2-book -- --no-open")?;
    let mut pages: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|page| Ok(page?.path()))
        .collect::<Result<_>>()?;
    pages.retain(|page| {
        page.extension()
            .is_some_and(|extension| extension == "html")
    });
    pages.retain(|page| {
        !["404.html", "print.html", "toc.html"]
            .iter()
            .any(|other| page.ends_with(other))
    });
    pages.sort();
    ensure!(pages.len() > 25, "only {} pages", pages.len());
    Ok(pages)
}

/// Catches: a table, a formula, a line of code or a drawing that makes the whole page wider than a phone.
fn every_page_fits(needed: &Needed) -> Result<()> {
    let shown = Shown::open(needed, [360, 740], &pages("en")?[0], tempfile::tempdir()?)?;
    let mut wide = Vec::new();
    for page in pages("en")?.into_iter().chain(pages("zh")?) {
        shown.go(&page)?;
        for [width, height] in [[360, 740], [1600, 900]] {
            shown.resize([width, height])?;
            for theme in ["light", "navy"] {
                shown.evaluate(&format!("document.documentElement.classList.remove('light', 'navy'); document.documentElement.classList.add('{theme}')"))?;
                let text = shown
                    .evaluate("document.documentElement.scrollWidth")?
                    .as_f64()
                    .context("a width")?;
                if text > f64::from(width) + 1.0 {
                    let widest = shown.evaluate(
                        "(() => { const main = document.querySelector('main'); let widest = main, right = 0; for (const e of main.querySelectorAll('*')) { \
                         const r = e.getBoundingClientRect().right; if (r > right) { right = r; widest = e; } } return widest.outerHTML.slice(0, 120); })()",
                    )?;
                    wide.push(format!(
                        "{} in {theme}: {text} of {width}: {widest}",
                        page.display()
                    ));
                }
            }
        }
    }
    ensure!(wide.is_empty(), "{}", wide.join("\n"));
    Ok(())
}

/// Catches: a session that the browser's module cannot show (a checkpoint, a folder), and a picture that is dead.
fn every_picture_answers(needed: &Needed) -> Result<()> {
    let shown = Shown::open(needed, PAGE, &pages("en")?[0], tempfile::tempdir()?)?;
    let mut pictures = 0;
    for page in pages("en")? {
        shown.go(&page)?;
        let figures = shown.evaluate("(() => { const f = document.querySelectorAll('figure.live'); f.forEach((f, i) => f.id = 'f' + i); return f.length; })()")?;
        for figure in 0..figures.as_u64().context("a number")? as usize {
            let named = || format!("{}, picture {figure}", page.display());
            shown.until_running(figure).with_context(named)?;
            shown.click_until_changed(figure).with_context(named)?;
            pictures += 1;
        }
    }
    ensure!(pictures > 14, "only {pictures} pictures");
    let complaints = shown.complaints.lock().expect("a list");
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}
