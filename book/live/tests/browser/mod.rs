//! A page in a real browser, for the tests that look at pages.

// Each of them uses a part.
#![allow(dead_code)]

use anyhow::{Context, Result, bail, ensure};
use headless_chrome::{
    Browser, LaunchOptions, Tab,
    protocol::cdp::{
        Emulation, Input, Network::Enable, Page::CaptureScreenshotFormatOption::Png, types::Event,
    },
};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub fn trial(name: &str, test: fn(&Needed) -> Result<()>) -> Trial {
    match Needed::find() {
        Ok(needed) => Trial::test(name, move || {
            test(&needed).map_err(|error| Failed::from(format!("{error:?}")))
        }),
        Err(missing) if env::var_os("BAICHUAN2_REQUIRE_LIVE").is_some_and(|on| on == "1") => {
            Trial::test(name, move || Err(missing.into()))
        }
        Err(missing) => {
            Trial::test(format!("{name} (needs {missing})"), || Ok(())).with_ignored_flag(true)
        }
    }
}

/// What may be absent.
pub struct Needed {
    pub module: PathBuf,
    pub browser: PathBuf,
}

impl Needed {
    pub fn find() -> Result<Self, String> {
        let module =
            env::var_os("BAICHUAN2_LIVE").map_or_else(|| target().join("module"), PathBuf::from);
        if !module.join("live-module.js").is_file() {
            return Err("the module: cargo run -p baichuan2-live -- target/live/module".into());
        }
        let on_path = || {
            let path = env::var_os("PATH")?;
            let names = ["chromium", "chromium-browser", "google-chrome"];
            env::split_paths(&path)
                .flat_map(|folder| names.map(|name| folder.join(name)))
                .find(|file| file.is_file())
        };
        let browser = env::var_os("CHROMIUM").map(PathBuf::from).or_else(on_path);
        let browser = browser.ok_or("Chromium or Chrome; CHROMIUM may name it")?;
        Ok(Needed { module, browser })
    }
}

pub fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/live")
}

pub fn metrics([width, height]: [u32; 2]) -> Emulation::SetDeviceMetricsOverride {
    Emulation::SetDeviceMetricsOverride {
        width,
        height,
        device_scale_factor: 1.0,
        mobile: width < 500,
        scale: None,
        screen_width: None,
        screen_height: None,
        position_x: None,
        position_y: None,
        dont_set_visible_size: None,
        screen_orientation: None,
        viewport: None,
        display_feature: None,
        device_posture: None,
    }
}

/// A page in a browser, and what went on in it.
pub struct Shown {
    pub tab: Arc<Tab>,
    /// What was asked for over any network or from disk.
    pub requests: Arc<Mutex<Vec<String>>>,
    /// What the page complained about.
    pub complaints: Arc<Mutex<Vec<String>>>,
    pub folder: TempDir,
    _browser: Browser,
}

pub const PATIENCE: Duration = Duration::from_secs(60);

impl Shown {
    /// A page of some figures, and space below each.
    pub fn page(
        needed: &Needed,
        [width, height]: [u32; 2],
        figures: &[(&str, &str)],
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for name in ["live.js", "live-module.js"] {
            fs::copy(needed.module.join(name), folder.path().join(name))?;
        }
        let mut body = String::new();
        for (i, (session, language)) in figures.iter().enumerate() {
            body += &format!(
                "<figure id=f{i} class=live data-session='{session}' data-language={language}><img class=still-light src=still.svg alt=still>\
                 <figcaption>Figure {i}</figcaption></figure><p>Text between the figures.</p>"
            );
        }
        fs::write(
            folder.path().join("still.svg"),
            "<svg xmlns='http://www.w3.org/2000/svg' width='720' height='420'><rect width='720' height='420' fill='#cde'/></svg>",
        )?;
        let page = format!(
            "<!doctype html><html class=light lang=en><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>\
             <style>body {{ max-width: 750px; margin: 12px auto; padding: 0 10px; font: 16px sans-serif }} figure {{ margin: 1em 0 }} \
             .coal {{ background: #141617; color: #98a3ad }} figure.live img, figure.live canvas {{ width: 100%; border: 1px solid red }}</style>\
             <body>{body}<div style='height: 20000px'></div><p id=end>The end.</p><script src=live.js defer></script></body></html>"
        );
        fs::write(folder.path().join("page.html"), page)?;
        Shown::open(
            needed,
            [width, height],
            &folder.path().join("page.html"),
            folder,
        )
    }

