use std::net::SocketAddr;

use super::{BORE, Contender, Setup, Site};
use crate::peers::{launch::Launch, running::Herd};

pub(super) const CONTENDER: Contender =
    Contender { name: BORE, what: "TCP tunnel", programs: &["bore"], version: &["--version"], setup };

/// An address of its own, because the port is fixed and somebody else may be using bore.
const SERVER: &str = "127.7.8.35";
const CONTROL: u16 = 7835;

fn setup(site: &Site<'_>) -> anyhow::Result<Setup> {
    let entry = super::free()?;
    let program = site.programs.path("bore")?;
    let server = Launch::new("bore server", &program).args([
        "server",
        "--bind-addr",
        SERVER,
        "--bind-tunnels",
        "127.0.0.1",
    ]);
    let upstream = site.upstream.port().to_string();
    let local = ["local", &upstream, "--local-host", "127.0.0.1", "--to", SERVER];
    let agent = Launch::new("bore client", &program).args(local);
    let herd = Herd { agent: agent.clone(), flag: "--port" };
    let agent = agent.args(["--port".to_owned(), entry.port().to_string()]);
    let control = SocketAddr::new(SERVER.parse()?, CONTROL);
    Ok(Setup { herd: Some(herd), ..Setup::tunnel(entry, server, control, agent) })
}
