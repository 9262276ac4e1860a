use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use proto::{Secret, TokenId};
use rustix::fs::FlockOperation;
use toml_edit::{Array, DocumentMut, Table, value};
use zeroize::Zeroizing;

use super::{MasterKey, TokenEntry, TokenFile, TokenFileError, TokenKey, time};

/// How a token gets a new key.
#[derive(Clone, Debug)]
pub struct Rotation<'a> {
    /// The new key, unless it is derived.
    pub fresh: Secret,
    /// What it is derived from. A token that had a stored key has a derived one afterwards.
    pub master: Option<&'a MasterKey>,
    /// The time of it.
    pub now: SystemTime,
    /// For how long the old key stays good.
    pub overlap: Duration,
}

/// Appends an entry.
pub(super) fn append(
    path: &Path,
    entry: &TokenEntry,
    master: Option<&MasterKey>,
) -> Result<(), TokenFileError> {
    replace(path, |text| {
        remember(text, path, master)?;
        let table = table(entry, text.is_empty());
        text.push_str(&table);
        Ok(())
    })
}

/// Puts a new key in the place of the old one, which becomes the previous one, and returns the entry as it is then.
pub(super) fn rotate(
    path: &Path,
    id: &TokenId,
    rotation: Rotation<'_>,
) -> Result<TokenEntry, TokenFileError> {
    let Rotation { fresh, master, now, overlap } = rotation;
    let mut rotated = None;
    replace(path, |text| {
        remember(text, path, master)?;
        let old = TokenFile::parse(text, path)?.entry(id, path)?.clone();
        if old.revoked.is_some() {
            return Err(TokenFileError::Revoked { path: path.to_owned(), id: id.clone() });
        }
        let key = match (master, &old.key) {
            (Some(_), TokenKey::Derived(last)) => {
                let spent = || TokenFileError::Entry {
                    path: path.to_owned(),
                    id: id.clone(),
                    what: "no generation left",
                };
                TokenKey::Derived(last.checked_add(1).ok_or_else(spent)?)
            }
            (Some(_), TokenKey::Stored(_)) => TokenKey::Derived(1),
            (None, TokenKey::Stored(_)) => TokenKey::Stored(fresh.clone()),
            (None, TokenKey::Derived(_)) => {
                return Err(TokenFileError::NoMasterKey { path: path.to_owned(), id: id.clone() });
            }
        };
        edit(text, path, id, |entry| {
            for stale in KEYS.into_iter().chain(PREVIOUS).chain(["previous_until"]) {
                entry.remove(stale);
            }
            set_key(entry, KEYS, &key);
            if !overlap.is_zero() {
                set_key(entry, PREVIOUS, &old.key);
                entry["previous_until"] = value(time::text(now + overlap));
            }
            entry["rotated"] = value(time::text(now));
        })?;
        rotated = Some(TokenFile::parse(text, path)?.entry(id, path)?.clone());
        Ok(())
    })?;
    Ok(rotated.expect("a change that succeeded was made"))
}

/// Says in an entry that it was withdrawn, once. Returns whether this was the time.
pub(super) fn revoke(path: &Path, id: &TokenId, now: SystemTime) -> Result<bool, TokenFileError> {
    let mut is_new = false;
    replace(path, |text| {
        edit(text, path, id, |entry| {
            is_new = !entry.contains_key("revoked");
            if is_new {
                entry["revoked"] = value(time::text(now));
            }
        })
    })?;
    Ok(is_new)
}

/// Removes an entry.
pub(super) fn purge(path: &Path, id: &TokenId) -> Result<(), TokenFileError> {
    replace(path, |text| {
        let (mut document, index) = find(text, path, id)?;
        let tables = document["token"].as_array_of_tables_mut();
        tables.expect("an entry was found in it").remove(index);
        *text = Zeroizing::new(document.to_string());
        Ok(())
    })
}

const KEYS: [&str; 2] = ["secret", "generation"];
const PREVIOUS: [&str; 2] = ["previous_secret", "previous_generation"];

fn set_key(entry: &mut Table, [secret, generation]: [&str; 2], key: &TokenKey) {
    match key {
        TokenKey::Stored(key) => entry[secret] = value(key.reveal().as_str()),
        TokenKey::Derived(number) => entry[generation] = value(i64::from(*number)),
    }
}

