//! Who may call: access keys, IAM tokens, and the temporary keys of the instance's agency
//! (huawei-ecs reference §6). Lives and locks run on the cloud's clock; the dates of signatures are
//! compared with the wall clock.

use std::collections::BTreeMap;

use hyper::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::faults::Faults;
use super::sign::{self, Refusal, Wire, header};
use crate::rng::Rng;

/// Bad signatures in a row after which the key is locked, and for how long (WEB devg-apisign).
const STRIKES: u32 = 5;
const LOCK: SignedDuration = SignedDuration::from_mins(5);
/// How long tokens and temporary keys live unless a fault says otherwise: 24 h (DOC24 认证鉴权).
const LIFE: SignedDuration = SignedDuration::from_hours(24);

/// The user that may fetch tokens.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password: String,
}

struct Temporary {
    secret: String,
    security_token: String,
    ends: Timestamp,
}

/// Everything that opens the door. Several keys and tokens are good at once.
pub(super) struct Access {
    project: String,
    user: User,
    keys: BTreeMap<String, String>,
    tokens: BTreeMap<String, Timestamp>,
    temporary: BTreeMap<String, Temporary>,
    /// Of the metadata service, for itself only.
    metadata_tokens: BTreeMap<String, Timestamp>,
    strikes: u32,
    locked_until: Option<Timestamp>,
    rng: Rng,
}

impl Access {
    pub(super) fn new(project: &str, key: (String, String), user: User) -> Self {
        Self {
            project: project.to_owned(),
            user,
            keys: BTreeMap::from([key]),
            tokens: BTreeMap::new(),
            temporary: BTreeMap::new(),
            metadata_tokens: BTreeMap::new(),
            strikes: 0,
            locked_until: None,
            // Of its own, so that who signs in does not change what becomes of the servers.
            rng: Rng::new(0x5eed),
        }
    }

    /// Whether a call is let in: by a token, or by its signature.
    pub(super) fn admit(
        &mut self,
        wire: &Wire<'_>,
        faults: &Faults,
        wall: Timestamp,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        if let Some(token) = header(wire.headers, "x-auth-token") {
            return self.check_token(&token, now);
        }
        if self.locked_until.is_some_and(|until| now < until) {
            let detail = "AK access failed to reach the limit,forbidden";
            return Err(incorrect(detail));
        }
        let verdict = self.check_signature(wire, faults, wall, now);
        self.note(&verdict, faults, now);
        verdict.map_err(|refusal| refusal.answer())
    }

    fn check_token(&self, token: &str, now: Timestamp) -> Result<(), ApiError> {
        match self.tokens.get(token) {
            Some(ends) if now < *ends => Ok(()),
            Some(_) => Err(ApiError::gateway(
                401,
                "APIGW.0307",
                "Incorrect IAM authentication information: token expires",
            )),
            None => Err(incorrect("decrypt token fail")),
        }
    }

    fn check_signature(
        &self,
        wire: &Wire<'_>,
        faults: &Faults,
        wall: Timestamp,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let access = sign::access_of(wire.headers).ok_or(Refusal::Unsigned)?;
        if faults.disabled_keys.contains(&access) {
            return Err(Refusal::DisabledKey(access));
        }
        let temporary = self.temporary.get(&access);
        let secret = self.keys.get(&access).or(temporary.map(|key| &key.secret));
        let Some(secret) = secret else {
            return Err(Refusal::UnknownKey(access));
        };
        sign::verify(wire, secret, wall)?;
        match temporary {
            Some(key) => key.check(wire.headers, now),
            None => Ok(()),
        }
    }

    fn note(&mut self, verdict: &Result<(), Refusal>, faults: &Faults, now: Timestamp) {
        self.strikes = if verdict.is_ok() { 0 } else { self.strikes + 1 };
        if faults.lock_key && self.strikes > STRIKES {
            self.strikes = 0;
            self.locked_until = Some(now + LOCK);
        }
    }

    /// One more key, as when keys are rotated.
    pub(super) fn add_key(&mut self, access: String, secret: String) {
        self.keys.insert(access, secret);
    }

    /// Says whether there was such a key.
    pub(super) fn remove_key(&mut self, access: &str) -> bool {
        self.keys.remove(access).is_some()
    }

    /// Every token and temporary key that was handed out is good no more.
    pub(super) fn revoke(&mut self) {
        self.tokens.clear();
        self.temporary.clear();
        self.metadata_tokens.clear();
    }

