//! Pages with live pictures in a real browser, opened from disk as readers open them.
//!
//! | needed | where |
//! |---|---|
//! | the module, as `cargo run -p baichuan2-live -- target/live/module` makes it | `BAICHUAN2_LIVE`, or `target/live/module` |
//! | Chromium or Chrome | `CHROMIUM`, or on the path |
//!
//! Where either is absent, a test is listed as ignored, and its name says what is missing; with `BAICHUAN2_REQUIRE_LIVE=1` (as in `.ci/run`) that is a failure.
//! What the pages look like is kept in `target/live/pictures`.

mod browser;

use anyhow::{Context, Result, ensure};
use browser::*;
use headless_chrome::protocol::cdp::{Emulation, Input};
use libtest_mimic::Arguments;
use std::{process::ExitCode, thread, time::Duration};

fn main() -> ExitCode {
    let trials = vec![
        trial("three_views_start_and_answer_a_click", three_views),
        trial(
            "the_page_scrolls_over_a_picture_until_it_is_pressed",
            scrolling,
        ),
        trial("a_finger_scrolls_the_page_until_it_taps", fingers),
        trial("theme_and_keys_and_the_way_back", theme_keys_and_reset),
        trial("a_text_goes_on_token_by_token", generation),
        trial("what_cannot_be_shown_stays_still", failing),
        trial("far_away_it_ends_and_goes_on_when_near", far_away),
        trial("every_view_fits_a_page_and_a_phone", every_view),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn view(view: &str) -> String {
    format!(r#"{{ "baichuan2_session": 1, "view": "{view}", "layer": 4 }}"#)
}

/// Catches: a picture that does not start, or shows another session; pointers that miss what they point at; a second module; requests.
fn three_views(needed: &Needed) -> Result<()> {
    let views = ["Attention", "Tokens", "Stream"];
    let sessions = views.map(view);
    let figures: Vec<(&str, &str)> = sessions
        .iter()
        .map(|session| (session.as_str(), "en"))
        .collect();
    let shown = Shown::page(needed, PAGE, &figures)?;
    let height = shown.evaluate("f0.offsetHeight")?;
    for (i, view) in views.iter().enumerate() {
        shown.until_running(i)?;
        let before = shown.session(i)?;
        ensure!(before["view"] == *view && before["layer"] == 4, "{before}");
        let now = shown.click_until_changed(i)?;
        ensure!(now["view"] == *view, "{now}");
        shown.keep_picture(&format!("three-{view}"))?;
    }
    ensure!(
        shown.evaluate("f0.offsetHeight")? == height,
        "the layout jumps"
    );
    shown.is_quiet()
}

/// Catches: a page that is caught in a picture; a picture that cannot be zoomed once it was pressed; a focus that is taken.
fn scrolling(needed: &Needed) -> Result<()> {
    use Input::DispatchMouseEventTypeOption::{MouseMoved, MouseWheel};
    let session = view("Attention");
    let shown = Shown::page(needed, PAGE, &[(&session, "en")])?;
    shown.until_running(0)?;
    ensure!(
        shown.evaluate("document.activeElement === document.body")? == true,
        "the picture took the keyboard"
    );
    let over = shown.place(0, [0.4, 0.7])?;
    let before = shown.scrolled()?;
    shown.mouse(MouseMoved, over, 0.0)?;
    shown.mouse(MouseWheel, over, 40.0)?;
    thread::sleep(Duration::from_millis(300));
    let free = shown.scrolled()?;
    ensure!(
        free > before,
        "the page did not scroll over a picture: {before} {free}"
    );
    shown.click(0, [0.4, 0.7])?;
    let over = shown.place(0, [0.4, 0.7])?;
    shown.mouse(MouseWheel, over, 40.0)?;
    thread::sleep(Duration::from_millis(300));
    ensure!(
        shown.scrolled()? == free,
        "the wheel was the page's although the picture was pressed"
    );
    let beside = [5.0, over[1]];
    shown.mouse(MouseMoved, beside, 0.0)?;
    shown.mouse(MouseMoved, over, 0.0)?;
    shown.mouse(MouseWheel, over, 40.0)?;
    thread::sleep(Duration::from_millis(300));
    ensure!(
        shown.scrolled()? > free,
        "the picture keeps the wheel after the pointer has left it"
    );
    shown.is_quiet()
}

/// Catches: a phone that is caught in a picture; a picture that cannot be moved in once it was tapped; a slider that follows a finger which scrolls the page.
fn fingers(needed: &Needed) -> Result<()> {
    use Input::DispatchTouchEventTypeOption::{TouchEnd, TouchMove, TouchStart};
    let session = view("Attention");
    let shown = Shown::page(needed, [360, 700], &[(&session, "en")])?;
    shown.tab.call_method(Emulation::SetTouchEmulationEnabled {
        enabled: true,
        max_touch_points: Some(1),
    })?;
    shown.until_running(0)?;
    let finger = |kind, at: Option<[f64; 2]>| -> Result<()> {
        let point = at.map(|[x, y]| Input::TouchPoint {
            x,
            y,
            radius_x: None,
            radius_y: None,
            rotation_angle: None,
            force: None,
            tangential_pressure: None,
            tilt_x: None,
            tilt_y: None,
            twist: None,
            id: None,
        });
        shown.tab.call_method(Input::DispatchTouchEvent {
            Type: kind,
            touch_points: point.into_iter().collect(),
            modifiers: None,
            timestamp: None,
        })?;
        thread::sleep(Duration::from_millis(30));
        Ok(())
    };
    let swipe = || -> Result<f64> {
        let before = shown.scrolled()?;
        let [x, y] = shown.place(0, [0.5, 0.8])?;
        finger(TouchStart, Some([x, y]))?;
        for step in 1..=12 {
            finger(TouchMove, Some([x, y - 10.0 * f64::from(step)]))?;
        }
        finger(TouchEnd, None)?;
        thread::sleep(Duration::from_millis(200));
        Ok(shown.scrolled()? - before)
    };
    let tap = |at: [f64; 2]| -> Result<()> {
        finger(TouchStart, Some(shown.place(0, at)?))?;
        finger(TouchEnd, None)?;
        thread::sleep(Duration::from_millis(200));
        Ok(())
    };
    let first = shown.session(0)?;
    let free = swipe()?;
    ensure!(free > 60.0, "a finger moves the page by {free}");
    ensure!(
        shown.session(0)? == first,
        "a finger that scrolls the page changes the picture"
    );
    shown.evaluate("scrollTo(0, 0)")?;
    tap([0.3, 0.75])?;
    let tapped = shown.session(0)?;
    ensure!(
        tapped["query"].is_number(),
        "a tap chooses no cell: {tapped}"
    );
    let held = swipe()?;
    ensure!(
        held == 0.0,
        "the page moves by {held} although the picture was tapped"
    );
    shown.keep_picture("fingers")?;
    shown.is_quiet()
}

/// Catches: a picture in the light on a dark page; arrow keys that turn the book's pages; a way back that is none.
fn theme_keys_and_reset(needed: &Needed) -> Result<()> {
    let session = view("Attention");
    let shown = Shown::page(needed, PAGE, &[(&session, "zh")])?;
    shown.until_running(0)?;
    let first = shown.session(0)?;
    let brightness = |name: &str| -> Result<f64> {
        let png = shown.keep_picture(name)?;
        let base64 = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, png);
        let at = shown.place(0, [0.97, 0.9])?;
        let sum = shown.evaluate(&format!(
            "(async () => {{ const image = new Image(); image.src = 'data:image/png;base64,{base64}'; await image.decode(); \
             const canvas = document.createElement('canvas'); canvas.width = image.width; canvas.height = image.height; \
             const context = canvas.getContext('2d'); context.drawImage(image, 0, 0); \
             return context.getImageData({}, {}, 1, 1).data.slice(0, 3).reduce((a, b) => a + b); }})()",
            at[0], at[1]
        ))?;
        Ok(sum.as_f64().context("a number")? / 765.0)
    };
    let light = brightness("theme-light-zh")?;
    shown.evaluate("document.documentElement.className = 'coal'")?;
    thread::sleep(Duration::from_millis(500));
    let dark = brightness("theme-dark-zh")?;
    ensure!(light > 0.8 && dark < 0.3, "light {light}, dark {dark}");
    shown.evaluate("turned = 0; document.addEventListener('keydown', () => { turned += 1; })")?;
    shown.click(0, [0.97, 0.9])?;
    shown.tab.press_key("ArrowRight")?;
    shown.until("JSON.parse(f0.baichuan2.session()).head === 1")?;
    ensure!(
        shown.evaluate("turned")? == 0,
        "a key of the picture came to the page"
    );
    shown.evaluate("f0.querySelector('button').click()")?;
    ensure!(shown.session(0)? == first);
    shown.is_quiet()
}

/// Catches: work that is never done where there are no threads.
fn generation(needed: &Needed) -> Result<()> {
    let session = view("Generation");
    let shown = Shown::page(needed, PAGE, &[(&session, "en")])?;
    shown.until_running(0)?;
    // Where the buttons are, for a canvas has no names; "Use as text" makes the session tell of the new tokens.
    let [one, play, use_as_text] = [0.06, 0.15, 0.46].map(|x| [x, 0.115]);
    let length = || -> Result<usize> {
        let session = shown.session(0)?;
        let text = session["wanted"]["text"].as_str();
        Ok(text.context("a text")?.len())
    };
    let before = length()?;
    shown.click(0, one)?;
    thread::sleep(Duration::from_millis(500));
    shown.click(0, use_as_text)?;
    let one_more = length()?;
    ensure!(one_more > before, "no token was added");
    shown.click(0, play)?;
    thread::sleep(Duration::from_millis(1500));
    shown.keep_picture("generation")?;
    shown.click(0, play)?;
    thread::sleep(Duration::from_millis(500));
    shown.click(0, use_as_text)?;
    let played = length()?;
    ensure!(played > one_more + 6, "{before}, {one_more}, {played}");
    shown.is_quiet()
}

/// Catches: a broken picture in place of a still; silence about it; one that takes the others with it.
fn failing(needed: &Needed) -> Result<()> {
    let good = view("Tokens");
    let shown = Shown::page(
        needed,
        PAGE,
        &[
            (r#"{"baichuan2_session":1,"view":"Kitchen"}"#, "en"),
            (&good, "en"),
        ],
    )?;
    shown.until("f0.dataset.state === 'failed'")?;
    let caption = shown.evaluate(
        "f0.querySelector('figcaption').textContent + f0.querySelector('.live-failed').title",
    )?;
    let caption = caption.as_str().unwrap_or_default();
    ensure!(
        caption.contains("stays still") && caption.contains("Kitchen"),
        "{caption}"
    );
    ensure!(shown.evaluate("getComputedStyle(f0.querySelector('img')).visibility")? == "visible");
    ensure!(shown.evaluate("f0.querySelector('canvas') === null")? == true);
    shown.until_running(1)?;
    shown.keep_picture("failed")?;
    shown.is_quiet()
}

/// Catches: pictures that cost without being seen; a choice that is lost on the way.
fn far_away(needed: &Needed) -> Result<()> {
    let session = view("Attention");
    let shown = Shown::page(needed, PAGE, &[(&session, "en")])?;
    shown.until_running(0)?;
    let chosen = shown.click_until_changed(0)?;
    shown.evaluate("document.getElementById('end').scrollIntoView({behavior: 'instant'})")?;
    shown.until("f0.dataset.state === undefined && f0.querySelector('canvas') === null")?;
    ensure!(shown.session(0)? == chosen);
    shown.until_running(0)?;
    ensure!(shown.session(0)? == chosen);
    shown.is_quiet()
}

/// Catches: a view that fails in the browser, or has no room on a phone (to be looked at in `target/live/pictures`).
fn every_view(needed: &Needed) -> Result<()> {
    let views = [
        "Tokens",
        "Attention",
        "Positions",
        "Stream",
        "Blocks",
        "Generation",
        "Compare",
    ];
    let sessions = views.map(view);
    for (size, name) in [(PAGE, "page"), ([360, 700], "phone")] {
        for (theme, language) in [("light", "en"), ("coal", "zh")] {
            let figures: Vec<(&str, &str)> = sessions
                .iter()
                .map(|session| (session.as_str(), language))
                .collect();
            let shown = Shown::page(needed, size, &figures)?;
            shown.evaluate(&format!("document.documentElement.className = '{theme}'"))?;
            for (i, view) in views.iter().enumerate() {
                shown.until_running(i)?;
                shown.keep_picture(&format!("{name}-{theme}-{view}"))?;
                let wide = shown.evaluate("document.documentElement.scrollWidth - innerWidth")?;
                ensure!(
                    wide.as_f64().is_some_and(|wide| wide <= 0.0),
                    "{view} is {wide} too wide"
                );
            }
            shown.is_quiet()?;
        }
    }
    Ok(())
}
