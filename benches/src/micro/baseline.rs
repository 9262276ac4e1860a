use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// By how much a count may exceed its baseline where nothing else is said.
const TOLERANCE: f64 = 0.05;

const HEAD: &str = "\
# Instructions of each operation, as callgrind counts them: .ci/instructions holds the code to it.
# Written by `.ci/instructions --update`; an operation may have a tolerance of its own.
";

/// The counts that are held to be right.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub(super) struct Baseline {
    /// By how much a count may exceed its own here, as a part of it.
    pub(super) tolerance: f64,
    /// What compiled it. Another compiler gives other counts.
    pub(super) compiler: String,
    /// Exceptions from `tolerance`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tolerances: BTreeMap<String, f64>,
    /// By operation.
    pub(super) instructions: BTreeMap<String, f64>,
}

/// How a count compares with its baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Within the tolerance.
    Same,
    /// Less, by more than the tolerance: good, and a reason to write it down.
    Fewer,
    /// More than is tolerated.
    More,
    /// There is no baseline.
    New,
}

impl Baseline {
    pub(super) fn new(compiler: String) -> Self {
        let (tolerances, instructions) = (BTreeMap::new(), BTreeMap::new());
        Self { tolerance: TOLERANCE, compiler, tolerances, instructions }
    }

    pub(super) fn load(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a baseline", path.display()))
    }

    pub(super) fn save(&self, path: &Path) -> anyhow::Result<()> {
        let text = format!("{HEAD}\n{}", toml::to_string(self)?);
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Compares a count with what is written here.
    pub(super) fn judge(&self, name: &str, count: f64) -> Verdict {
        let Some(known) = self.instructions.get(name) else { return Verdict::New };
        let tolerance = self.tolerances.get(name).copied().unwrap_or(self.tolerance);
        match count / known - 1.0 {
            change if change > tolerance => Verdict::More,
            change if change < -tolerance => Verdict::Fewer,
            _ => Verdict::Same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline() -> Baseline {
        let mut baseline = Baseline::new("rustc 1".to_owned());
        baseline.instructions.extend([("a".to_owned(), 1000.0), ("b".to_owned(), 10.0)]);
        baseline.tolerances.insert("b".to_owned(), 0.5);
        baseline
    }

    #[test]
    fn a_count_is_judged_by_its_tolerance() {
        let verdicts = [("a", 1049.0), ("a", 1051.0), ("a", 940.0), ("b", 14.9), ("b", 15.1), ("c", 1.0)]
            .map(|(name, count)| baseline().judge(name, count));
        use Verdict::{Fewer, More, New, Same};
        assert_eq!(verdicts, [Same, More, Fewer, Same, More, New]);
    }

    #[test]
    fn it_survives_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("instructions.toml");
        baseline().save(&path).unwrap();
        assert_eq!(Baseline::load(&path).unwrap(), baseline());
    }
}
