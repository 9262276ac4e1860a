//! Files that hold the right thing in a form that is not read.

use std::path::Path;

/// What keeps a file from being the PEM that it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PemFlaw {
    /// The key is encrypted (PKCS #8, or RFC 1421).
    Encrypted,
    /// Its end is missing.
    Cut,
    /// It is DER or PKCS #12.
    Binary,
    /// It is UTF-8 behind a byte order mark.
    ByteOrderMark,
    /// It is UTF-16.
    Utf16,
    /// Lines that begin a section do not begin at the margin.
    Indented,
}

impl PemFlaw {
    /// What would be passed over in silence: another section of the file would be taken for the first.
    pub(crate) fn hidden(content: &[u8]) -> Option<Self> {
        let is_indented = |line: &[u8]| {
            line.first().is_some_and(u8::is_ascii_whitespace)
                && line.trim_ascii_start().starts_with(b"-----BEGIN ")
        };
        if content.starts_with(b"\xef\xbb\xbf") {
            Some(Self::ByteOrderMark)
        } else if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
            Some(Self::Utf16)
        } else if content.split(|byte| *byte == b'\n').any(is_indented) {
            Some(Self::Indented)
        } else {
            None
        }
    }

    /// Why there is nothing in the file that can be used.
    pub(crate) fn of(content: &[u8]) -> Option<Self> {
        let count = |text: &[u8]| content.windows(text.len()).filter(|window| *window == text).count();
        if count(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") + count(b"Proc-Type: 4,ENCRYPTED") > 0 {
            Some(Self::Encrypted)
        } else if count(b"-----BEGIN ") > count(b"-----END ") {
            Some(Self::Cut)
        } else if content.first() == Some(&0x30) && std::str::from_utf8(content).is_err() {
            Some(Self::Binary)
        } else {
            None
        }
    }

    /// What it is and what helps, for the file at `path`, which should hold `what`.
    pub(crate) fn remedy(self, path: &Path, what: &str) -> String {
        let (path, command) = (path.display(), if what == super::KEY { "pkey" } else { "x509" });
        match self {
            Self::Encrypted => format!(
                "its key has a passphrase, which nobody could enter here; \
                 take it off: openssl pkey -in {path} -out NEW.key"
            ),
            Self::Cut => "its end is missing (a BEGIN without its END); copy it again, as a whole".to_owned(),
            Self::Binary => format!(
                "it is DER or PKCS #12, not PEM; convert it: \
                 openssl {command} -inform DER -in {path} -out NEW.pem, or openssl pkcs12 -nodes -in {path} -out NEW.pem"
            ),
            Self::ByteOrderMark => {
                format!("it begins with a byte order mark; write it without: tail -c +4 {path} > NEW.pem")
            }
            Self::Utf16 => format!("it is UTF-16; convert it: iconv -f UTF-16 -t ASCII {path} > NEW.pem"),
            Self::Indented => format!(
                "its lines are indented, and BEGIN must stand at the margin: sed 's/^[[:blank:]]*//' {path} > NEW.pem"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_is_found() {
        let whole = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        for (content, flaw) in [
            (whole.into(), None),
            (b"nothing of the kind".to_vec(), None),
            (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII\n-----END ENCRYPTED PRIVATE KEY-----\n".to_vec(), Some(PemFlaw::Encrypted)),
            (
                b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,0\n\nMII\n-----END EC PRIVATE KEY-----\n".to_vec(),
                Some(PemFlaw::Encrypted),
            ),
            (whole.as_bytes()[..40].to_vec(), Some(PemFlaw::Cut)),
            (b"0\x82\x01\x02\xff".to_vec(), Some(PemFlaw::Binary)),
        ] {
            assert_eq!(PemFlaw::of(&content), flaw, "{}", content.escape_ascii());
            assert_eq!(PemFlaw::hidden(&content), None);
        }
        let marked = [b"\xef\xbb\xbf", whole.as_bytes()].concat();
        assert_eq!(PemFlaw::hidden(&marked), Some(PemFlaw::ByteOrderMark));
        assert_eq!(PemFlaw::hidden(b"\xff\xfe-\0-\0"), Some(PemFlaw::Utf16));
        let indented = format!("  {}", whole.replace('\n', "\n  "));
        assert_eq!(PemFlaw::hidden(indented.as_bytes()), Some(PemFlaw::Indented));
    }
}
