//! The page: what was found, in Markdown, with JSON and plots beside it.

use std::{
    fmt::{self, Write as _},
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use cli::output;

mod json;
mod tables;

use super::{contenders::Contender, machine::Machine, measure::Findings, measure::Plan, plots};

/// Everything there is to say.
pub(super) struct Page {
    pub(super) machine: Machine,
    /// Where our programs were, if they were not built for this.
    pub(super) bin_dir: Option<PathBuf>,
    pub(super) plan: Plan,
    pub(super) contenders: Vec<&'static Contender>,
    /// Of each contender that has a program.
    pub(super) versions: Vec<Option<String>>,
    pub(super) absent: Vec<Absent>,
    pub(super) findings: Findings,
}

/// A contender that could not take part.
pub(super) struct Absent {
    pub(super) contender: &'static str,
    pub(super) program: &'static str,
}

/// How much of a machine must be idle for figures to be believed.
const QUIET: f64 = 0.9;
const BUSY: &str = "
**The machine was not quiet.** This is a first look; no figure here is worth a decision.
";

const HOW: &str = "\
Every contender is a real process (a tunnel is two) with its default settings, behind one and the same service, on
loopback. In each round all of them take turns with the same load; each round begins with another one. A response with
another status or length than expected ends a contender's case, so everything that is counted was answered rightly.

- Figures are medians over the rounds; ± is half the distance from the least to the most. **Ratios are the figures to
  quote**: each is the median of the ratios within each round, so that noise which lasts cancels out.
- Clients, service and contender share the cores. Absolute figures belong to one machine on one day, and the idle time
  above says what else it did. With one client it is wake-ups that are measured, which come in two kinds.
- CPU is user and system time of the contender's own processes, without clients and service.
- Peers are set up as their own documentation says, with defaults wherever there are any; nginx pools connections to the
  service, and neither it nor the others write bodies to files.
- Downloads and uploads are 100 MiB, shared by the streams, again and again.
- Small GETs with a neighbour are those of 8 clients. The neighbour downloads 100 MiB again and again, or reads 1 GiB at
  10 KiB/s.
- wstunnel and frp cannot be had from a package registry. Where they are not here, they stand in the first table as what
  they had for one that bore had, when all three ran together on such a machine once.
- The service is nginx, except for uploads (and where there is no nginx): it has no way to take a body and drop it, so
  that is a service made with hyper.
";

const REPRODUCE: &str = "\
```sh
cargo bench -p benches --bench peers -- --install --write docs/benchmarks.md   # all of it
cargo bench -p benches --bench peers -- --quick                                # a first look
cargo bench -p benches --bench peers -- --only nginx,rathole,ours --case get-64,connect
```

`--install` gets nginx and haproxy by `apt-get`, rathole and bore by `cargo install` and caddy by `pip`, the last three into
`target`. frp (`frps`, `frpc`), chisel, wstunnel and piko take part where they are on the `PATH`.
This page is written by the command. What was tried, and why a figure is what it is, is in
[performance.md](performance.md).
";

impl Page {
    /// Writes the page, and all that belongs to it into a directory of its name.
    pub(super) fn save(&self, page: &Path) -> anyhow::Result<()> {
        let beside = page.with_extension("");
        let plots = plots::of(self).into_iter().map(|(name, plot)| (format!("{name}.svg"), plot.to_string()));
        let json = ("peers.json".to_owned(), format!("{:#}\n", json::of(self)));
        for (name, content) in plots.chain([json]) {
            save(&beside.join(name), &content)?;
        }
        let name = beside.file_name().unwrap_or_default().to_string_lossy();
        save(page, &self.markdown(&name)?)?;
        Ok(output::line(&format!("written: {}", page.display()))?)
    }

    /// The page itself, whose plots are in a directory of this name beside it.
    pub(super) fn markdown(&self, beside: &str) -> Result<String, fmt::Error> {
        let mut page = String::new();
        let f = &mut page;
        writeln!(f, "# Benchmarks: the tunnel beside others of its kind\n\n{}", self.circumstances())?;
        writeln!(f, "## Figures to reach\n\n{}", tables::targets(self))?;
        writeln!(
            f,
            "WebSocket against gRPC, meant to be within 15 % of each other:\n\n{}",
            tables::transports(self)
        )?;
        writeln!(f, "## Who takes part\n\n{}{}", tables::contenders(self), tables::absences(self))?;
        writeln!(f, "## How it is measured\n\n{HOW}")?;
        for (name, plot) in plots::of(self) {
            writeln!(f, "![{}]({beside}/{name}.svg)\n", plot.title)?;
        }
        for table in tables::all(self) {
            writeln!(f, "{table}")?;
        }
        write!(f, "## Doing it again\n\n{REPRODUCE}")?;
        Ok(page)
    }

    /// Names of those that took part, in the order of all tables.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.contenders.iter().map(|contender| contender.name)
    }

    fn circumstances(&self) -> String {
        let Machine { cores, model, kernel, memory_mib, idle, date, commit } = &self.machine;
        let ours = match &self.bin_dir {
            None => format!("commit `{commit}`"),
            Some(dir) => format!("our binaries in `{}`", dir.display()),
        };
        let Plan { rounds, duration, .. } = self.plan;
        format!(
            "{date}, {ours}. {cores} cores ({model}), {memory_mib} MiB, Linux {kernel}, {:.0} % idle before the run. \
             Rounds: {rounds}, each load {} s per round.\n{}",
            idle * 100.0,
            duration.as_secs_f64(),
            if *idle < QUIET { BUSY } else { "" }
        )
    }
}

fn save(path: &Path, content: &str) -> anyhow::Result<()> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, content));
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        figures::REQUESTS,
        peers::{cases::GET_64, contenders::CONTENDERS, measure::Trouble},
    };

    fn page() -> Page {
        let contenders: Vec<&Contender> = CONTENDERS.iter().collect();
        let versions = contenders.iter().map(|_| None).collect();
        let mut findings = Findings::default();
        for contender in &contenders {
            findings.ledger.add(&GET_64, contender.name, 0, &[(REQUESTS, 1234.0)]);
        }
        findings.troubles.push(Trouble { contender: "bore", case: "up-1", what: "no luck".to_owned() });
        let plan = Plan { rounds: 1, duration: Duration::from_secs(1), agents: 1 };
        let absent = vec![Absent { contender: "frp http", program: "frps" }];
        let machine = Machine::look(1.0);
        Page { machine, bin_dir: None, plan, contenders, versions, absent, findings }
    }

    #[test]
    fn everybody_is_on_the_page_or_named_as_missing() {
        let page = page().markdown("beside").unwrap();
        for contender in &CONTENDERS {
            assert!(page.contains(contender.name), "{}", contender.name);
        }
        for line in ["- frp http is left out: there is no `frps` here.", "- bore failed in `up-1`: no luck"] {
            assert!(page.contains(line), "{page}");
        }
        assert!(!page.contains("not quiet"));
        assert!(page.contains("(beside/requests.svg)") && !page.contains("bulk.svg"), "{page}");
    }

    #[test]
    fn files_are_written_beside_the_page() {
        let dir = tempfile::tempdir().unwrap();
        page().save(&dir.path().join("figures.md")).unwrap();
        let json = fs::read_to_string(dir.path().join("figures/peers.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["cases"]["get-64"]["direct"]["requests_per_second"]["rounds"][0], 1234.0);
        assert_eq!(json["troubles"][0]["case"], "up-1");
        assert!(dir.path().join("figures/requests.svg").exists());
    }
}
