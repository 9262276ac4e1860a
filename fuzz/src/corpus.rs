use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The inputs that are kept for a target: a directory of its name, a file for each.
#[derive(Clone, Debug)]
pub struct Corpus(PathBuf);

impl Corpus {
    /// The corpus of `target` in this repository.
    pub fn committed(target: &str) -> Self {
        Self(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target))
    }

    /// All inputs, in the order of their names.
    ///
    /// # Errors
    /// What the system says when it cannot read one.
    pub fn inputs(&self) -> io::Result<Vec<Vec<u8>>> {
        let entries = fs::read_dir(&self.0)?.collect::<io::Result<Vec<_>>>()?;
        let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        paths.into_iter().map(fs::read).collect()
    }
}
