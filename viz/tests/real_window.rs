//! The real window on a screen in memory: started, clicked, typed into, closed; and what it kept.
//!
//! Needs Xvfb and xdotool (Debian: `xvfb xdotool`); where they are missing the test is ignored, unless `BAICHUAN2_REQUIRE_REFERENCE=1`.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A screen in memory, and its name.
fn screen() -> (Running, String) {
    let mut server = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", "1280x800x24"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("Xvfb starts");
    let mut number = String::new();
    let output = server.stdout.take().expect("it was piped");
    BufReader::new(output)
        .read_line(&mut number)
        .expect("Xvfb says which display it is");
    (Running(server), format!(":{}", number.trim()))
}

fn xdotool(display: &str, arguments: &[&str]) -> String {
    let done = Command::new("xdotool")
        .args(arguments)
        .env("DISPLAY", display)
        .output()
        .expect("xdotool starts");
    assert!(
        done.status.success(),
        "xdotool {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// What the window wrote when it was closed.
fn kept(home: &Path) -> String {
    let file = home.join("baichuan2-viz/app.ron");
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Catches: a window that does not open on plain OpenGL, that does not hear the mouse or the keyboard, or that forgets what it was when it is closed.
fn the_window_opens_hears_and_remembers() {
    let (_server, display) = screen();
    let home = tempfile::tempdir().unwrap();
    let window = Command::new(env!("CARGO_BIN_EXE_baichuan2-viz"))
        .env("DISPLAY", &display)
        .env_remove("WAYLAND_DISPLAY")
        .env("XDG_DATA_HOME", home.path())
        .spawn()
        .expect("the window starts");
    let mut window = Running(window);
    // There is no window manager to give it the keyboard.
    xdotool(
        &display,
        &[
            "search",
            "--sync",
            "--onlyvisible",
            "--name",
            "^baichuan2$",
            "windowfocus",
            "--sync",
        ],
    );
    let pause = || thread::sleep(Duration::from_millis(700));
    pause();
    // The second view of the list, by mouse; up one layer, into the text, and out, by keyboard.
    xdotool(&display, &["mousemove", "35", "111", "click", "1"]);
    pause();
    xdotool(
        &display,
        &["mousemove", "700", "600", "click", "1", "key", "Up"],
    );
    pause();
    xdotool(&display, &["key", "slash"]);
    pause();
    xdotool(&display, &["key", "ctrl+a"]);
    xdotool(&display, &["type", "--delay", "30", "cat boat"]);
    pause();
    xdotool(&display, &["key", "Escape"]);
    pause();
    xdotool(&display, &["key", "ctrl+q"]);
    let patience = Instant::now();
    let ended = loop {
        if let Some(status) = window.0.try_wait().unwrap() {
            break status;
        }
        assert!(
            patience.elapsed() < Duration::from_secs(20),
            "the window does not close"
        );
        thread::sleep(Duration::from_millis(50));
    };
    assert!(ended.success(), "{ended}");
    let kept = kept(home.path());
    for part in ["text:\\\"cat boat\\\"", "view:Tokens", "layer:3"] {
        assert!(kept.contains(part), "no {part} in {kept}");
    }
}

fn main() {
    let arguments = libtest_mimic::Arguments::from_args();
    let there = |program: &str| Command::new(program).arg("-version").output().is_ok();
    let missing = !(there("Xvfb") && there("xdotool"));
    let required = env::var("BAICHUAN2_REQUIRE_REFERENCE").is_ok_and(|value| value == "1");
    let test = libtest_mimic::Trial::test("the_window_opens_hears_and_remembers", || {
        the_window_opens_hears_and_remembers();
        Ok(())
    });
    let test = test.with_ignored_flag(missing && !required);
    libtest_mimic::run(&arguments, vec![test]).exit();
}
