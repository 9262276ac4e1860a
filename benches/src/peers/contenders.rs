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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Ours ask a real gateway for a token.
    #[test]
    fn everybody_else_can_be_set_up_by_files_and_arguments_alone() {
        let dir = tempfile::tempdir().unwrap();
        let programs = Programs::new(dir.path(), dir.path());
        let upstream = SocketAddr::from(([127, 0, 0, 1], 7));
        let site = Site { upstream, programs: &programs, dir: dir.path() };
        for contender in CONTENDERS.iter().filter(|contender| !OURS.contains(&contender.name)) {
            for program in contender.programs {
                fs::write(dir.path().join(program), "").unwrap();
            }
            let setup = (contender.setup)(&site).unwrap();
            assert_eq!(setup.server.is_some(), contender.name != DIRECT, "{}", contender.name);
            assert!(setup.control.is_none() || setup.agent.is_some(), "{}", contender.name);
        }
    }

    #[test]
    fn names_are_known_to_be_different() {
        for (index, contender) in CONTENDERS.iter().enumerate() {
            assert!(
                CONTENDERS[..index].iter().all(|other| other.name != contender.name),
                "{}",
                contender.name
            );
        }
    }
}
