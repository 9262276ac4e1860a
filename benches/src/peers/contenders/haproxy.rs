use std::fs;

use super::{Contender, Setup, Site};
use crate::peers::launch::Launch;

pub(super) const CONTENDER: Contender = Contender {
    name: "haproxy",
    what: "reverse proxy, one hop",
    programs: &["haproxy"],
    version: &["-v"],
    setup,
};

fn setup(site: &Site<'_>) -> anyhow::Result<Setup> {
    let entry = super::free()?;
    let file = site.dir.join("haproxy.cfg");
    let text = format!(
        "defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 1m
frontend public
    bind {entry}
    default_backend service
backend service
    server service {}
",
        site.upstream
    );
    fs::write(&file, text)?;
    let server = Launch::new("haproxy", site.programs.path("haproxy")?);
    Ok(Setup::hop(entry, server.args(["-f".into(), file.into_os_string()])))
}
