use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use ::cli::Failure;
use gateway::tokens::MasterKey;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a master key, for `token new --master-key-file` and `serve --master-key-file`
    ///
    /// Whoever has it has every token that is derived from it. Keep it apart from the token file, and keep a copy: without
    /// it those tokens are lost.
    New(New),
}

#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// Write the key to this file, which must not exist yet, instead of printing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The key could not be written.
#[derive(Debug, thiserror::Error)]
enum Unwritten {
    #[error("cannot write the master key to {}; a file that exists is not replaced", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot print the master key")]
    Stdout(#[source] io::Error),
}

impl Command {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self::New(New { out }) = self;
        let key = MasterKey::generate().map_err(Failure::runtime)?.reveal();
        let written = match out {
            None => {
                let mut stdout = io::stdout().lock();
                writeln!(stdout, "{}", *key).and_then(|()| stdout.flush()).map_err(Unwritten::Stdout)
            }
            Some(path) => OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .and_then(|mut file| writeln!(file, "{}", *key).and_then(|()| file.sync_all()))
                .map_err(|source| Unwritten::File { path, source }),
        };
        written.map_err(Failure::runtime)
    }
}
