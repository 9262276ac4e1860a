use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use ::cli::{Failure, output};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gateway::edge::PasswordHash;
use zeroize::Zeroizing;

/// Make an entry for `basic_auth` in the configuration file
///
/// The password is made up and shown on stderr, once; the entry goes to stdout.
#[derive(Debug, clap::Args)]
pub(super) struct Password {
    /// Name of the user
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// Take the password from the first line of stdin instead
    #[arg(long)]
    stdin: bool,
}

impl Password {
    pub(super) fn run(self) -> Result<(), Failure> {
        let password = if self.stdin { given() } else { made_up() }.map_err(Failure::runtime)?;
        let hash = PasswordHash::new(password.as_bytes())
            .map_err(|error| Failure::runtime(io::Error::from(error)))?;
        output::line(&format!("{}:{}", self.name, hash.to_text())).map_err(Failure::runtime)
    }
}

fn name(text: &str) -> Result<String, &'static str> {
    let good = !text.is_empty() && !text.contains(':') && !text.chars().any(char::is_control);
    good.then(|| text.to_owned()).ok_or("a name has no colon and no control characters")
}

fn given() -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    io::stdin().lock().read_line(&mut line)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "there is no password on stdin"));
    }
    Ok(line)
}

/// 128 bits: nobody guesses it, whoever has the hash.
fn made_up() -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; 16]);
    getrandom::fill(&mut *bytes)?;
    let password = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes));
    let intro = if io::stderr().is_terminal() { "password: " } else { "" };
    writeln!(io::stderr(), "{intro}{}", *password)?;
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_a_client_can_send() {
        assert_eq!(name("ali baba"), Ok("ali baba".to_owned()));
        for text in ["", "a:b", "a\nb"] {
            assert!(name(text).is_err(), "{text:?}");
        }
    }
}
