//! The gateway: public HTTP in, agents' links out.

mod admin;
mod client;
mod config;
mod connections;
pub mod dev;
mod error;
mod grpc;
mod ingress;
mod listener;
mod metrics;
mod reactors;
mod reload;
mod route;
mod sample;
mod server;
mod socket;
mod stranger;
pub mod tokens;

pub use cli::Shutdown;
pub use config::{Config, InvalidUrlTemplate, Limits, UrlTemplate};
pub use reactors::Reactors;
pub use server::{Addresses, Gateway, ServeError, serve};
pub use tokens::{TokenFile, TokenFileError};
