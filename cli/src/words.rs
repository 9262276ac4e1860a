use std::fmt;

/// A name of a library that has no text of its own, as words: `UnknownIssuer` is "unknown issuer".
pub fn in_words(name: &impl fmt::Debug) -> String {
    let mut words = String::new();
    for letter in format!("{name:?}").chars().take_while(|letter| letter.is_ascii_alphanumeric()) {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;

    use super::*;

    #[test]
    fn names_become_words() {
        assert_eq!(in_words(&CertificateError::UnknownIssuer), "unknown issuer");
        assert_eq!(
            in_words(&CertificateError::Other(rustls::OtherError(std::sync::Arc::new(fmt::Error)))),
            "other"
        );
    }
}
