use std::{io, path::PathBuf};

use proto::{InvalidAgentId, InvalidCredential, TokenId};

/// Why a token file cannot be used. Never shows what is in it but for token ids.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFileError {
    /// The file cannot be read.
    #[error(
        "cannot read the token file {}; `gateway-tunnel token new --agent-id NAME --tokens FILE` makes one",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file cannot be replaced by one with a new entry.
    #[error("cannot write the token file {}; its directory must be writable", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not TOML, or not a list of tokens.
    #[error(
        "{}:{line}: not a valid token file; it holds [[token]] tables with id, secret, agent_ids and created",
        path.display()
    )]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// An entry has no usable id.
    #[error("[[token]] number {number} in {} has a malformed id", path.display())]
    Id {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        number: usize,
        /// Which rule it breaks.
        source: InvalidCredential,
    },
    /// An entry has no usable secret.
    #[error("token {id} in {} has a malformed secret", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// The entry.
        id: TokenId,
        /// Which rule it breaks.
        source: InvalidCredential,
    },
    /// An entry names something that is no agent id.
    #[error("token {id} in {} has a malformed entry in agent_ids", path.display())]
    AgentId {
        /// The file.
        path: PathBuf,
        /// The entry.
        id: TokenId,
        /// Which rule it breaks.
        source: InvalidAgentId,
    },
    /// An entry that no agent could use.
    #[error("token {id} in {} has empty agent_ids; name an agent, or \"*\" for any", path.display())]
    NoAgentIds {
        /// The file.
        path: PathBuf,
        /// The entry.
        id: TokenId,
    },
    /// Two entries have the same id.
    #[error("token {id} stands twice in {}; remove one of the two", path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The entry.
        id: TokenId,
    },
}
