//! What the suites that look at the real programs share: their arguments, and the page that they write.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use cli::output;

use crate::peers::{
    arguments::{in_workspace, target},
    install,
    machine::Machine,
};

/// With less of all cores' time left before a run, the page says that the machine was not quiet.
const QUIET: f64 = 0.9;

/// Arguments of every such suite.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// Measure less, for a first look; the default where the variable CI is set
    #[arg(long)]
    quick: bool,
    /// Where gateway-tunnel and agent-tunnel are [default: target/release, where cargo builds them first]
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// Write the page there as well, with its plots in a directory of its name beside it
    #[arg(long, value_name = "FILE.md")]
    write: Option<PathBuf>,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

impl Common {
    /// Whether anything is to be measured: `cargo test --benches` runs every suite as well.
    pub(crate) fn measures(&self) -> bool {
        self.bench
    }

    pub(crate) fn is_quick(&self) -> bool {
        self.quick || env::var_os("CI").is_some_and(|value| !value.is_empty())
    }

    /// Where our programs are; they are built first unless somebody else did.
    pub(crate) fn programs(&self) -> anyhow::Result<PathBuf> {
        match &self.bin_dir {
            Some(dir) => Ok(in_workspace(dir)),
            None => install::build_ours().map(|()| target().join("release")),
        }
    }

    /// Where the page goes.
    fn page(&self, suite: &str) -> PathBuf {
        let default = || target().join("bench").join(suite).with_extension("md");
        self.write.as_deref().map_or_else(default, in_workspace)
    }
}

/// A page that a suite writes, and the plots beside it.
pub(crate) struct Page {
    /// The suite's name, as cargo knows it.
    pub(crate) suite: &'static str,
    pub(crate) title: &'static str,
    pub(crate) machine: Machine,
    /// What of ours was measured, in words.
    pub(crate) subject: String,
    /// What stands below the circumstances.
    pub(crate) text: String,
    /// Names without ending, what they show, and SVG.
    pub(crate) plots: Vec<(&'static str, &'static str, String)>,
}

impl Page {
    /// Shows the page, and writes it where the arguments say.
    pub(crate) fn publish(&self, common: &Common) -> anyhow::Result<()> {
        let page = common.page(self.suite);
        let beside = page.with_extension("");
        for (name, _, svg) in &self.plots {
            save(&beside.join(name).with_extension("svg"), svg)?;
        }
        let text = self.markdown(&beside.file_name().unwrap_or_default().to_string_lossy());
        save(&page, &text)?;
        output::write(text.as_bytes())?;
        Ok(output::line(&format!("written: {}", page.display()))?)
    }

    fn markdown(&self, beside: &str) -> String {
        let Machine { cores, model, kernel, memory_mib, idle, date, commit } = &self.machine;
        let quiet = if *idle < QUIET {
            "\n**The machine was not quiet**, so take no absolute figure from here, and small differences for none.\n"
        } else {
            ""
        };
        let plots = self.plots.iter().map(|(name, what, _)| format!("![{what}]({beside}/{name}.svg)\n\n"));
        format!(
            "# {}\n\n{date}, {}, the bench of commit `{commit}`. {cores} cores ({model}), {memory_mib} MiB, Linux \
             {kernel}, {:.0} % idle before the run. Written by `cargo bench -p benches --bench {}{}`.\n{quiet}\n{}{}",
            self.title,
            self.subject,
            idle * 100.0,
            self.suite,
            given(env::args()),
            plots.collect::<String>(),
            self.text,
        )
    }
}

/// The arguments after cargo's `--`, if there are any.
fn given(args: impl IntoIterator<Item = String>) -> String {
    let args: Vec<String> = args.into_iter().skip(1).filter(|arg| arg != "--bench").collect();
    if args.is_empty() { String::new() } else { format!(" -- {}", args.join(" ")) }
}

/// What the programs in `dir` say of their version, and where they are.
pub(crate) fn described(dir: &Path) -> String {
    let said = crate::peers::machine::said(&dir.join("gateway-tunnel").to_string_lossy(), &["--version"]);
    format!("{said} in `{}`", dir.display())
}

/// A table in Markdown. The first column is on the left, the others are numbers.
pub(crate) fn table<H: fmt::Display>(heads: &[H], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let rule = format!("|---|{}\n", "--:|".repeat(heads.len().saturating_sub(1)));
    let head = line(heads.iter().map(H::to_string).collect());
    head + &rule + &rows.iter().cloned().map(line).collect::<String>()
}

fn save(path: &Path, content: &str) -> anyhow::Result<()> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, content));
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(idle: f64) -> Page {
        let machine = Machine::look(idle);
        let plots = vec![("plot", "What is plotted", "<svg/>".to_owned())];
        let subject = "ours 1.0".to_owned();
        Page { suite: "some", title: "Some suite", machine, subject, text: "text\n".to_owned(), plots }
    }

    #[test]
    fn a_page_says_where_and_when_it_was_made() {
        let text = page(1.0).markdown("beside");
        assert!(text.starts_with("# Some suite\n\n2"), "{text}");
        assert!(
            text.contains("ours 1.0") && text.contains("--bench some") && text.contains("(beside/plot.svg)")
        );
        assert!(!text.contains("not quiet"));
        assert!(page(0.5).markdown("beside").contains("not quiet"));
    }

    #[test]
    fn arguments_are_repeated_as_they_were_given() {
        let args = |args: &[&str]| given(args.iter().map(|arg| (*arg).to_owned()));
        assert_eq!(args(&["x", "--quick", "--bench"]), " -- --quick");
        assert_eq!(args(&["x", "--bench"]), "");
    }

    #[test]
    fn tables_have_a_rule_below_their_heads() {
        let rows = [vec!["b".to_owned(), "1".to_owned()]];
        assert_eq!(table(&["a", "n"], &rows), "| a | n |\n|---|--:|\n| b | 1 |\n");
    }
}
