//! Secrets that people put in the place of something else by mistake. No error repeats one.

use std::{ffi::OsStr, path::PathBuf};

use clap::{
    Arg, Command, Error,
    builder::{TypedValueParser, ValueParser},
    error::ErrorKind,
};
use serde::{Deserialize, Deserializer, de};

use crate::program;

/// What every token begins with.
const PREFIX: &str = "itk_";
/// The shortest text that is taken for the secret of a token, be it cut off.
const SHORTEST: usize = 21;
/// How the lines end that begin and end a private key in PEM.
const PEM: &str = "PRIVATE KEY-----";
/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// The name of a file, and not a secret.
pub fn file() -> ValueParser {
    parser(|value| {
        value.to_str().map_or(Ok(()), check_file)?;
        Ok(PathBuf::from(value))
    })
}

/// The same for a key of a file with settings.
///
/// # Errors
/// That it is a secret.
pub fn deserialize_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    text.as_deref().map_or(Ok(()), check_file).map_err(de::Error::custom)?;
    Ok(text.map(PathBuf::from))
}

/// A parser whose errors, unlike those of clap's own, do not repeat the value.
pub fn parser<T: Clone + Send + Sync + 'static>(parse: fn(&OsStr) -> Result<T, String>) -> ValueParser {
    Discreet(parse).into()
}

fn check_file(text: &str) -> Result<(), String> {
    let what = match text.trim() {
        text if is_token(text) => "a token",
        text if is_key(text) => "a master key",
        _ => return Ok(()),
    };
    Err(format!("that is {what}, and the name of a file is needed"))
}

/// Whether a text is a token, be it cut off, as which no name of a host or the like is meant.
pub fn is_token(text: &str) -> bool {
    text.starts_with(PREFIX) && is_one_word(text) && secret_of_token(text).is_some()
}

/// A text without the secrets in it: tokens, of which the id stays, master keys, and private keys in PEM.
pub fn redacted(text: &str) -> String {
    let text = without_private_keys(text);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find(is_part) {
        let (before, tail) = rest.split_at(start);
        let (word, after) = tail.split_at(tail.find(|c| !is_part(c)).unwrap_or(tail.len()));
        // A part of a path or of a name with dots is no key.
        let is_alone = !before.ends_with(['/', '.']) && !after.starts_with(['/', '.']);
        shown.push_str(before);
        match secret_of_token(word) {
            Some(secret) => shown.extend([&word[..word.len() - secret.len()], HIDDEN]),
            None if is_alone && is_key(word) => shown.push_str(HIDDEN),
            None => shown.push_str(word),
        }
        rest = after;
    }
    shown + rest
}

/// What stands between the beginning and the end of a private key is every other piece.
fn without_private_keys(text: &str) -> String {
    let pieces = text.split(PEM).enumerate();
    let pieces: Vec<_> = pieces.map(|(number, piece)| if number % 2 == 0 { piece } else { HIDDEN }).collect();
    pieces.join(PEM)
}

/// What stands behind `itk_<id>_`, if it can be a secret.
fn secret_of_token(text: &str) -> Option<&str> {
    let (id, secret) = text.split_once(PREFIX)?.1.split_once('_')?;
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_id && secret.len() >= SHORTEST).then_some(secret)
}

/// Whether it is 32 bytes in base64url or in hexadecimal, as master keys are. Words of small letters only are names.
fn is_key(text: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| text.as_bytes().iter().any(kind);
    match text.len() {
        43 => is_one_word(text) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase),
        64 => text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        _ => false,
    }
}

fn is_one_word(text: &str) -> bool {
    text.chars().all(is_part)
}

/// Whether it is a character of base64url.
fn is_part(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_')
}

#[derive(Clone)]
struct Discreet<T>(fn(&OsStr) -> Result<T, String>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Discreet<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        (self.0)(value).map_err(|why| {
            let name = argument.map(|argument| program::name(argument, value)).unwrap_or_default();
            Error::raw(ErrorKind::ValueValidation, format!("invalid value for '{name}': {why}\n"))
                .with_cmd(command)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "q83vEjRWeJASNFZ4kBI0VniQEjRWeJASNFZ4kBI0Vng";
    const HEX: &str = "abcdef1234567890abcdef1234567890abcdef1234567890abcdef1234567890";

    #[test]
    fn secrets_are_taken_out_of_a_text() {
        let cut = &SECRET[..25];
        for (text, shown) in [
            (format!("cannot read itk_k3v9_{SECRET}: ü"), "cannot read itk_k3v9_***: ü".to_owned()),
            (format!("itk_a_{cut} `itk_b_{cut}`"), "itk_a_*** `itk_b_***`".into()),
            (format!("'--token=itk_a_{SECRET}' found"), "'--token=itk_a_***' found".into()),
            (format!("no file {SECRET} or {HEX}\n"), "no file *** or ***\n".into()),
            (format!("/keys/{SECRET} {HEX}.pem"), format!("/keys/{SECRET} {HEX}.pem")),
            ("itk_k3v9 and itk_shop_note.txt".into(), "itk_k3v9 and itk_shop_note.txt".into()),
            (
                "a-name-of-small-letters-of-the-very-same-len".into(),
                "a-name-of-small-letters-of-the-very-same-len".into(),
            ),
            (
                "no -----BEGIN EC PRIVATE KEY-----\nMI/+=\n-----END EC PRIVATE KEY-----: too long".into(),
                "no -----BEGIN EC PRIVATE KEY-----***PRIVATE KEY-----: too long".into(),
            ),
            ("-----BEGIN PRIVATE KEY-----\nMI".into(), "-----BEGIN PRIVATE KEY-----***".into()),
            (String::new(), String::new()),
        ] {
            assert_eq!(redacted(&text), shown);
        }
    }

    #[test]
    fn a_secret_is_not_the_name_of_a_file() {
        for (text, what) in [
            (format!("itk_k3v9_{SECRET}"), "that is a token"),
            (format!("itk_k3v9_{}\n", &SECRET[..30]), "that is a token"),
            (SECRET.to_owned(), "that is a master key"),
            (HEX.to_owned(), "that is a master key"),
        ] {
            let error = check_file(&text).unwrap_err();
            assert!(error.starts_with(what), "{error}");
        }
        for text in
            ["", "token", "itk_k3v9", "/run/itk_k3v9", "itk_shop_token_of_the_shop_in_the_city.txt", "a/b"]
        {
            assert_eq!(check_file(text), Ok(()), "{text}");
        }
        assert_eq!(check_file(&format!("./{SECRET}")), Ok(()));
    }
}
