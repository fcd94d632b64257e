//! SDK-HMAC-SHA256, as the guide "API Request Signing" and the official SDKs compute it.

use ring::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};
use std::fmt::Write;

const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// The header that replaces the hash of a body that is not empty.
const CONTENT_HASH: &str = "x-sdk-content-sha256";

/// What a signature covers.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The path as it is sent, percent-encoded.
    pub path: &'a str,
    /// The query, not encoded.
    pub query: &'a [(&'a str, &'a str)],
    /// The headers to cover. One with `_` in its name is left out: gateways drop or rename it.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body as it is sent.
    pub body: &'a [u8],
}

/// An access key, its secret, and the token that goes with a temporary one.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The access key (AK).
    pub access_key: SecretString,
    /// The secret key (SK).
    pub secret_key: SecretString,
    /// Sent and signed as `X-Security-Token`; only temporary keys have one.
    pub security_token: Option<SecretString>,
}

impl Credentials {
    /// The headers that make the request a signed one, to be sent besides its own:
    /// `X-Sdk-Date`, which is always covered, `X-Security-Token` and `Authorization`.
    /// `date` is UTC as `YYYYMMDDTHHMMSSZ`; the cloud accepts 15 minutes to either side.
    #[must_use]
    pub fn sign(&self, request: &Signable<'_>, date: &str) -> Vec<(&'static str, String)> {
        let mut added = vec![("x-sdk-date", date.to_owned())];
        if let Some(token) = &self.security_token {
            added.push(("x-security-token", token.expose_secret().to_owned()));
        }
        let mut headers = request.headers.to_vec();
        headers.extend(added.iter().map(|(name, value)| (*name, value.as_str())));
        let covered = Signable {
            headers: &headers,
            ..*request
        };
        let authorization = format!(
            "{ALGORITHM} Access={}, SignedHeaders={}, Signature={}",
            self.access_key.expose_secret(),
            signed_headers(&covered),
            signature(&self.secret_key, date, &canonical_request(&covered))
        );
        added.push(("authorization", authorization));
        added
    }
}

/// The text that both sides hash. A verifier gives the headers that `SignedHeaders` names.
#[must_use]
pub fn canonical_request(request: &Signable<'_>) -> String {
    let headers: String = covered(request)
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        request.method,
        canonical_path(request.path),
        canonical_query(request.query),
        signed_headers(request),
        payload_hash(request)
    )
}

/// The signature of a canonical request, in hex.
#[must_use]
pub fn signature(secret_key: &SecretString, date: &str, canonical_request: &str) -> String {
    let hash = sha256_hex(canonical_request.as_bytes());
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret_key.expose_secret().as_bytes());
    let text = format!("{ALGORITHM}\n{date}\n{hash}");
    hex(hmac::sign(&key, text.as_bytes()).as_ref())
}

/// The query encoded and in the order that is signed. It is sent in the same form.
#[must_use]
pub fn canonical_query(query: &[(&str, &str)]) -> String {
    let mut sorted = query.to_vec();
    sorted.sort_unstable();
    let pairs: Vec<String> = sorted
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name, ""), encode(value, "")))
        .collect();
    pairs.join("&")
}

/// SHA-256 in lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn signed_headers(request: &Signable<'_>) -> String {
    let names: Vec<String> = covered(request).into_iter().map(|(name, _)| name).collect();
    names.join(";")
}

