use std::{net::SocketAddr, process::Command};

use anyhow::{Context as _, ensure};

use super::{Contender, OURS, Setup, Site};
use crate::peers::{launch::Launch, running::Herd};

pub(super) const GRPC: Contender = Contender {
    name: OURS[0],
    what: "HTTP tunnel that routes by host name, agent linked over gRPC",
    programs: &["gateway-tunnel", "agent-tunnel"],
    version: &["--version"],
    setup: |site| setup(site, Link::Grpc),
};

pub(super) const WEB_SOCKET: Contender = Contender {
    name: OURS[1],
    what: "the same, agent linked over WebSocket",
    setup: |site| setup(site, Link::WebSocket),
    ..GRPC
};

/// Which of the gateway's ports the agent dials.
#[derive(Clone, Copy)]
enum Link {
    Grpc,
    WebSocket,
}

/// As in the README's section of two terminals, but for ports that are free.
fn setup(site: &Site<'_>, link: Link) -> anyhow::Result<Setup> {
    let [entry, grpc, ws, admin] = [super::free()?, super::free()?, super::free()?, super::free()?];
    let gateway = site.programs.path("gateway-tunnel")?;
    let tokens = site.dir.join("tokens.toml");
    let mut token = Command::new(&gateway);
    token.args(["token", "new", "--agent-id", "*", "--tokens"]).arg(&tokens);
    let token = token.output().context("the gateway cannot be asked for a token")?;
    ensure!(token.status.success(), "no token: {}", String::from_utf8_lossy(&token.stderr));
    let token = String::from_utf8(token.stdout)?.trim().to_owned();
    let ports = [("--http", entry), ("--grpc", grpc), ("--ws", ws), ("--admin", admin)];
    let server = alone(site, Launch::new("gateway", &gateway))
        .args(["serve", "--domain", "localhost", "--tokens"])
        .args([tokens])
        .args(ports.into_iter().flat_map(|(flag, addr)| [flag.to_owned(), addr.to_string()]));
    let (control, url) = link.address(grpc, ws);
    let upstream = site.upstream.to_string();
    let agent = alone(site, Launch::new("agent", site.programs.path("agent-tunnel")?))
        .args(["connect", &upstream, "--gateway", &url, "--proxy", "none"])
        .variable("INDRANET_TOKEN", token);
    let herd = Herd { agent: agent.clone(), flag: "--id" };
    let agent = agent.args(["--id", "bench"]);
    let setup = Setup::tunnel(entry, server, control, agent).with_host("bench.localhost");
    Ok(Setup { herd: Some(herd), ..setup })
}

impl Link {
    fn address(self, grpc: SocketAddr, ws: SocketAddr) -> (SocketAddr, String) {
        match self {
            Self::Grpc => (grpc, format!("grpc://{grpc}")),
            Self::WebSocket => (ws, format!("ws://{ws}")),
        }
    }
}

/// Not configured by files of whoever runs the bench.
fn alone(site: &Site<'_>, launch: Launch) -> Launch {
    launch.variable("XDG_CONFIG_HOME", site.dir)
}
