//! Options that several commands share.

use std::{env, path::PathBuf};

use ::cli::{
    Failure,
    audit::AuditFile,
    log::{self, Format},
};
use gateway::{
    TokenFileError,
    tokens::{MasterKey, TokenFile},
};
use proto::TokenId;
use session::AUDIT;

/// The name under which systemd hands out the master key (`LoadCredential=indranet-master-key:...`).
const SYSTEMD_NAME: &str = "indranet-master-key";

#[derive(Debug, clap::Args)]
pub(super) struct Tokens {
    /// The token file
    #[arg(long, env = "INDRANET_TOKENS", value_name = "FILE")]
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
    #[arg(long, env = "INDRANET_MASTER_KEY_FILE", value_name = "FILE")]
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

impl Audit {
    /// Opens the audit log, so that nothing is done that could not be told.
    pub(super) fn open(&self) -> Result<(), Failure> {
        let level = "warn,audit=off";
        match &self.audit_log {
            Some(path) => {
                let file = AuditFile::open(path.clone()).map_err(Failure::configuration)?;
                log::init_with_audit(Format::default(), level, file)
            }
            None => log::init(Format::default(), level),
        }
        .map_err(Failure::configuration)
    }
}

/// Tells the audit log that the user of this process did `what` to a token.
pub(super) fn tell(what: &'static str, token: &TokenId) {
    let user = rustix::process::getuid().as_raw();
    tracing::info!(target: AUDIT, what, %token, user, "changed on the command line");
}

pub(super) fn failure(error: TokenFileError) -> Failure {
    match error {
        TokenFileError::Write { .. } => Failure::runtime(error),
        _ => Failure::configuration(error),
    }
}
