//! Bearer tokens, compared in constant time.

use ring::hmac::{HMAC_SHA256, Key, Tag, sign, verify};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// The tokens that are accepted. More than one while they are being rotated.
pub struct Tokens(Vec<(Key, Tag)>);

impl Tokens {
    /// Accepts these. An empty one is left out: it would let everybody in.
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let given = tokens
            .into_iter()
            .map(|token| token.expose_secret().as_bytes());
        let keyed = given.filter(|token| !token.is_empty()).map(|token| {
            let key = Key::new(HMAC_SHA256, token);
            let tag = sign(&key, token);
            (key, tag)
        });
        Self(keyed.collect())
    }

    /// Whether an `Authorization` header carries one of them (`Bearer …`). The time that it takes
    /// tells nothing about a token but whether the answer is yes: what is compared, in constant time,
    /// is a keyed digest, so that lengths do not show either.
    #[must_use]
    pub fn accept(&self, authorization: &[u8]) -> bool {
        let Some((scheme, given)) = authorization.split_at_checked("Bearer ".len()) else {
            return false;
        };
        let matches = |(key, tag): &(Key, Tag)| verify(key, given, tag.as_ref()).is_ok();
        scheme.eq_ignore_ascii_case(b"Bearer ") && self.0.iter().any(matches)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_accepted() {
        let tokens = ["old", "new-and-longer", ""].map(SecretString::from);
        let tokens = Tokens::new(&tokens);
        for good in ["Bearer old", "bearer new-and-longer"] {
            assert!(tokens.accept(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer ol",
            "Bearer oldd",
            "Basic old",
            "old",
        ] {
            assert!(!tokens.accept(bad.as_bytes()), "{bad}");
        }
        assert!(!format!("{tokens:?}").contains("old"));
    }
}
