use super::{Contender, Setup, Site};
use crate::peers::launch::Launch;

pub(super) const CONTENDER: Contender = Contender {
    name: "piko",
    what: "HTTP tunnel that routes by host name",
    programs: &["piko"],
    version: &["version"],
    setup,
};

fn setup(site: &Site<'_>) -> anyhow::Result<Setup> {
    let (entry, control) = (super::free()?, super::free()?);
    let (admin, gossip) = (super::free()?, super::free()?);
    let program = site.programs.path("piko")?;
    let addrs = [
        ("--proxy.bind-addr", entry),
        ("--upstream.bind-addr", control),
        ("--admin.bind-addr", admin),
        ("--cluster.gossip.bind-addr", gossip),
    ];
    let addrs = addrs.into_iter().flat_map(|(flag, addr)| [flag.to_owned(), addr.to_string()]);
    let server = Launch::new("piko server", &program).args(["server"]).args(addrs);
    let (service, url) = (site.upstream.to_string(), format!("http://{control}"));
    let agent = Launch::new("piko agent", &program)
        .args(["agent", "http", "bench", &service, "--connect.url", &url])
        .args(["--server.bind-addr".to_owned(), super::free()?.to_string()]);
    Ok(Setup::tunnel(entry, server, control, agent).with_host("bench.localhost"))
}
