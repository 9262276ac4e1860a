use std::{error::Error as _, path::PathBuf};

use proto::{Credential, Secret};
use session::AgentIdPattern;

use super::*;

const SECRET: &str = "qQqQqQqQqQqQqQqQqQqQqQqQqQqQqQqQqQqQqQqQqQo";

fn parse(text: &str) -> Result<TokenFile, TokenFileError> {
    TokenFile::parse(text, Path::new("tokens.toml"))
}

fn token(id: &str, secret: &str, agent_ids: &str) -> String {
    format!("[[token]]\nid = '{id}'\nsecret = '{secret}'\nagent_ids = {agent_ids}\n")
}

/// A directory that is gone after the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("indranet-tokens-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("tokens.toml")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn entry(agent_id: &str) -> TokenEntry {
    let Credential { token, secret } = generate().unwrap();
    TokenEntry::new(token, TokenKey::Stored(secret), vec![agent_id.parse().unwrap()])
}

fn stored(entry: &TokenEntry) -> &Secret {
    match &entry.key {
        TokenKey::Stored(secret) => secret,
        TokenKey::Derived(_) => panic!("a derived key"),
    }
}

#[test]
fn a_file_is_a_list_of_tokens() {
    let text = token("itk_a", SECRET, "['one', 'two']")
        + "created = '2026-11-23'\n"
        + &token("itk_b", SECRET, "['*']");
    let entries = parse(&text).unwrap().entries;
    assert_eq!(entries[0].id.as_str(), "itk_a");
    assert_eq!(entries[0].agent_ids, ["one".parse().unwrap(), "two".parse().unwrap()]);
    assert_eq!(entries[1].agent_ids, [AgentIdPattern::Any]);
    assert!(parse("").unwrap().entries.is_empty());
}

#[test]
fn every_error_names_file_and_entry_and_no_content() {
    let twice = token("itk_a", SECRET, "['one']").repeat(2);
    for (text, expected) in [
        (token("itk_a", &SECRET[1..], "['one']"), "token itk_a in tokens.toml has a malformed secret"),
        (token("itk_a", SECRET, "[]"), "token itk_a in tokens.toml has empty agent_ids"),
        (
            token("itk_a", SECRET, &format!("['{SECRET}']")),
            "token itk_a in tokens.toml has a malformed entry",
        ),
        (token(SECRET, SECRET, "['one']"), "[[token]] number 1 in tokens.toml has a malformed id"),
        (twice, "token itk_a stands twice in tokens.toml"),
        (token("itk_a", SECRET, &format!("'{SECRET}'")), "tokens.toml:4: not a valid token file"),
        (format!("[[token]]\n{SECRET} = 1"), "tokens.toml:2: not a valid token file"),
        (format!("\nsecret = {SECRET}"), "tokens.toml:2: not a valid token file"),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(!format!("{error} {cause} {error:?}").contains(&SECRET[1..]), "{error}");
    }
}

#[test]
fn an_added_token_can_be_loaded_and_is_for_its_owner_only() {
    let directory = Directory::new("added");
    let (one, two) = (entry("one"), entry("*"));
    TokenFile::add(&directory.file(), &one).unwrap();
    TokenFile::add(&directory.file(), &two).unwrap();

    let entries = TokenFile::load(&directory.file()).unwrap().entries;
    assert_eq!(entries.iter().map(|entry| &entry.id).collect::<Vec<_>>(), [&one.id, &two.id]);
    assert!(stored(&entries[0]).same_as(stored(&one)));
    assert_eq!(entries[1].agent_ids, two.agent_ids);
    assert_eq!(fs::metadata(directory.file()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1, "no draft is left");
}

#[test]
fn what_people_wrote_into_the_file_stays() {
    let directory = Directory::new("comments");
    let before = format!("# ours\n{}", token("itk_a", SECRET, "['one'] # the first"));
    fs::write(directory.file(), before.trim_end()).unwrap();
    TokenFile::add(&directory.file(), &entry("two")).unwrap();

    let after = fs::read_to_string(directory.file()).unwrap();
    assert!(after.starts_with(before.trim_end()), "{after}");
    assert_eq!(TokenFile::load(&directory.file()).unwrap().entries.len(), 2);
}

#[test]
fn a_broken_file_is_left_as_it_is() {
    let directory = Directory::new("broken");
    fs::write(directory.file(), "token = 1").unwrap();
    TokenFile::add(&directory.file(), &entry("two")).unwrap_err();
    assert_eq!(fs::read_to_string(directory.file()).unwrap(), "token = 1");
}

#[test]
fn a_link_to_the_file_stays_a_link() {
    let directory = Directory::new("link");
    let link = directory.0.join("link.toml");
    fs::write(directory.file(), "").unwrap();
    std::os::unix::fs::symlink(directory.file(), &link).unwrap();
    TokenFile::add(&link, &entry("one")).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(TokenFile::load(&directory.file()).unwrap().entries.len(), 1);
}

#[test]
fn many_may_add_at_once_and_none_is_lost() {
    let directory = Directory::new("many");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| TokenFile::add(&directory.file(), &entry("one")).unwrap());
        }
    });
    assert_eq!(TokenFile::load(&directory.file()).unwrap().entries.len(), 8);
}
