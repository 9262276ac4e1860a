//! Who is compared, and how each is set up: as its own documentation says, with defaults wherever it has any.

use std::{net::SocketAddr, path::Path};

use super::{programs::Programs, running::Setup};

mod bore;
mod caddy;
mod chisel;
mod frp;
mod haproxy;
mod hyper;
pub(super) mod nginx;
mod ours;
mod piko;
mod rathole;
mod wstunnel;

/// Somebody who takes part.
pub(super) struct Contender {
    pub(super) name: &'static str,
    /// For readers who do not know it.
    pub(super) what: &'static str,
    /// What must be there.
    pub(super) programs: &'static [&'static str],
    /// How its first program is asked for its version.
    pub(super) version: &'static [&'static str],
    pub(super) setup: fn(&Site<'_>) -> anyhow::Result<Setup>,
}

/// Where a contender is set up.
pub(super) struct Site<'a> {
    pub(super) upstream: SocketAddr,
    pub(super) programs: &'a Programs,
    /// For its files.
    pub(super) dir: &'a Path,
}

/// The one that others are compared with.
pub(super) const DIRECT: &str = "direct";
pub(super) const NGINX: &str = "nginx";
pub(super) const TWO_HYPER: &str = "two hyper proxies";
pub(super) const RATHOLE: &str = "rathole";
pub(super) const BORE: &str = "bore";
pub(super) const WSTUNNEL: &str = "wstunnel";
pub(super) const FRP: &str = "frp http";
/// Ours, by transport.
pub(super) const OURS: [&str; 2] = ["ours, gRPC", "ours, WebSocket"];

pub(super) const CONTENDERS: [Contender; 13] = [
    Contender {
        name: DIRECT,
        what: "no proxy at all",
        programs: &[],
        version: &[],
        setup: |site| Ok(Setup::direct(site.upstream)),
    },
    nginx::CONTENDER,
    haproxy::CONTENDER,
    caddy::CONTENDER,
    hyper::CONTENDER,
    rathole::CONTENDER,
    bore::CONTENDER,
    frp::CONTENDER,
    chisel::CONTENDER,
    wstunnel::CONTENDER,
    piko::CONTENDER,
    ours::GRPC,
    ours::WEB_SOCKET,
];

/// A loopback port that nobody listens on.
fn free() -> std::io::Result<SocketAddr> {
    std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}
