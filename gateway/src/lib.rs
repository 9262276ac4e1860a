//! The gateway: public HTTP in, agents' links out.

mod acme;
mod admin;
mod agents;
mod client;
mod config;
mod connections;
pub mod dev;
pub mod edge;
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
mod tls;
pub mod tokens;

pub use acme::{ACME, AcmeConfig, CacheError, Challenge, LETS_ENCRYPT, LETS_ENCRYPT_STAGING, Retry};
pub use cli::Shutdown;
pub use config::{Config, EdgeConfig, InvalidUrlTemplate, Limits, PolicySource, ReadPolicies, UrlTemplate};
pub use error::Pages;
pub use reactors::Reactors;
pub use server::{Addresses, Gateway, ServeError, serve};
pub use tls::{CertificateFiles, TlsConfig, TlsFileError};
pub use tokens::{TokenFile, TokenFileError};
