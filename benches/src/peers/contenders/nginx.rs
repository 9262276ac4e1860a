use std::{
    fs::{self, File},
    net::SocketAddr,
    path::Path,
};

use super::{Contender, NGINX, Setup, Site};
use crate::{Ending, peers::launch::Launch};

pub(super) const CONTENDER: Contender =
    Contender { name: NGINX, what: "reverse proxy, one hop", programs: &["nginx"], version: &["-v"], setup };

/// Pools connections to the service and streams bodies, as a proxy in front of an application is told to.
fn setup(site: &Site<'_>) -> anyhow::Result<Setup> {
    let entry = super::free()?;
    let server = format!(
        "upstream service {{ server {}; keepalive 128; }}
        server {{
            listen {entry};
            client_max_body_size 0;
            location / {{
                proxy_pass http://service;
                proxy_http_version 1.1;
                proxy_set_header Connection '';
                proxy_request_buffering off;
                proxy_max_temp_file_size 0;
            }}
        }}",
        site.upstream
    );
    Ok(Setup::hop(entry, launch("nginx", site, "auto", &server)?))
}

/// nginx as the service behind every contender: a file of each of `lengths`, and where it listens.
pub(in crate::peers) fn service(site: &Site<'_>, lengths: &[u64]) -> anyhow::Result<(SocketAddr, Launch)> {
    let files = site.dir.join("files");
    fs::create_dir_all(&files)?;
    for length in lengths {
        File::create(files.join(length.to_string()))?.set_len(*length)?;
    }
    let addr = super::free()?;
    let server = format!(
        "server {{
            listen {addr};
            root {};
            sendfile on;
            tcp_nopush on;
            open_file_cache max=100;
        }}",
        files.display()
    );
    Ok((addr, launch("service", site, "1", &server)?))
}

fn launch(name: &'static str, site: &Site<'_>, workers: &str, server: &str) -> anyhow::Result<Launch> {
    fs::create_dir_all(site.dir)?;
    let file = site.dir.join("nginx.conf");
    fs::write(&file, configuration(site.dir, workers, server))?;
    let args = ["-c".into(), file.into_os_string(), "-e".into(), "stderr".into()];
    Ok(Launch::new(name, site.programs.path("nginx")?).args(args).with_ending(Ending::Terminate))
}

/// Never ends a connection that is in use, and keeps its files to itself.
fn configuration(dir: &Path, workers: &str, server: &str) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {}/{kind};\n", dir.display()))
        .collect();
    format!(
        "daemon off;
user root;
worker_processes {workers};
pid {}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
{temporary}    access_log off;
    default_type application/octet-stream;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    {server}
}}
",
        dir.display()
    )
}
