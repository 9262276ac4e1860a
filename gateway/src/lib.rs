//! The gateway: public HTTP in, agents' links out.

mod acme;
mod activation;
mod admin;
mod agents;
mod audit;
mod census;
mod client;
mod config;
mod connections;
mod descriptors;
pub mod dev;
mod door;
pub mod edge;
mod ending;
mod error;
mod grpc;
mod handover;
mod ingress;
mod listener;
mod metrics;
mod notify;
mod pause;
mod ports;
mod reactors;
mod reload;
mod route;
mod rulebook;
mod sample;
mod seldom;
mod server;
mod socket;
mod stage;
mod stranger;
mod tls;
pub mod tokens;

pub use acme::{
    ACME, AcmeConfig, CacheError, Challenge, ExternalAccount, ExternalAccountError, LETS_ENCRYPT,
    LETS_ENCRYPT_STAGING, Retry,
};
pub use activation::ActivationError;
pub use cli::Shutdown;
pub use config::{Config, EdgeConfig, InvalidUrlTemplate, Limits, PolicySource, ReadPolicies, UrlTemplate};
pub use error::Pages;
pub use ports::Addresses;
pub use reactors::Reactors;
#[doc(hidden)]
pub use route::Routes;
pub use server::{Gateway, ServeError, serve};
pub use session::{Instances, Terms};
pub use stage::Readiness;
pub use tls::{CertificateFiles, TlsConfig};
pub use tokens::{TokenFile, TokenFileError};
