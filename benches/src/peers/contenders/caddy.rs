use std::fs;

use super::{Contender, Setup, Site};
use crate::peers::launch::Launch;

pub(super) const CONTENDER: Contender = Contender {
    name: "caddy",
    what: "reverse proxy, one hop",
    programs: &["caddy"],
    version: &["version"],
    setup,
};

fn setup(site: &Site<'_>) -> anyhow::Result<Setup> {
    let entry = super::free()?;
    let file = site.dir.join("Caddyfile");
    let text = format!(
        "{{
	admin off
	auto_https off
	persist_config off
}}
http://:{} {{
	bind 127.0.0.1
	reverse_proxy {}
}}
",
        entry.port(),
        site.upstream
    );
    fs::write(&file, text)?;
    let server = Launch::new("caddy", site.programs.path("caddy")?)
        .args(["run", "--adapter", "caddyfile", "--config"])
        .args([file])
        .variable("XDG_DATA_HOME", site.dir)
        .variable("XDG_CONFIG_HOME", site.dir);
    Ok(Setup::hop(entry, server))
}
