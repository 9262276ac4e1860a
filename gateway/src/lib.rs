//! The gateway: public HTTP in, agents' links out.

mod config;

pub use config::{Config, InvalidUrlTemplate, Limits, UrlTemplate};
