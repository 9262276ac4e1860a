use std::fs;

use super::{Contender, RATHOLE, Setup, Site};
use crate::peers::launch::Launch;

pub(super) const CONTENDER: Contender =
    Contender { name: RATHOLE, what: "TCP tunnel", programs: &["rathole"], version: &["--version"], setup };

fn setup(site: &Site<'_>) -> anyhow::Result<Setup> {
    let (entry, control) = (super::free()?, super::free()?);
    let [server, client] = ["server", "client"].map(|end| site.dir.join(format!("{end}.toml")));
    fs::write(
        &server,
        format!(
            r#"[server]
bind_addr = "{control}"
default_token = "bench"
[server.services.bench]
bind_addr = "{entry}"
"#
        ),
    )?;
    fs::write(
        &client,
        format!(
            r#"[client]
remote_addr = "{control}"
default_token = "bench"
[client.services.bench]
local_addr = "{}"
"#,
            site.upstream
        ),
    )?;
    let program = site.programs.path("rathole")?;
    let server = Launch::new("rathole server", &program).args(["--server".into(), server.into_os_string()]);
    let agent = Launch::new("rathole client", &program).args(["--client".into(), client.into_os_string()]);
    Ok(Setup::tunnel(entry, server, control, agent))
}
