use proto::{Credential, Secret, TokenId};

/// 36^12 ids: two of a million tokens share one with a chance of one in ten million.
const NAME_LEN: usize = 12;
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// The system's random source is out of order.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct RandomnessError(#[from] getrandom::Error);

/// Makes a new credential from the system's random source.
///
/// # Errors
/// [`RandomnessError`] if that source is out of order.
pub fn generate() -> Result<Credential, RandomnessError> {
    let mut key = [0; Secret::LEN];
    getrandom::fill(&mut key)?;
    let id = format!("{}{}", TokenId::PREFIX, name()?);
    Ok(Credential {
        token: TokenId::parse(&id).expect("the alphabet is that of token ids"),
        secret: Secret::from_bytes(key),
    })
}

fn name() -> Result<String, RandomnessError> {
    let mut name = String::with_capacity(NAME_LEN);
    let mut bytes = [0; 2 * NAME_LEN];
    while name.len() < NAME_LEN {
        getrandom::fill(&mut bytes)?;
        name.extend(bytes.iter().filter_map(letter).take(NAME_LEN - name.len()));
    }
    Ok(name)
}

/// Bytes beyond the last whole alphabet are thrown away, since they would make some letters likelier.
fn letter(byte: &u8) -> Option<char> {
    let whole = u8::MAX - u8::MAX % 36;
    (*byte < whole).then(|| ALPHABET[usize::from(byte % 36)].into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_well_formed_and_differ() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        assert_eq!(one.token.as_str().len(), TokenId::PREFIX.len() + NAME_LEN);
        assert_ne!(one.token, two.token);
        assert_ne!(*one.secret.reveal(), *two.secret.reveal());
    }

    #[test]
    fn every_letter_is_equally_likely() {
        let mut counts = std::collections::HashMap::new();
        for letter in (0..=u8::MAX).filter_map(|byte| letter(&byte)) {
            *counts.entry(letter).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), ALPHABET.len());
        assert!(counts.values().all(|count| *count == 7));
    }
}