    /// A page that is there; `folder` is kept as long.
    pub fn open(needed: &Needed, size: [u32; 2], page: &Path, folder: TempDir) -> Result<Self> {
        let [width, height] = size;
        let args = [
            "--use-angle=swiftshader",
            "--enable-unsafe-swiftshader",
            "--hide-scrollbars",
        ];
        let browser = Browser::new(LaunchOptions {
            path: Some(needed.browser.clone()),
            sandbox: false,
            enable_gpu: true,
            window_size: Some((width, height)),
            idle_browser_timeout: PATIENCE,
            args: args.iter().map(OsStr::new).collect(),
            ..LaunchOptions::default()
        })?;
        let tab = browser.new_tab()?;
        tab.set_default_timeout(PATIENCE);
        tab.call_method(metrics(size))?;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let (asked, complained) = (requests.clone(), complaints.clone());
        tab.add_event_listener(Arc::new(move |event: &Event| {
            let (list, what) = match event {
                Event::NetworkRequestWillBeSent(event) => {
                    (&asked, event.params.request.url.clone())
                }
                Event::NetworkWebSocketCreated(event) => (&asked, event.params.url.clone()),
                Event::LogEntryAdded(event)
                    if format!("{:?}", event.params.entry.level) == "Error" =>
                {
                    (&complained, event.params.entry.text.clone())
                }
                Event::RuntimeExceptionThrown(event) => {
                    (&complained, format!("{:?}", event.params.exception_details))
                }
                Event::RuntimeConsoleAPICalled(event)
                    if format!("{:?}", event.params.Type) == "Error" =>
                {
                    (&complained, format!("{:?}", event.params.args))
                }
                _ => return,
            };
            list.lock().expect("a list").push(what);
        }))?;
        tab.call_method(Enable {
            max_total_buffer_size: None,
            max_resource_buffer_size: None,
            max_post_data_size: None,
            report_direct_socket_traffic: None,
            enable_durable_messages: None,
        })?;
        tab.enable_log()?.enable_runtime()?;
        let shown = Shown {
            tab,
            requests,
            complaints,
            folder,
            _browser: browser,
        };
        shown.go(page)?;
        Ok(shown)
    }

    /// Turns to a page.
    pub fn go(&self, page: &Path) -> Result<()> {
        let url = format!("file://{}", page.display());
        self.tab.navigate_to(&url)?.wait_until_navigated()?;
        Ok(())
    }

    /// Makes the window as large.
    pub fn resize(&self, size: [u32; 2]) -> Result<()> {
        self.tab.call_method(metrics(size))?;
        Ok(())
    }

    pub fn evaluate(&self, script: &str) -> Result<Value> {
        let found = self
            .tab
            .evaluate(script, true)
            .with_context(|| script.to_owned())?;
        Ok(found.value.unwrap_or(Value::Null))
    }

    /// Waits until a script says true.
    pub fn until(&self, script: &str) -> Result<()> {
        let begun = Instant::now();
        while self.evaluate(script)? != Value::Bool(true) {
            if begun.elapsed() > PATIENCE {
                let complaints = self.complaints.lock().expect("a list").join("\n");
                bail!("this never became true: {script}\n{complaints}");
            }
            thread::sleep(Duration::from_millis(30));
        }
        Ok(())
    }

    pub fn until_running(&self, figure: usize) -> Result<()> {
        self.evaluate(&format!(
            "f{figure}.scrollIntoView({{block: 'center', behavior: 'instant'}})"
        ))?;
        self.until(&format!(
            "f{figure}.dataset.state === 'running' || f{figure}.dataset.state === 'failed'"
        ))?;
        let state = self.evaluate(&format!(
            "f{figure}.dataset.state + ' ' + f{figure}.textContent"
        ))?;
        ensure!(
            state.as_str().unwrap_or_default().starts_with("running"),
            "figure {figure}: {state}"
        );
        // It fades in.
        thread::sleep(Duration::from_millis(400));
        Ok(())
    }

