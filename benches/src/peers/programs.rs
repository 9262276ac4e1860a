use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use super::contenders::Contender;

/// Where programs are looked for.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    dirs: Vec<PathBuf>,
}

impl Programs {
    /// Ours are in `bin_dir`; peers that were installed for the bench go before those of the system.
    pub(super) fn new(bin_dir: &Path, cache: &Path) -> Self {
        let mut dirs = vec![bin_dir.to_owned(), cache.join("bin"), cache.join("python/bin")];
        dirs.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        // Debian keeps nginx and haproxy there, and leaves it out of the path of most users.
        dirs.push(PathBuf::from("/usr/sbin"));
        Self { dirs }
    }

    /// Where a program is.
    pub(super) fn path(&self, program: &str) -> anyhow::Result<PathBuf> {
        let mut paths = self.dirs.iter().map(|dir| dir.join(program));
        paths.find(|path| path.is_file()).with_context(|| format!("there is no {program} on this machine"))
    }

    /// A program of a contender's that is not here.
    pub(super) fn missing(&self, contender: &Contender) -> Option<&'static str> {
        contender.programs.iter().copied().find(|program| self.path(program).is_err())
    }

    /// What a contender says of its version, none if it has no program.
    pub(super) fn version(&self, contender: &Contender) -> Option<String> {
        let program = self.path(contender.programs.first()?).ok()?;
        let output = Command::new(program).args(contender.version).output().ok()?;
        let text = [output.stdout, output.stderr].concat();
        Some(version_in(&String::from_utf8_lossy(&text)).unwrap_or("unknown").to_owned())
    }
}

/// The first word that ends with three numbers with dots between them, or has a hyphen after those.
fn version_in(text: &str) -> Option<&str> {
    let numbers = |word: &str| {
        let mut numbers = word.split('.').map(|number| !number.is_empty() && number.chars().all(is_digit));
        numbers.clone().count() == 3 && numbers.all(|is_number| is_number)
    };
    text.split_whitespace().find(|word| {
        let plain = word.trim_start_matches(|letter: char| !is_digit(letter));
        numbers(plain.split('-').next().unwrap_or(plain))
    })
}

fn is_digit(letter: char) -> bool {
    letter.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        let texts = [
            ("nginx version: nginx/1.22.1\n", Some("nginx/1.22.1")),
            ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", Some("2.6.12-1+deb12u4")),
            ("Build Timestamp:  2026-11-23T14:35:29.769573345Z\nBuild Version:  0.5.0", Some("0.5.0")),
            ("v2.11.7 h1:yj0Y=", Some("v2.11.7")),
            ("none", None),
        ];
        for (text, version) in texts {
            assert_eq!(version_in(text), version, "{text}");
        }
    }

    #[test]
    fn the_system_is_searched_as_well() {
        let programs = Programs::new(Path::new("/nowhere"), Path::new("/nowhere"));
        assert!(programs.path("sh").is_ok());
        assert!(programs.path("no-such-program").unwrap_err().to_string().contains("no-such-program"));
    }
}
