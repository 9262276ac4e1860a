use std::fs;

use super::{Contender, FRP, Setup, Site};
use crate::peers::launch::Launch;

pub(super) const CONTENDER: Contender = Contender {
    name: FRP,
    what: "HTTP tunnel that routes by host name",
    programs: &["frps", "frpc"],
    version: &["--version"],
    setup,
};

const HOST: &str = "bench.localhost";

fn setup(site: &Site<'_>) -> anyhow::Result<Setup> {
    let (entry, control) = (super::free()?, super::free()?);
    let [server, client] = ["frps", "frpc"].map(|end| site.dir.join(format!("{end}.toml")));
    fs::write(
        &server,
        format!(
            r#"bindAddr = "127.0.0.1"
proxyBindAddr = "127.0.0.1"
bindPort = {}
vhostHTTPPort = {}
"#,
            control.port(),
            entry.port()
        ),
    )?;
    fs::write(
        &client,
        format!(
            r#"serverAddr = "127.0.0.1"
serverPort = {}
[[proxies]]
name = "bench"
type = "http"
localIP = "127.0.0.1"
localPort = {}
customDomains = ["{HOST}"]
"#,
            control.port(),
            site.upstream.port()
        ),
    )?;
    let [frps, frpc] = [site.programs.path("frps")?, site.programs.path("frpc")?];
    let server = Launch::new("frps", frps).args(["-c".into(), server.into_os_string()]);
    let agent = Launch::new("frpc", frpc).args(["-c".into(), client.into_os_string()]);
    Ok(Setup::tunnel(entry, server, control, agent).with_host(HOST))
}
