//! A window that shows what the algorithms of Baichuan 2 do, and the pictures that a page has of it.
//!
//! The picture follows from three things: what is wanted ([`session`]), what the model made of it ([`analysis`], computed beside the window by
//! [`worker`]), and how that is shown ([`views`]: each a function of the two, testable without a window). [`live`] holds the three together. All arithmetic
//! is the library's.
//!
//! The feature `desktop` (default) adds the window: its bars, files and dialogs. Without it everything else compiles for WebAssembly, where `page` shows it in a page.

pub mod analysis;
#[cfg(feature = "desktop")]
pub mod app;
pub mod background;
pub mod course;
#[cfg(feature = "desktop")]
pub mod export;
pub mod generator;
pub mod heat_map;
pub mod lane;
pub mod language;
pub mod live;
pub mod model;
#[cfg(target_family = "wasm")]
pub mod page;
pub mod player;
#[cfg(feature = "desktop")]
pub mod save;
pub mod session;
pub mod theme;
pub mod views;
pub mod worker;

rust_i18n::i18n!("locales", fallback = "en");