/// Writes down which master key derived tokens come from, unless they come from another one.
fn remember(
    text: &mut Zeroizing<String>,
    path: &Path,
    master: Option<&MasterKey>,
) -> Result<(), TokenFileError> {
    let Some(master) = master else { return Ok(()) };
    let file = TokenFile::parse(text, path)?;
    file.check_master(Some(master), path)?;
    let fingerprint = master.fingerprint();
    if file.master_key.as_ref() == Some(&fingerprint) {
        return Ok(());
    }
    let mut document = document(text, path)?;
    document["master_key"] = value(fingerprint);
    *text = Zeroizing::new(document.to_string());
    Ok(())
}

fn document(text: &str, path: &Path) -> Result<DocumentMut, TokenFileError> {
    text.parse().map_err(|_| TokenFileError::Layout { path: path.to_owned() })
}

/// Changes one entry of a text and leaves everything around it as it is, comments included.
fn edit(
    text: &mut Zeroizing<String>,
    path: &Path,
    id: &TokenId,
    change: impl FnOnce(&mut Table),
) -> Result<(), TokenFileError> {
    let (mut document, index) = find(text, path, id)?;
    let table = document["token"].as_array_of_tables_mut().and_then(|tables| tables.get_mut(index));
    change(table.expect("an entry was found in it"));
    *text = Zeroizing::new(document.to_string());
    Ok(())
}

/// The text as a document that can be changed, and where in it the entry is.
fn find(text: &str, path: &Path, id: &TokenId) -> Result<(DocumentMut, usize), TokenFileError> {
    TokenFile::parse(text, path)?.entry(id, path)?;
    let layout = || TokenFileError::Layout { path: path.to_owned() };
    let document = document(text, path)?;
    let tables = document.get("token").and_then(|item| item.as_array_of_tables()).ok_or_else(layout)?;
    let is_it = |table: &Table| table.get("id").and_then(|item| item.as_str()) == Some(id.as_str());
    let index = tables.iter().position(is_it).ok_or_else(layout)?;
    Ok((document, index))
}

/// Changes the text of the file and puts a new file with it in the old one's place.
fn replace(
    path: &Path,
    change: impl FnOnce(&mut Zeroizing<String>) -> Result<(), TokenFileError>,
) -> Result<(), TokenFileError> {
    let unwritable = |source| TokenFileError::Write { path: path.to_owned(), source };
    // A symbolic link stays one: what it points to is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = lock_directory(&target).map_err(unwritable)?;

    let mut text = read_or_empty(&target)?;
    TokenFile::parse(&text, path)?;
    change(&mut text)?;
    TokenFile::parse(&text, path)?;

    write(&target, &text).and_then(|()| directory.sync_all()).map_err(unwritable)
}

/// Holds other writers off until it is dropped. The directory is locked, since the file itself is replaced.
fn lock_directory(file: &Path) -> io::Result<File> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(parent.unwrap_or(Path::new(".")))?;
    rustix::fs::flock(&directory, FlockOperation::LockExclusive)?;
    Ok(directory)
}

fn read_or_empty(path: &Path) -> Result<Zeroizing<String>, TokenFileError> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Zeroizing::default()),
        read => {
            read.map(Zeroizing::new).map_err(|source| TokenFileError::Read { path: path.to_owned(), source })
        }
    }
}

fn table(entry: &TokenEntry, first: bool) -> Zeroizing<String> {
    let mut table = Table::new();
    table["id"] = value(entry.id.as_str());
    if let Some(name) = &entry.name {
        table["name"] = value(name);
    }
    set_key(&mut table, KEYS, &entry.key);
    table["agent_ids"] = value(entry.agent_ids.iter().map(ToString::to_string).collect::<Array>());
    if let Some(created) = &entry.created {
        table["created"] = value(created);
    }
    if let Some(expires) = entry.expires {
        table["expires"] = value(time::text(expires));
    }
    for (name, limit) in [("max_sessions", entry.max_sessions), ("max_concurrent", entry.max_concurrent)] {
        if let Some(limit) = limit {
            table[name] = value(i64::from(limit));
        }
    }
    Zeroizing::new(format!("{}[[token]]\n{table}", if first { "" } else { "\n" }))
}

fn write(target: &Path, text: &str) -> io::Result<()> {
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
