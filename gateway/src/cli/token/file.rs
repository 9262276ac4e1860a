//! Options that several commands share.

use std::{env, path::PathBuf};

use ::cli::{
    Failure,
    audit::{AuditFile, AuditFileError},
    discreet,
    log::{self, Format},
};
use gateway::{
    TokenFileError,
    tokens::{MasterKey, TokenEntry, TokenFile, time},
};
use proto::TokenId;
use session::AUDIT;

/// The name under which systemd hands out the master key (`LoadCredential=indranet-master-key:...`).
const SYSTEMD_NAME: &str = "indranet-master-key";

#[derive(Debug, clap::Args)]
pub(super) struct Tokens {
    /// The token file
    #[arg(long, env = "INDRANET_TOKENS", value_name = "FILE", value_parser = discreet::file())]
    pub(super) tokens: PathBuf,
}

impl Tokens {
    pub(super) fn load(&self) -> Result<TokenFile, Failure> {
        TokenFile::load(&self.tokens).map_err(failure)
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Master {
    /// Derive the secret from the master key in this file, so that the token file holds none
    /// [default: $CREDENTIALS_DIRECTORY/indranet-master-key, if it is there]
    #[arg(long, env = "INDRANET_MASTER_KEY_FILE", value_name = "FILE", value_parser = discreet::file())]
    master_key_file: Option<PathBuf>,
}

impl Master {
    pub(super) fn load(&self) -> Result<Option<MasterKey>, Failure> {
        let path = master_key_file(self.master_key_file.clone());
        path.map(|path| MasterKey::load(&path)).transpose().map_err(failure)
    }
}

/// The file that was named, or the one that systemd hands out.
pub(in crate::cli) fn master_key_file(named: Option<PathBuf>) -> Option<PathBuf> {
    named.or_else(|| {
        let path = PathBuf::from(env::var_os("CREDENTIALS_DIRECTORY")?).join(SYSTEMD_NAME);
        path.exists().then_some(path)
    })
}

#[derive(Debug, clap::Args)]
pub(super) struct Audit {
    /// Append what is done to this file, a line of JSON
    #[arg(long, env = "INDRANET_AUDIT_LOG", value_name = "FILE")]
    audit_log: Option<PathBuf>,
}

/// The audit log of a command, if there is one.
pub(super) struct AuditLog(Option<AuditFile>);

/// Something was done that the audit log does not know of.
#[derive(Debug, thiserror::Error)]
#[error("it was done, but the audit log does not tell")]
struct Untold(#[source] AuditFileError);

impl Audit {
    /// Opens the audit log, so that nothing is done that could not be told.
    pub(super) fn open(&self) -> Result<AuditLog, Failure> {
        let level = "warn,audit=off";
        let file = self.audit_log.clone().map(AuditFile::open).transpose().map_err(Failure::configuration)?;
        match &file {
            Some(file) => log::init_with_audit(Format::default(), level, file.clone()),
            None => log::init(Format::default(), level),
        }
        .map_err(Failure::configuration)?;
        Ok(AuditLog(file))
    }
}

impl AuditLog {
    /// Says that the user of this process did `what` to a token.
    pub(super) fn tell(&self, what: &'static str, token: &TokenId) {
        tracing::info!(target: AUDIT, what, %token, user = user(), "changed on the command line");
    }

    /// Says that the user of this process made a token.
    pub(super) fn tell_new(&self, entry: &TokenEntry) {
        let agent_ids: Vec<String> = entry.agent_ids.iter().map(ToString::to_string).collect();
        tracing::info!(
            target: AUDIT,
            what = "token_new",
            token = %entry.id,
            agent_ids = agent_ids.join(","),
            expires = entry.expires.map(time::text),
            user = user(),
            "changed on the command line"
        );
    }

    /// Fails if something could not be told.
    pub(super) fn close(self) -> Result<(), Failure> {
        match self.0.and_then(|file| file.take_error()) {
            Some(error) => Err(Failure::runtime(Untold(error))),
            None => Ok(()),
        }
    }
}

fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

pub(super) fn failure(error: TokenFileError) -> Failure {
    match error {
        TokenFileError::Write { .. } => Failure::runtime(error),
        _ => Failure::configuration(error),
    }
}
