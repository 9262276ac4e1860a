use super::{Contender, Setup, Site, WSTUNNEL};
use crate::peers::launch::Launch;

pub(super) const CONTENDER: Contender = Contender {
    name: WSTUNNEL,
    what: "TCP tunnel over WebSocket",
    programs: &["wstunnel"],
    version: &["--version"],
    setup,
};

fn setup(site: &Site<'_>) -> anyhow::Result<Setup> {
    let (entry, control) = (super::free()?, super::free()?);
    let program = site.programs.path("wstunnel")?;
    let url = format!("ws://{control}");
    let server = Launch::new("wstunnel server", &program).args(["server", &url]);
    let remote = format!("tcp://{entry}:{}", site.upstream);
    let agent = Launch::new("wstunnel client", &program).args(["client", "-R", &remote, &url]);
    Ok(Setup::tunnel(entry, server, control, agent))
}
