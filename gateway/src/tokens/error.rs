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
    /// An entry has something in it that cannot be.
    #[error("token {id} in {} has {what}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The entry.
        id: TokenId,
        /// What is wrong.
        what: &'static str,
    },
    /// There is no such entry.
    #[error("there is no token {id} in {}; `gateway-tunnel token list` shows which there are", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        id: TokenId,
    },
    /// A token that was withdrawn gets no new key.
    #[error("token {id} in {} is revoked; make another with `gateway-tunnel token new`", path.display())]
    Revoked {
        /// The file.
        path: PathBuf,
        /// The entry.
        id: TokenId,
    },
    /// The secret of an entry cannot be known.
    #[error(
        "token {id} in {} is derived from a master key; name it with --master-key-file FILE",
        path.display()
    )]
    NoMasterKey {
        /// The file.
        path: PathBuf,
        /// The entry.
        id: TokenId,
    },
    /// Its derived tokens come from another master key.
    #[error(
        "the master key is not the one that the tokens in {} are derived from; name that one with --master-key-file FILE",
        path.display()
    )]
    OtherMasterKey {
        /// The token file.
        path: PathBuf,
    },
    /// The file is valid, but written in a way that no command can change.
    #[error("{} does not write its tokens as [[token]] tables; change it by hand", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
    },
    /// The master key cannot be read.
    #[error("cannot read the master key {}; `gateway-tunnel key new --out FILE` makes one", path.display())]
    ReadMasterKey {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The master key is none.
    #[error("{} is not a master key: that is 32 bytes in base64url or hexadecimal", path.display())]
    MasterKey {
        /// The file.
        path: PathBuf,
    },
}
