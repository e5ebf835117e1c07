//! How long the window takes: from its start to the first frame and to the first picture, from a key to what it changes, and each frame.

use baichuan2_viz::app::Viz;
use eframe::{Frame, Storage, egui::Ui};
use std::time::{Duration, Instant};

/// The window, watched.
pub struct Timed {
    viz: Viz,
    started: Instant,
    first_frame: Option<Duration>,
    first_picture: Option<Duration>,
    /// When the text last became another, while its analysis is not there.
    typed: Option<Instant>,
    text: String,
    answers: Vec<Duration>,
    frames: Vec<Duration>,
}

impl Timed {
    /// Watches a window of a program that was started then.
    pub fn new(viz: Viz, started: Instant) -> Self {
        Timed {
            text: viz.session().wanted.text.clone(),
            viz,
            started,
            first_frame: None,
            first_picture: None,
            typed: None,
            answers: Vec::new(),
            frames: Vec::new(),
        }
    }
}

impl eframe::App for Timed {
    fn ui(&mut self, ui: &mut Ui, frame: &mut Frame) {
        // What the frame before took, drawing included, waiting for the screen not.
        self.frames
            .extend(frame.info().cpu_usage.map(Duration::from_secs_f32));
        eframe::App::ui(&mut self.viz, ui, frame);
        self.first_frame
            .get_or_insert_with(|| self.started.elapsed());
        let wanted = &self.viz.session().wanted;
        if wanted.text != self.text {
            self.text = wanted.text.clone();
            self.typed = Some(Instant::now());
        }
        if self
            .viz
            .analysis()
            .is_some_and(|analysis| analysis.wanted == *wanted)
        {
            self.first_picture
                .get_or_insert_with(|| self.started.elapsed());
            self.answers
                .extend(self.typed.take().map(|typed| typed.elapsed()));
        }
    }

    fn save(&mut self, storage: &mut dyn Storage) {
        self.viz.save(storage);
    }

    fn on_exit(&mut self, _: Option<&eframe::glow::Context>) {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let told = |name: &str, times: &mut Vec<Duration>| {
            times.sort();
            if let Some(median) = times.get(times.len() / 2) {
                let slowest = times[times.len() - 1];
                println!(
                    "{name}: median {:.1} ms, slowest {:.1} ms, of {}",
                    ms(*median),
                    ms(slowest),
                    times.len()
                );
            }
        };
        for (name, time) in [
            ("first frame", self.first_frame),
            ("first picture", self.first_picture),
        ] {
            if let Some(time) = time {
                println!("{name} after {:.0} ms", ms(time));
            }
        }
        told(
            "from a key to the frame with what it changed",
            &mut self.answers,
        );
        told("a frame", &mut self.frames);
    }
}
