use std::{convert::Infallible, env, fmt, fs, io, path::PathBuf, str::FromStr};

use proto::{Credential, InvalidCredential};

use super::connect::warn_always;

/// The variable that holds the token.
const VARIABLE: &str = "INDRANET_TOKEN";

/// A text that may be a token. Redacted in `Debug`, and checked only later, so that no usage message repeats it.
#[derive(Clone)]
pub(super) struct TokenText {
    text: String,
    origin: &'static str,
}

/// Why there is no credential to sign with. The token itself is never repeated.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialError {
    #[error(
        "no token; set {VARIABLE} to what `gateway-tunnel token new` printed, \
         or name a file that holds it with --token-file"
    )]
    Missing,
    #[error("cannot read the token file {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the token in {origin} is malformed")]
    Malformed { origin: String, source: InvalidCredential },
}

/// Asks the environment when no flag named a token or a file. Like for other programs, a variable that is empty is not set.
/// Warns of the flag.
pub(super) fn or_env(token: Option<TokenText>, token_file: Option<&PathBuf>) -> Option<TokenText> {
    if token.is_some() {
        warn_always(&format!(
            "--token: every process list shows it, to everybody on this machine. Set {VARIABLE} instead"
        ));
    }
    if token.is_some() || token_file.is_some() {
        return token;
    }
    let text = env::var(VARIABLE).ok().filter(|text| !text.is_empty())?;
    Some(TokenText { text, origin: VARIABLE })
}

/// Reads the credential from `token`, or else from the file.
pub(super) fn find(
    token: Option<TokenText>,
    token_file: Option<PathBuf>,
) -> Result<Credential, CredentialError> {
    let (text, origin) = match (token, token_file) {
        (Some(TokenText { text, origin }), _) => (text, origin.to_owned()),
        (None, Some(path)) => (read(&path)?, path.display().to_string()),
        (None, None) => return Err(CredentialError::Missing),
    };
    text.trim().parse().map_err(|source| CredentialError::Malformed { origin, source })
}

fn read(path: &PathBuf) -> Result<String, CredentialError> {
    fs::read_to_string(path).map_err(|source| CredentialError::Read { path: path.clone(), source })
}

impl FromStr for TokenText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { text: text.to_owned(), origin: "--token" })
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(redacted)")
    }
}