    /// `POST /v3/auth/tokens`: the token, and the body that goes with it (DOC24 认证鉴权).
    pub(super) fn sign_in(
        &mut self,
        body: &Value,
        faults: &Faults,
        now: Timestamp,
    ) -> Result<(String, Value), ApiError> {
        let auth = SignIn::deserialize(body)
            .map_err(|why| ApiError::iam(400, why.to_string()))?
            .auth;
        let user = &auth.identity.password.user;
        if user.name != self.user.name || user.password != self.user.password {
            return Err(ApiError::iam(401, "The username or password is wrong."));
        }
        if auth.scope.project.id.is_some_and(|id| id != self.project) {
            return Err(ApiError::iam(401, "The project is not that of the user."));
        }
        let token = format!("MII{}{}", self.rng.request_id(), self.rng.request_id());
        let ends = now + life(faults.token_life_seconds);
        self.tokens.insert(token.clone(), ends);
        let answer = json!({"token": {
            "expires_at": micros(ends), "issued_at": micros(now), "methods": ["password"],
            "user": {"name": user.name, "id": "0".repeat(32), "domain": user.domain},
            "project": {"id": self.project, "name": auth.scope.project.name},
            "roles": [], "catalog": [],
        }});
        Ok((token, answer))
    }

    /// `PUT /meta-data/latest/api/token`: None where the service has no such tokens.
    pub(super) fn metadata_token(
        &mut self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<String, ApiError> {
        let ttl = header(headers, "x-metadata-token-ttl-seconds").and_then(|t| t.parse().ok());
        let ttl: i64 = ttl.filter(|ttl| (1..=21600).contains(ttl)).ok_or_else(|| {
            ApiError::service(400, "400", "X-Metadata-Token-Ttl-Seconds: 1 to 21600")
        })?;
        let token = self.rng.request_id();
        let ends = now + SignedDuration::from_secs(ttl);
        self.metadata_tokens.insert(token.clone(), ends);
        Ok(token)
    }

    /// `GET /openstack/latest/securitykey`: a temporary key of the instance's agency.
    pub(super) fn security_key(
        &mut self,
        headers: &HeaderMap,
        faults: &Faults,
        now: Timestamp,
    ) -> Result<Value, ApiError> {
        let given = header(headers, "x-metadata-token");
        let good = match &given {
            Some(token) => self
                .metadata_tokens
                .get(token)
                .is_some_and(|ends| now < *ends),
            None => !faults.metadata_wants_token,
        };
        if !good {
            return Err(ApiError::service(
                401,
                "401",
                "the metadata token is missing or invalid",
            ));
        }
        let access = format!(
            "HST{}",
            &self.rng.request_id().to_uppercase().get(..17).unwrap_or("")
        );
        let key = Temporary {
            secret: self.rng.request_id(),
            security_token: format!("gg{}{}", self.rng.request_id(), self.rng.request_id()),
            ends: now + life(faults.agency_life_seconds),
        };
        let answer = json!({"credential": {
            "access": access, "secret": key.secret, "securitytoken": key.security_token,
            "expires_at": micros(key.ends),
        }});
        self.temporary.insert(access, key);
        Ok(answer)
    }
}

impl Temporary {
    fn check(&self, headers: &HeaderMap, now: Timestamp) -> Result<(), Refusal> {
        let given = header(headers, "x-security-token");
        if given.as_ref() != Some(&self.security_token) {
            return Err(Refusal::SecurityToken("invalid"));
        }
        if now >= self.ends {
            return Err(Refusal::SecurityToken("expired"));
        }
        Ok(())
    }
}

fn incorrect(detail: &str) -> ApiError {
    let text = format!("Incorrect IAM authentication information: {detail}");
    ApiError::gateway(401, "APIGW.0301", text)
}

fn life(seconds: Option<f64>) -> SignedDuration {
    seconds.map_or(LIFE, |s| {
        SignedDuration::try_from_secs_f64(s).unwrap_or(LIFE)
    })
}

fn micros(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[derive(Deserialize)]
struct SignIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    identity: Identity,
    scope: Scope,
}

#[derive(Deserialize)]
struct Identity {
    password: Password,
}

#[derive(Deserialize)]
struct Password {
    user: Claimed,
}

#[derive(Deserialize)]
struct Claimed {
    name: String,
    password: String,
    #[serde(default)]
    domain: Value,
}

#[derive(Deserialize)]
struct Scope {
    project: Project,
}

#[derive(Deserialize)]
struct Project {
    id: Option<String>,
    name: Option<String>,
}
