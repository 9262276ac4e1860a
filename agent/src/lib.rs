//! The agent: dials a gateway and serves its requests from a local HTTP service.

pub mod admin;
mod backoff;
mod board;
mod choice;
mod clock;
mod config;
pub mod connect_request;
mod connection;
mod dial;
mod event;
mod forward;
mod gateway_tls;
mod health;
mod learning;
pub mod network;
mod nudge;
mod proxy;
mod record;
mod run;
mod session;
mod slot;
pub mod status;
mod trust;
pub mod ui;
mod upstream;

pub use cli::Shutdown;
pub use config::{Config, GatewayUrl, HostField, Http2, LinkAge, Route, Transport, Upstream};
pub use event::{Event, Observer};
pub use gateway_tls::{ChannelBinding, GatewayTls, InvalidClientCert, InvalidServerName};
pub use health::HealthCheck;
pub use nudge::Nudge;
pub use proxy::{InvalidProxy, Proxies};
pub use run::{Agent, RunError, run};
pub use trust::InvalidCa;
pub use upstream::UpstreamTls;
