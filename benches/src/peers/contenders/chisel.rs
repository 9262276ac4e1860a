use super::{Contender, Setup, Site};
use crate::peers::launch::Launch;

pub(super) const CONTENDER: Contender = Contender {
    name: "chisel",
    what: "TCP tunnel over SSH over WebSocket",
    programs: &["chisel"],
    version: &["--version"],
    setup,
};

fn setup(site: &Site<'_>) -> anyhow::Result<Setup> {
    let (entry, control) = (super::free()?, super::free()?);
    let program = site.programs.path("chisel")?;
    let port = control.port().to_string();
    let server = Launch::new("chisel server", &program).args([
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        &port,
        "--reverse",
    ]);
    let remote = format!("R:{entry}:{}", site.upstream);
    let agent = Launch::new("chisel client", &program).args(["client", &control.to_string(), &remote]);
    Ok(Setup::tunnel(entry, server, control, agent))
}
