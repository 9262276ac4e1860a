use std::{path::PathBuf, sync::Arc};

use ::cli::{Failure, Layers, Resolved, audit::AuditFile, log, output, signals};
use gateway::PolicySource;

use super::{
    check::{self, Checked},
    settings::Settings,
};

/// The files that are looked for are called `gateway.toml`.
const FILE_NAME: &str = "gateway";

/// Runs a gateway until a signal ends it.
pub(super) fn serve(layers: Layers<Settings>) -> Result<(), Failure> {
    let Resolved { settings, file } = layers.clone().resolve(FILE_NAME).map_err(Failure::configuration)?;
    let audit =
        settings.audit_log.clone().map(AuditFile::open).transpose().map_err(Failure::configuration)?;
    let Checked { mut config, threads, .. } = begin(settings, audit.clone())?;
    if let Some(file) = file {
        tracing::info!(file = %file.display(), "configuration file read");
        config.edge.source = Some(source(file, layers, config.domains.clone()));
    }
    config.audit = audit.clone();
    ::cli::block_on(async {
        let shutdown = signals::watch().map_err(Failure::runtime)?;
        let asked = move || match &audit {
            Some(audit) => reopen(audit),
            None => tracing::info!("SIGHUP: nothing to do; files that change are read again without it"),
        };
        signals::on_hangup(shutdown.drain.clone(), asked).map_err(Failure::runtime)?;
        crate::serve(config, threads, shutdown).await
    })
}

/// The tables about agents in `file`, to be read again.
fn source(file: PathBuf, layers: Layers<Settings>, domains: Vec<String>) -> PolicySource {
    let read = move || {
        let Resolved { settings, .. } = layers.clone().resolve(FILE_NAME)?;
        Ok(check::policies(settings, &domains)?)
    };
    PolicySource { path: file, read: Arc::new(read) }
}

/// Checks settings as `serve` does, prints them all, and ends.
pub(super) fn validate(layers: Layers<Settings>) -> Result<(), Failure> {
    let Resolved { settings, file } = layers.resolve(FILE_NAME).map_err(Failure::configuration)?;
    if let Some(path) = &settings.audit_log {
        AuditFile::check(path).map_err(Failure::configuration)?;
    }
    let settings = begin(settings, None)?.into_settings();
    output::verdict(&settings, file.as_deref())
}

/// Logging begins before the check, which may warn; a wrong level is found then as well.
fn begin(settings: Settings, audit: Option<AuditFile>) -> Result<Checked, Failure> {
    let level = settings.log_level.as_deref().unwrap_or(log::DEFAULT_LEVEL);
    let format = settings.log_format.unwrap_or_default();
    match audit {
        Some(file) => log::init_with_audit(format, level, file),
        None => log::init(format, level),
    }
    .map_err(Failure::configuration)?;
    Checked::new(settings).map_err(Failure::configuration)
}

fn reopen(audit: &AuditFile) {
    match audit.reopen() {
        Ok(()) => tracing::info!("audit log reopened"),
        Err(error) => tracing::error!(%error, "the audit log goes on in its old file"),
    }
}
