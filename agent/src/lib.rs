//! The agent: dials a gateway and serves its requests from a local HTTP service.

mod backoff;
mod choice;
mod config;
pub mod connect_request;
mod connection;
mod dial;
mod event;
mod forward;
mod gateway_tls;
mod proxy;
mod run;
mod session;
mod trust;
pub mod ui;
mod upstream;

pub use cli::Shutdown;
pub use config::{Config, GatewayUrl, HostField, Http2, Route, Transport, Upstream};
pub use event::{Event, Observer};
pub use gateway_tls::{ChannelBinding, GatewayTls, InvalidClientCert, InvalidServerName};
pub use proxy::{InvalidProxy, Proxies};
pub use run::{RunError, run};
pub use trust::InvalidCa;
pub use upstream::UpstreamTls;
