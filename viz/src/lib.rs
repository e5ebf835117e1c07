//! A window that shows what the algorithms of Baichuan 2 do.
//!
//! The picture follows from three things: what is wanted ([`session`]), what the model made of it ([`analysis`], computed on a thread of its own by
//! [`worker`]), and how that is shown ([`views`]: each a function of the two, testable without a window). All arithmetic is the library's.

pub mod analysis;
pub mod app;
pub mod background;
pub mod export;
pub mod generator;
pub mod heat_map;
pub mod language;
pub mod model;
pub mod player;
pub mod save;
pub mod session;
pub mod theme;
pub mod views;
pub mod worker;

rust_i18n::i18n!("locales", fallback = "en");
