use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustix::fs::FlockOperation;

use super::{TokenEntry, TokenFile, TokenFileError};

/// Appends an entry to the text of the file and puts a new file with it in the old one's place.
pub(super) fn append(path: &Path, entry: &TokenEntry) -> Result<(), TokenFileError> {
    let unwritable = |source| TokenFileError::Write { path: path.to_owned(), source };
    // A symbolic link stays one: what it points to is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = lock_directory(&target).map_err(unwritable)?;

    let mut text = read_or_empty(&target)?;
    TokenFile::parse(&text, path)?;
    text.push_str(&table(entry, text.is_empty()));
    TokenFile::parse(&text, path)?;

    replace(&target, &text).and_then(|()| directory.sync_all()).map_err(unwritable)
}

/// Holds other writers off until it is dropped. The directory is locked, since the file itself is replaced.
fn lock_directory(file: &Path) -> io::Result<File> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(parent.unwrap_or(Path::new(".")))?;
    rustix::fs::flock(&directory, FlockOperation::LockExclusive)?;
    Ok(directory)
}

fn read_or_empty(path: &Path) -> Result<String, TokenFileError> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|source| TokenFileError::Read { path: path.to_owned(), source }),
    }
}

/// Every value is of an alphabet that needs no escapes.
fn table(entry: &TokenEntry, first: bool) -> String {
    let agent_ids: Vec<_> = entry.agent_ids.iter().map(|pattern| format!("\"{pattern}\"")).collect();
    format!(
        "{}[[token]]\nid = \"{}\"\nsecret = \"{}\"\nagent_ids = [{}]\ncreated = \"{}\"\n",
        if first { "" } else { "\n" },
        entry.id,
        *entry.secret.reveal(),
        agent_ids.join(", "),
        humantime::format_rfc3339_seconds(SystemTime::now()),
    )
}

fn replace(target: &Path, text: &str) -> io::Result<()> {
    let draft = Draft::create(target)?;
    keep_owner(&draft.file, target)?;
    (&draft.file).write_all(text.as_bytes())?;
    draft.file.sync_all()?;
    fs::rename(&draft.path, target)
}

/// A token added by root must stay readable to the user that the gateway runs as.
fn keep_owner(file: &File, target: &Path) -> io::Result<()> {
    let Ok(old) = fs::metadata(target) else { return Ok(()) };
    let new = file.metadata()?;
    if (old.uid(), old.gid()) == (new.uid(), new.gid()) {
        return Ok(());
    }
    fchown(file, Some(old.uid()), Some(old.gid()))
}

/// A file next to the target that is gone when it is dropped, unless it was renamed.
struct Draft {
    file: File,
    path: PathBuf,
}

impl Draft {
    fn create(target: &Path) -> io::Result<Self> {
        let mut name = OsString::from(".");
        name.push(target.file_name().ok_or(io::ErrorKind::IsADirectory)?);
        name.push(".new");
        let path = target.with_file_name(name);
        // Left behind by a crash: whoever wrote it held the lock that is ours now.
        let _ = fs::remove_file(&path);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        Ok(Self { file, path })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
