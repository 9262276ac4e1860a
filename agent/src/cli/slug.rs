use agent::Upstream;
use proto::{AgentId, TokenId};
use sha2::{Digest as _, Sha256};

/// A readable agent id for an agent that was given none: always the same for the same token and service.
///
/// There are 4096 of them, enough that two agents of one person seldom meet in one.
pub(super) fn slug(token: &TokenId, upstream: &Upstream) -> AgentId {
    let digest = Sha256::digest(format!("{token} {upstream}"));
    let pick = |words: &[&'static str; 64], byte: u8| words[usize::from(byte % 64)];
    let slug = format!("{}-{}", pick(&ADJECTIVES, digest[0]), pick(&NOUNS, digest[1]));
    AgentId::parse(&slug).expect("every pair of these words is an agent id")
}

#[rustfmt::skip]
const ADJECTIVES: [&str; 64] = [
    "agile", "amber", "ample", "bold", "brave", "breezy", "bright", "brisk", "calm", "candid", "clever",
    "cosmic", "crisp", "curious", "dapper", "daring", "eager", "early", "earnest", "fair", "fancy",
    "fleet", "fond", "frosty", "gentle", "glad", "golden", "grand", "happy", "hardy", "honest",
    "humble", "jolly", "keen", "kind", "lively", "lucky", "lunar", "mellow", "merry", "mighty", "misty",
    "modest", "neat", "nimble", "noble", "patient", "placid", "plucky", "polite", "proud", "quick",
    "quiet", "rapid", "rosy", "silver", "smooth", "snug", "solar", "steady", "sunny", "swift", "tidy",
    "vivid",
];

#[rustfmt::skip]
const NOUNS: [&str; 64] = [
    "acorn", "aspen", "badger", "beaver", "birch", "bison", "breeze", "brook", "canyon", "cedar",
    "comet", "coral", "crane", "creek", "dolphin", "dune", "eagle", "elm", "ember", "falcon", "fern",
    "finch", "fjord", "forest", "fox", "garden", "geyser", "glacier", "grove", "harbor", "hawk",
    "heron", "hill", "island", "jaguar", "kestrel", "lagoon", "lake", "lark", "lemur", "lynx", "maple",
    "marten", "meadow", "meteor", "moose", "orchid", "osprey", "otter", "panda", "pebble", "pine",
    "puffin", "quail", "raven", "reef", "river", "robin", "sparrow", "spruce", "stork", "tulip",
    "walrus", "willow",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn slug_of(token: &str, port: u16) -> AgentId {
        slug(&TokenId::parse(token).unwrap(), &Upstream::http("127.0.0.1", port))
    }

    #[test]
    fn token_and_service_decide() {
        let slug = slug_of("itk_a", 3000);
        assert_eq!(slug, slug_of("itk_a", 3000));
        assert_ne!(slug, slug_of("itk_a", 3001));
        assert_ne!(slug, slug_of("itk_b", 3000));
    }

    #[test]
    fn every_pair_is_an_agent_id() {
        for adjective in ADJECTIVES {
            for noun in NOUNS {
                AgentId::parse(&format!("{adjective}-{noun}")).unwrap();
            }
        }
    }
}