fn covered<'a>(request: &Signable<'a>) -> Vec<(String, &'a str)> {
    let mut headers: Vec<_> = request
        .headers
        .iter()
        .filter(|(name, _)| !name.contains('_'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    headers.sort_unstable();
    headers
}

fn payload_hash(request: &Signable<'_>) -> String {
    let given = request
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(CONTENT_HASH));
    match given {
        Some((_, hash)) if !request.body.is_empty() => (*hash).to_owned(),
        _ => sha256_hex(request.body),
    }
}

/// Decoded once, encoded anew, and closed with a slash: the request itself goes without it.
fn canonical_path(path: &str) -> String {
    let mut canonical = encode(decode(path), "/");
    if !canonical.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

fn encode(text: impl AsRef<[u8]>, kept: &str) -> String {
    let mut out = String::new();
    for &byte in text.as_ref() {
        let plain = byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        if plain || kept.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            push_hex(&mut out, format_args!("%{byte:02X}"));
        }
    }
    out
}

fn decode(path: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.split_at_checked(2).and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok()?;
            Some((u8::from_str_radix(digits, 16).ok()?, after))
        });
        let (byte, after) = match escaped {
            Some(escaped) if first == b'%' => escaped,
            _ => (first, tail),
        };
        out.push(byte);
        rest = after;
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        push_hex(&mut out, format_args!("{byte:02x}"));
    }
    out
}

fn push_hex(out: &mut String, digits: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(digits);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn vectors(key: &str) -> Vec<Value> {
        let text = include_str!("../../tests/data/huawei-sign.json");
        let all: Value = serde_json::from_str(text).unwrap();
        all[key].as_array().unwrap().clone()
    }

    /// Signs a vector's request, covering the headers that it names, and gives the canonical
    /// request and the `Authorization`.
    fn signed(vector: &Value) -> (String, String) {
        let text = |key: &str| vector[key].as_str().unwrap();
        let covered: Vec<&str> = text("signed_headers").split(';').collect();
        let named = |name: &str| covered.contains(&name.to_ascii_lowercase().as_str());
        let every: Vec<(&str, &str)> = vector["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .filter(|(name, _)| name.contains('_') || named(name))
            .collect();
        let added = ["X-Sdk-Date", "X-Security-Token"];
        let own: Vec<_> = every
            .iter()
            .filter(|(name, _)| !added.contains(name))
            .copied()
            .collect();
        let query: Vec<(&str, &str)> = vector["query"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
            .collect();
        let request = Signable {
            method: text("method"),
            path: text("path"),
            query: &query,
            headers: &own,
            body: text("body").as_bytes(),
        };
        let credentials = Credentials {
            access_key: text("ak").into(),
            secret_key: text("sk").into(),
            security_token: vector["security_token"].as_str().map(SecretString::from),
        };
        let (_, authorization) = credentials
            .sign(&request, text("date"))
            .pop()
            .unwrap_or_default();
        let whole = Signable {
            headers: &every,
            ..request
        };
        (canonical_request(&whole), authorization)
    }

    #[test]
    fn every_vector_of_the_official_signers_is_reproduced() {
        let all = vectors("vectors");
        assert_eq!(all.len(), 28);
        for vector in all {
            let (canonical, authorization) = signed(&vector);
            assert_eq!(canonical, vector["canonical_request"], "{}", vector["id"]);
            assert_eq!(authorization, vector["authorization"], "{}", vector["id"]);
        }
    }

    #[test]
    fn what_a_verifier_must_refuse_is_never_signed() {
        let all = vectors("vectors");
        let refused = vectors("must_be_refused");
        assert_eq!(refused.len(), 5);
        for case in refused {
            let base = all.iter().find(|v| v["id"] == case["based_on"]).unwrap();
            let (_, authorization) = signed(base);
            assert_ne!(authorization, case["authorization"], "{}", case["id"]);
        }
    }

    #[test]
    fn the_date_is_covered_whatever_else_is() {
        let request = Signable {
            method: "GET",
            path: "/",
            query: &[],
            headers: &[],
            body: &[],
        };
        let credentials = Credentials {
            access_key: "ak".into(),
            secret_key: "sk".into(),
            security_token: None,
        };
        let (_, authorization) = credentials
            .sign(&request, "20260122T101530Z")
            .pop()
            .unwrap();
        assert!(authorization.contains("SignedHeaders=x-sdk-date,"));
    }
}
