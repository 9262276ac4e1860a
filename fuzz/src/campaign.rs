use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use crate::{Mutator, Target};

/// A target under many inputs.
#[derive(Debug)]
pub struct Campaign {
    target: &'static Target,
    mutator: Mutator,
    known: Vec<Vec<u8>>,
    runs: u64,
}

/// An input that broke a rule.
#[derive(Debug)]
pub struct Crash {
    /// The input, as short as it was easily made.
    pub input: Vec<u8>,
    /// What the target said.
    pub what: String,
}

impl Campaign {
    /// A campaign whose inputs begin with `known`. The same seed makes the same ones.
    pub fn new(target: &'static Target, known: Vec<Vec<u8>>, seed: u64) -> Self {
        Self { target, mutator: Mutator::new(seed, target.words), known, runs: 0 }
    }

    /// Inputs that were tried.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Tries what is known.
    ///
    /// # Errors
    /// The first [`Crash`].
    pub fn replay(&mut self) -> Result<(), Crash> {
        for at in 0..self.known.len() {
            self.runs += 1;
            check(self.target, &self.known[at])?;
        }
        Ok(())
    }

    /// Tries mutations of what is known: so many, or for so long.
    ///
    /// # Errors
    /// The first [`Crash`].
    pub fn mutate(&mut self, runs: u64, time: Duration) -> Result<(), Crash> {
        let begun = Instant::now();
        for run in 0..runs {
            // The clock costs more than some inputs.
            if run % 64 == 0 && begun.elapsed() >= time {
                break;
            }
            let input = self.mutator.next(&self.known);
            self.runs += 1;
            check(self.target, &input)?;
        }
        Ok(())
    }
}

fn check(target: &Target, input: &[u8]) -> Result<(), Crash> {
    let Err(what) = said(target, input) else { return Ok(()) };
    let mut crash = Crash { input: input.to_vec(), what };
    // Without any piece of it that it breaks the rule without.
    let mut len = crash.input.len() / 2;
    while len > 0 {
        let mut at = 0;
        while at < crash.input.len() {
            let mut shorter = crash.input.clone();
            shorter.drain(at..(at + len).min(crash.input.len()));
            match said(target, &shorter) {
                Err(what) => crash = Crash { input: shorter, what },
                Ok(()) => at += len,
            }
        }
        len /= 2;
    }
    Err(crash)
}

fn said(target: &Target, input: &[u8]) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}
