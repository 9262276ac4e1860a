use std::{
    io::{self, IsTerminal as _},
    num::NonZeroU32,
    time::SystemTime,
};

use ::cli::Failure;
use gateway::tokens::{self, MasterKey, TokenEntry, TokenFile, TokenKey, time};
use proto::Credential;
use session::AgentIdPattern;

use super::{Audit, Master, Tokens, file};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct New {
    /// Agent id that the token may claim, or "*" for any; may be repeated
    #[arg(long, env = "INDRANET_AGENT_ID", value_name = "ID", value_delimiter = ',', required = true)]
    agent_id: Vec<AgentIdPattern>,
    /// What people call the token
    #[arg(long, value_name = "TEXT", value_parser = name)]
    name: Option<String>,
    /// When the token ends: a date or time in UTC such as 2027-01-31, or how long from now, such as 90d [default: never]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    expires: Option<SystemTime>,
    /// Sessions that live on the token at a time [default: that of the gateway]
    #[arg(long, value_name = "N")]
    max_sessions: Option<NonZeroU32>,
    /// Requests in progress at a time on each of these sessions [default: that of the gateway]
    #[arg(long, value_name = "N")]
    max_concurrent: Option<NonZeroU32>,
    #[command(flatten)]
    master: Master,
    #[command(flatten)]
    tokens: Tokens,
    #[command(flatten)]
    audit: Audit,
}

fn name(text: &str) -> Result<String, &'static str> {
    tokens::is_token_name(text).then(|| text.to_owned()).ok_or("a name is one line of 1 to 64 characters")
}

fn moment(text: &str) -> Result<SystemTime, String> {
    let now = SystemTime::now();
    let moment = time::parse_from(text, now).map_err(|error| error.to_string())?;
    if moment > now { Ok(moment) } else { Err("that is in the past".to_owned()) }
}

impl New {
    pub(super) fn run(self) -> Result<(), Failure> {
        let audit = self.audit.open()?;
        let mut credential = tokens::generate().map_err(Failure::runtime)?;
        let master = self.master.load()?;
        let key = match &master {
            Some(master) => {
                credential.secret = master.secret(&credential.token, 1);
                TokenKey::Derived(1)
            }
            None => TokenKey::Stored(credential.secret.clone()),
        };
        audit.tell_new(&self.store(&credential, key, master.as_ref())?);
        super::print(&credential)?;
        if io::stdout().is_terminal() {
            eprintln!("stored in {}; give it to the agent as INDRANET_TOKEN", self.tokens.tokens.display());
        }
        audit.close()
    }

    fn store(
        &self,
        credential: &Credential,
        key: TokenKey,
        master: Option<&MasterKey>,
    ) -> Result<TokenEntry, Failure> {
        let entry = TokenEntry {
            name: self.name.clone(),
            created: Some(time::text(SystemTime::now())),
            expires: self.expires,
            max_sessions: self.max_sessions.map(NonZeroU32::get),
            max_concurrent: self.max_concurrent.map(NonZeroU32::get),
            ..TokenEntry::new(credential.token.clone(), key, self.agent_id.clone())
        };
        TokenFile::add(&self.tokens.tokens, &entry, master).map_err(file::failure)?;
        Ok(entry)
    }
}
