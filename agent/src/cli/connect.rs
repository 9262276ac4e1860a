use std::{
    io::{self, IsTerminal as _, Write as _},
    net::IpAddr,
};

use ::cli::{Failure, Layers, Resolved, log, output, signals};
use agent::GatewayUrl;

use tracing::warn;

use super::{check::Checked, credential, settings::Settings};
use crate::{Display, Sides};

/// The files that are looked for are called `agent.toml`.
const FILE_NAME: &str = "agent";

/// Makes the service reachable until a signal ends the agent.
pub(super) fn connect(layers: Layers<Settings>) -> Result<(), Failure> {
    let settings = resolve(layers)?.settings;
    let display = display(&settings);
    begin_log(&settings, display)?;
    warn_of_insecurity(&settings);
    let about_tls = about_tls(&settings);
    let Checked { config, admin, status, .. } = Checked::new(settings).map_err(Failure::configuration)?;
    warn_of_no_tls(&about_tls, &config.gateways);
    warn_of_plain_text(&config.gateways);

    ::cli::block_on(async {
        let shutdown = signals::watch().map_err(Failure::runtime)?;
        crate::run(config, Sides { status, admin }, display, shutdown).await
    })
}

/// Checks settings as `connect` does, prints them all but for the token, and ends.
pub(super) fn validate(layers: Layers<Settings>) -> Result<(), Failure> {
    let Resolved { settings, file } = resolve(layers)?;
    begin_log(&settings, Display::Log)?;
    warn_of_insecurity(&settings);
    let (token_file, log_level) = (settings.token_file.clone(), settings.log_level.clone());
    let (upstream_protocol, upstream_ca) = (settings.upstream_protocol, settings.upstream_ca.clone());
    let upstream_insecure = Some(settings.upstream_insecure.unwrap_or_default());
    let (ca_file, tls_server_name) = (settings.ca_file.clone(), settings.tls_server_name.clone());
    let (client_cert, client_key) = (settings.client_cert.clone(), settings.client_key.clone());
    let insecure_skip_verify = Some(settings.insecure_skip_verify.unwrap_or_default());
    let about_tls = about_tls(&settings);
    let checked = Checked::new(settings).map_err(Failure::configuration)?;
    warn_of_no_tls(&about_tls, &checked.config.gateways);
    let settings = Settings {
        token_file,
        log_level,
        upstream_protocol,
        upstream_ca,
        upstream_insecure,
        ca_file,
        tls_server_name,
        client_cert,
        client_key,
        insecure_skip_verify,
        ..checked.into_settings()
    };
    output::verdict(&settings, file.as_deref())
}

/// The variable with the token lies below both flags, but above the file, which can only name a file in turn.
fn resolve(mut layers: Layers<Settings>) -> Result<Resolved<Settings>, Failure> {
    let given = &mut layers.settings;
    given.token = credential::or_env(given.token.take(), given.token_file.as_ref());
    layers.resolve(FILE_NAME).map_err(Failure::configuration)
}

/// A person watches if both streams are terminals; a live display needs both.
fn display(settings: &Settings) -> Display {
    let plain = settings.quiet.unwrap_or_default() || settings.log_format == Some(log::Format::Json);
    if !plain && io::stdout().is_terminal() && io::stderr().is_terminal() {
        Display::Terminal
    } else {
        Display::Log
    }
}

/// Next to a live display, and with `--quiet`, only what is wrong is logged unless more is asked for.
fn begin_log(settings: &Settings, display: Display) -> Result<(), Failure> {
    let quiet = settings.quiet.unwrap_or_default() || display == Display::Terminal;
    let default = if quiet { "warn" } else { log::DEFAULT_LEVEL };
    let level = settings.log_level.as_deref().unwrap_or(default);
    log::init(settings.log_format.unwrap_or_default(), level).map_err(Failure::configuration)
}

/// Whoever silences the log shall not silence this.
pub(super) fn warn_always(text: &str) {
    if tracing::enabled!(tracing::Level::WARN) {
        warn!("{text}");
    } else {
        // Without a stderr nobody can be warned.
        let _ = writeln!(io::stderr(), "warning: {text}");
    }
}

fn warn_of_insecurity(settings: &Settings) {
    if settings.upstream_insecure.unwrap_or_default() {
        warn_always(
            "--upstream-insecure: the certificate of the local service is NOT checked; whoever stands between this agent \
             and the service can read and change everything. Use --upstream-ca instead",
        );
    }
    if settings.insecure_skip_verify.unwrap_or_default() {
        warn_always(
            "--insecure-skip-verify: the certificate of the gateway is NOT checked; whoever stands between this agent and \
             the gateway can read and change everything. Use --ca-file instead",
        );
    }
}

/// What is said of TLS and counts for nothing, since no address is dialled with it.
fn warn_of_no_tls(given: &[&'static str], gateways: &[GatewayUrl]) {
    if !given.is_empty() && gateways.iter().all(|url| !url.tls) {
        warn!(
            "{} counts for nothing: no gateway is dialled with TLS. Use grpcs://, wss:// or https://",
            given.join(", ")
        );
    }
}

/// The flags that are about TLS with the gateway, as far as they are set.
fn about_tls(settings: &Settings) -> Vec<&'static str> {
    let flags = [
        ("--ca-file", settings.ca_file.is_some()),
        ("--tls-server-name", settings.tls_server_name.is_some()),
        ("--client-cert", settings.client_cert.is_some()),
        ("--insecure-skip-verify", settings.insecure_skip_verify.unwrap_or_default()),
    ];
    flags.into_iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).collect()
}

/// A token's secret never travels, but everything else does.
fn warn_of_plain_text(gateways: &[GatewayUrl]) {
    if let Some(url) = gateways.iter().find(|url| !url.tls && !is_here(&url.host)) {
        warn!(
            "{url} is dialled without TLS: whoever is on the way can read and change all requests. Use grpcs://, wss:// or \
             https:// on every network that is not yours"
        );
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
