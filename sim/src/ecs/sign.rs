//! The verifying side of `SDK-HMAC-SHA256` (huawei-ecs reference §6; API Request Signing Guide).
//!
//! The canonical form is rebuilt from what came over the wire: path and query are decoded, sorted
//! and encoded anew, so any order and any superfluous escapes of the sender are accepted.

use hyper::HeaderMap;
use jiff::Timestamp;
use jiff::civil::DateTime;
use ring::{digest, hmac};

use super::encoding;
use super::error::ApiError;

const ALGORITHM: &str = "SDK-HMAC-SHA256";
/// How far `X-Sdk-Date` may be off (API Request Signing Guide: 15 minutes).
const SKEW_SECONDS: i64 = 15 * 60;

/// A request as it came over the wire.
pub(super) struct Wire<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

/// Why a request is not let in.
#[derive(Debug, PartialEq)]
pub(super) enum Refusal {
    /// No `Authorization`, or none that can be read.
    Unsigned,
    /// The access key is not known.
    UnknownKey(String),
    /// The access key is known and was disabled.
    DisabledKey(String),
    /// The security token of a temporary key is not the right one, or not any more.
    SecurityToken(&'static str),
    /// The date is missing or too far off.
    Date,
    /// The signature is not that of this request; carries the canonical request.
    Mismatch(String),
}

impl Refusal {
    /// The gateway's answer; texts from APIG's list of error codes (huawei-ecs reference §5).
    pub(super) fn answer(&self) -> ApiError {
        let incorrect = |detail: String| {
            let text = format!("Incorrect IAM authentication information: {detail}");
            ApiError::gateway(401, "APIGW.0301", text)
        };
        match self {
            Self::Unsigned => incorrect("authorization header not found or illegal".to_owned()),
            Self::UnknownKey(ak) => {
                incorrect(format!("Get secretKey failed,ak:{ak},err:ak not exist"))
            }
            Self::DisabledKey(ak) => {
                incorrect(format!("Get secretKey failed,ak:{ak},err:ak is disabled"))
            }
            Self::SecurityToken(why) => incorrect(format!("the X-Security-Token is {why}")),
            Self::Mismatch(canonical) => incorrect(format!(
                "verify aksk signature fail, canonicalRequest:{}",
                canonical.replace('\n', "|")
            )),
            // Whether a stale date of an account's own key is this, or `APIGW.0301`, is not documented.
            Self::Date => ApiError::gateway(
                401,
                "APIGW.0303",
                "Incorrect app authentication information: x-sdk-date is missing or more than 15 minutes off",
            ),
        }
    }
}

/// The access key that a request says it was signed with.
pub(super) fn access_of(headers: &HeaderMap) -> Option<String> {
    Claim::of(headers).map(|claim| claim.access)
}

/// Whether this request was signed with this secret, at about `now`.
pub(super) fn verify(wire: &Wire<'_>, secret: &str, now: Timestamp) -> Result<(), Refusal> {
    let claim = Claim::of(wire.headers).ok_or(Refusal::Unsigned)?;
    if !claim.signed.iter().any(|name| name == "x-sdk-date") {
        return Err(Refusal::Date);
    }
    let date = header(wire.headers, "x-sdk-date").ok_or(Refusal::Date)?;
    let at = parse_date(&date).ok_or(Refusal::Date)?;
    if at.duration_since(now).as_secs().abs() > SKEW_SECONDS {
        return Err(Refusal::Date);
    }
    let canonical = canonical_request(wire, &claim.signed).ok_or(Refusal::Unsigned)?;
    let expected = signature(&canonical, &date, secret);
    if expected == claim.signature {
        Ok(())
    } else {
        Err(Refusal::Mismatch(canonical))
    }
}

struct Claim {
    access: String,
    signed: Vec<String>,
    signature: String,
}

impl Claim {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = header(headers, "authorization")?;
        let fields = text.strip_prefix(ALGORITHM)?;
        let field = |name: &str| {
            fields
                .split(',')
                .find_map(|f| f.trim().strip_prefix(name)?.strip_prefix('='))
        };
        Some(Self {
            access: field("Access")?.to_owned(),
            signed: field("SignedHeaders")?
                .split(';')
                .map(str::to_owned)
                .collect(),
            signature: field("Signature")?.to_owned(),
        })
    }
}

