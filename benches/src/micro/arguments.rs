use clap::Parser;

/// Counts the instructions of single operations with valgrind, and compares them with benches/instructions.toml
#[derive(Clone, Debug, Parser)]
#[command(bin_name = "cargo bench -p benches --bench micro --")]
pub struct Arguments {
    /// Count instructions; without it, times are measured
    #[arg(long, required = true)]
    instructions: bool,
    /// Only operations with this in their name
    #[arg(value_name = "OPERATION")]
    filter: Option<String>,
    /// Write what is counted to the file, instead of comparing
    #[arg(long, conflicts_with = "filter")]
    pub(super) update: bool,
    /// Count everything twice, and fail if that makes a difference of more than 0.5 %
    #[arg(long)]
    pub(super) twice: bool,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    /// Whether the arguments of this program ask for instructions rather than times.
    pub fn are_meant(args: impl IntoIterator<Item = String>) -> bool {
        args.into_iter().any(|arg| arg == "--instructions")
    }

    pub(super) fn wants(&self, name: &str) -> bool {
        self.filter.as_deref().is_none_or(|filter| name.contains(filter))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
        let arguments = Arguments::try_parse_from(["micro", "--instructions", "auth", "--bench"]).unwrap();
        assert!(arguments.wants("auth/sign") && !arguments.wants("id/parse"));
    }
}