    pub fn session(&self, figure: usize) -> Result<Value> {
        let json = self.evaluate(&format!("f{figure}.baichuan2.session()"))?;
        Ok(serde_json::from_str(
            json.as_str().context("a session is text")?,
        )?)
    }

    pub fn mouse(
        &self,
        kind: Input::DispatchMouseEventTypeOption,
        at: [f64; 2],
        wheel: f64,
    ) -> Result<()> {
        use Input::DispatchMouseEventTypeOption::{MousePressed, MouseReleased};
        let button =
            matches!(kind, MousePressed | MouseReleased).then_some(Input::MouseButton::Left);
        let is_wheel = wheel != 0.0;
        self.tab.call_method(Input::DispatchMouseEvent {
            Type: kind,
            x: at[0],
            y: at[1],
            click_count: button.is_some().then_some(1),
            button,
            delta_x: is_wheel.then_some(0.0),
            delta_y: is_wheel.then_some(wheel),
            modifiers: None,
            timestamp: None,
            buttons: None,
            force: None,
            tangential_pressure: None,
            tilt_x: None,
            tilt_y: None,
            twist: None,
            pointer_Type: None,
        })?;
        thread::sleep(Duration::from_millis(60));
        Ok(())
    }

    /// Where on the page a place of a figure's canvas is, given in shares of it.
    pub fn place(&self, figure: usize, at: [f64; 2]) -> Result<[f64; 2]> {
        let corner = self.evaluate(&format!(
            "(() => {{ const r = f{figure}.querySelector('canvas').getBoundingClientRect(); return JSON.stringify([r.x, r.y, r.width, r.height]); }})()"
        ))?;
        let [x, y, width, height]: [f64; 4] =
            serde_json::from_str(corner.as_str().context("a rectangle")?)?;
        Ok([x + at[0] * width, y + at[1] * height])
    }

    pub fn click(&self, figure: usize, at: [f64; 2]) -> Result<()> {
        use Input::DispatchMouseEventTypeOption::{MouseMoved, MousePressed, MouseReleased};
        let at = self.place(figure, at)?;
        for kind in [MouseMoved, MousePressed, MouseReleased] {
            self.mouse(kind, at, 0.0)?;
        }
        Ok(())
    }

    pub fn scrolled(&self) -> Result<f64> {
        self.evaluate("scrollY")?.as_f64().context("a number")
    }

    /// Clicks here and there until the session is another.
    pub fn click_until_changed(&self, figure: usize) -> Result<Value> {
        let before = self.session(figure)?;
        for y in 3..19 {
            for x in 3..19 {
                self.click(figure, [f64::from(x) / 20.0, f64::from(y) / 20.0])?;
                let now = self.session(figure)?;
                if now != before {
                    return Ok(now);
                }
            }
        }
        bail!("no click changes {before}")
    }

    pub fn keep_picture(&self, name: &str) -> Result<Vec<u8>> {
        let png = self.tab.capture_screenshot(Png, None, None, true)?;
        let folder = target().join("pictures");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("{name}.png")), &png)?;
        Ok(png)
    }

    /// What holds of every page: nothing was asked for but its own files, and nothing was complained about.
    pub fn is_quiet(&self) -> Result<()> {
        let own = format!("file://{}/", self.folder.path().display());
        let requests = self.requests.lock().expect("a list");
        ensure!(
            requests.len() >= 3,
            "the browser was not listened to: {requests:?}"
        );
        for request in requests.iter() {
            ensure!(
                request.starts_with(&own) || request.starts_with("data:"),
                "the page asks for {request}"
            );
        }
        let modules = requests
            .iter()
            .filter(|request| request.ends_with("live-module.js"))
            .count();
        ensure!(modules == 1, "the module is loaded {modules} times");
        let complaints = self.complaints.lock().expect("a list");
        ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
        Ok(())
    }
}

/// A window as wide as a page.
pub const PAGE: [u32; 2] = [900, 700];