/// A header's value as UTF-8 without blanks around it.
pub(super) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()
}

/// None if a header that is said to be signed did not come along.
fn canonical_request(wire: &Wire<'_>, signed: &[String]) -> Option<String> {
    let mut lines = String::new();
    for name in signed {
        lines.push_str(&format!("{name}:{}\n", header(wire.headers, name)?));
    }
    Some(format!(
        "{}\n{}\n{}\n{lines}\n{}\n{}",
        wire.method,
        canonical_path(wire.path),
        canonical_query(wire.query),
        signed.join(";"),
        payload_hash(wire),
    ))
}

fn canonical_path(path: &str) -> String {
    let decoded = encoding::decode(path);
    let segments: Vec<String> = decoded
        .split(|b| *b == b'/')
        .map(encoding::encode)
        .collect();
    let mut path = segments.join("/");
    if !path.ends_with('/') {
        path.push('/');
    }
    path
}

fn canonical_query(query: &str) -> String {
    let mut pairs = encoding::pairs(query);
    pairs.sort();
    let encoded: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encoding::encode(name), encoding::encode(value)))
        .collect();
    encoded.join("&")
}

fn payload_hash(wire: &Wire<'_>) -> String {
    let given = header(wire.headers, "x-sdk-content-sha256").filter(|_| !wire.body.is_empty());
    given.unwrap_or_else(|| sha256(wire.body))
}

fn sha256(bytes: &[u8]) -> String {
    encoding::hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn signature(canonical: &str, date: &str, secret: &str) -> String {
    let to_sign = format!("{ALGORITHM}\n{date}\n{}", sha256(canonical.as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    encoding::hex(hmac::sign(&key, to_sign.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};
    use serde_json::Value;

    fn vectors() -> Value {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/data/huawei-sign.json"
        );
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
        vector[key].as_str().unwrap()
    }

    fn check(vector: &Value, authorization: &str, later_seconds: i64) -> Result<(), Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in vector["headers"].as_object().unwrap() {
            let name: HeaderName = name.parse().unwrap();
            let value = HeaderValue::from_bytes(value.as_str().unwrap().as_bytes()).unwrap();
            headers.insert(name, value);
        }
        headers.insert("authorization", authorization.parse().unwrap());
        let target = text(vector, "request_target");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let wire = Wire {
            method: text(vector, "method"),
            path,
            query,
            headers: &headers,
            body: text(vector, "body").as_bytes(),
        };
        let at = parse_date(text(vector, "date")).unwrap();
        if access_of(&headers).as_deref() != Some(text(vector, "ak")) {
            return Err(Refusal::UnknownKey(String::new()));
        }
        verify(
            &wire,
            text(vector, "sk"),
            at + jiff::SignedDuration::from_secs(later_seconds),
        )
    }

    #[test]
    fn every_vector_of_the_official_signers_is_accepted() {
        let all = vectors();
        let list = all["vectors"].as_array().unwrap();
        assert_eq!(list.len(), 28);
        for vector in list {
            let verdict = check(vector, text(vector, "authorization"), 0);
            assert_eq!(verdict, Ok(()), "{}", vector["id"]);
        }
    }

    #[test]
    fn wrong_signatures_are_refused() {
        let all = vectors();
        let refused = all["must_be_refused"].as_array().unwrap();
        assert_eq!(refused.len(), 5);
        for case in refused {
            let mut list = all["vectors"].as_array().unwrap().iter();
            let base = list.find(|v| v["id"] == case["based_on"]).unwrap();
            let verdict = check(base, text(case, "authorization"), 0);
            assert!(verdict.is_err(), "{}", case["id"]);
            assert_eq!(verdict.unwrap_err().answer().status, 401);
        }
    }

    #[test]
    fn a_date_more_than_fifteen_minutes_off_is_refused() {
        let all = vectors();
        let vector = &all["vectors"][0];
        let authorization = text(vector, "authorization");
        for within in [-900, 900] {
            assert_eq!(check(vector, authorization, within), Ok(()));
        }
        for off in [-901, 901] {
            assert_eq!(check(vector, authorization, off), Err(Refusal::Date));
        }
    }
}
