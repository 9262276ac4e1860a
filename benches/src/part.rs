//! What the program of a bench plays instead of measuring, as a child of the one that measures.

use std::{
    env, io,
    process::{Command, ExitCode},
};

use anyhow::Context as _;
use cli::Failure;
use proto::Credential;

/// The first argument of a program that shall play a part.
const FLAG: &str = "--part";
/// The variable that holds the credential of whoever needs one.
const TOKEN: &str = "INDRANET_TOKEN";

/// A part of a measurement, as a command line says it.
pub trait Part: Sized {
    /// The part that these words ask for, if they do.
    fn parse(words: &[&str]) -> Option<Self>;

    /// Words that ask for it.
    fn words(&self) -> Vec<String>;

    /// Plays it, until stdin closes or the process is killed.
    ///
    /// # Errors
    /// Why it ended before.
    fn run(self) -> anyhow::Result<()>;

    /// A command that plays it.
    ///
    /// # Errors
    /// What the system says when it is asked which program this is.
    fn command(&self) -> io::Result<Command> {
        let mut command = Command::new(env::current_exe()?);
        command.args(self.args());
        Ok(command)
    }

    /// Arguments of this program that ask for it.
    fn args(&self) -> Vec<String> {
        [FLAG.to_owned()].into_iter().chain(self.words()).collect()
    }
}

/// Plays the part that the arguments of this program ask for, if they do. A bench calls it before anything else.
pub fn played<P: Part>() -> Option<ExitCode> {
    Some(match asked::<P>(env::args().skip(1))?.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", Failure::runtime(error));
            ExitCode::FAILURE
        }
    })
}

fn asked<P: Part>(args: impl IntoIterator<Item = String>) -> Option<P> {
    let args: Vec<String> = args.into_iter().collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.split_first()? {
        (&FLAG, words) => P::parse(words),
        _ => None,
    }
}

/// Gives a child its credential.
pub(crate) fn trust(command: &mut Command, credential: &str) {
    command.env(TOKEN, credential);
}

/// The credential that this child was given.
pub(crate) fn credential() -> anyhow::Result<Credential> {
    Ok(env::var(TOKEN).context(TOKEN)?.parse()?)
}

#[cfg(test)]
pub(crate) fn assert_survives_the_command_line<P: Part + std::fmt::Debug + PartialEq>(part: P) {
    assert_eq!(asked(part.args()), Some(part));
    assert_eq!(asked::<P>(["--quick".to_owned()]), None);
}
