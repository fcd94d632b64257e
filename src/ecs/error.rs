//! What goes wrong with the cloud, in classes, and what each asks for.

use crate::cloud;
use crate::model::{Class, Retry};
use serde_json::{Map, Value};
use std::fmt;
use std::time::Duration;

/// The class of a code of the cloud; `None` for a code that is not in the reference. The codes of each
/// class are those of the API reference's page "Error Codes" (ECS) and of API Gateway's; a job's parts
/// fail with the same ones.
pub(super) fn class_of_code(code: &str) -> Option<Class> {
    let class = match code {
        "Ecs.0018" | "Ecs.0319" | "Ecs.0219" | "Ecs.0204" | "Ecs.0044" | "Ecs.0202"
        | "Ecs.0203" | "Ecs.0703" => Class::Capacity,
        "Ecs.0001" | "Ecs.0012" | "Ecs.0013" | "Ecs.0021" | "Ecs.0022" | "Ecs.0913"
        | "Ecs.0118" => Class::Quota,
        "Ecs.0003" | "Ecs.0066" | "Ecs.0067" | "Ecs.0069" | "Ecs.0070" | "Ecs.0071"
        | "Ecs.7000" => Class::Account,
        "Ecs.0110" | "Ecs.0023" | "Pdp.0001" | "Common.0018" | "Common.0013" | "APIGW.0301"
        | "APIGW.0303" | "APIGW.0307" => Class::Permission,
        "Ecs.0000" | "Ecs.0005" | "Ecs.0008" | "Ecs.0010" | "Ecs.0014" | "Ecs.0015"
        | "Ecs.0016" | "Ecs.0019" | "Ecs.0027" | "Ecs.0028" | "Ecs.0029" | "Ecs.0031"
        | "Ecs.0032" | "Ecs.0038" | "Ecs.0039" | "Ecs.0041" | "Ecs.0064" | "Ecs.0076"
        | "Ecs.0077" | "Ecs.0082" | "Ecs.0083" | "Ecs.0084" | "Ecs.0122" | "Ecs.0123"
        | "Ecs.0124" | "Ecs.0314" | "Ecs.0905" | "Ecs.0906" | "Ecs.0907" | "Ecs.0908"
        | "Ecs.0914" | "Ecs.0915" | "APIGW.0101" => Class::Request,
        "Ecs.0100" | "Ecs.0605" | "Ecs.0030" | "Ecs.0513" | "Ecs.0704" | "Ecs.0705"
        | "Ecs.0902" | "Ecs.0903" => Class::State,
        "Ecs.0114" | "Ecs.0614" | NOT_FOUND => Class::Gone,
        "Ecs.0002" | "Ecs.0106" | "Ecs.0603" | "Ecs.1000" | "Ecs.1001" | "Ecs.1002"
        | "Ecs.1100" | "Ecs.1200" | "Ecs.1201" | "Ecs.1300" | "Common.0001" | "Common.0025" => {
            Class::Transient
        }
        "APIGW.0308" | "Common.0024" | "Common.1503" => Class::Throttled,
        _ => return None,
    };
    Some(class)
}

/// An error of a call to the cloud.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EcsError {
    /// The client cannot be built from what it was given.
    #[error("the ECS client cannot be built: {0}")]
    Setup(String),
    /// The call was not made: the cloud would refuse it, or mean something else by it.
    #[error("not asked of the cloud: {0}")]
    Invalid(String),
    /// The cloud said no.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// No connection was made, so the cloud has heard nothing.
    #[error("{operation}: no connection: {why}")]
    NoConnection {
        /// Which call.
        operation: &'static str,
        /// What the connection failed with.
        why: String,
    },
    /// The request left, and no whole answer came in time.
    #[error("{operation}: no answer: {why}")]
    Lost {
        /// Which call.
        operation: &'static str,
        /// Timed out, or what the connection broke with.
        why: String,
    },
    /// The cloud said that it went well, in words that cannot be understood.
    #[error("{operation}: the answer cannot be understood: {why}{}", request(.request_id))]
    Garbled {
        /// Which call.
        operation: &'static str,
        /// What is wrong with it, and where.
        why: String,
        /// The cloud's `X-Request-Id`, for its support.
        request_id: Option<String>,
    },
    /// The server asked for exists, and does not carry our owner tag (yet).
    #[error("server {0} does not carry our owner tag")]
    NotOurs(String),
    /// The call was not made: the budget of calls, or a pause, did not let it in in time.
    #[error("{operation}: not asked within {waited:?}: too many calls, or the cloud throttles")]
    NotAdmitted {
        /// Which call.
        operation: &'static str,
        /// How long it waited.
        waited: Duration,
    },
    /// The call was not made: there are no credentials to make it with.
    #[error("no credentials: {0}")]
    NoCredentials(Box<Self>),
    /// A person has pinned the server meanwhile.
    #[error("server {0} has been protected meanwhile")]
    Protected(String),
}

impl From<EcsError> for cloud::Error {
    fn from(error: EcsError) -> Self {
        Self::new(error.class(), error.outcome_known(), error.to_string())
    }
}

/// A call that the cloud refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: refused with {code} (HTTP {status}): {message}{}", request(.request_id))]
pub struct Refusal {
    /// Which call.
    pub operation: &'static str,
    /// The HTTP status. It may be a 2xx.
    pub status: u16,
    /// The cloud's code, such as `Ecs.0219`; where it gave none, `HTTP.` and the status.
    pub code: String,
    /// The code of the first of `details`, which says more than a general one does.
    pub detail: Option<String>,
    /// The cloud's words, cut to a sensible length.
    pub message: String,
    /// The cloud's `X-Request-Id`, for its support.
    pub request_id: Option<String>,
    /// Whether the answer was an error in one of the cloud's forms, and not only a status.
    pub(crate) said_so: bool,
}

/// The code that a Nova error without one (`itemNotFound`) is given.
const NOT_FOUND: &str = "itemNotFound";

/// A job that the cloud does not know, or no longer.
const NO_SUCH_JOB: &str = "Common.0011";

/// What ECS says of a failed call to Nova, whose answer it then quotes.
const NO_SUCH_PART: &str = "Ecs.0307";

/// The same token with other parameters, and an expired one: the token was used before.
const TOKEN_USED: [&str; 2] = ["Ecs.0122", "Ecs.0124"];

/// The gateway and ECS do not know the key, the signature or the token.
const KEY_REFUSED: [&str; 4] = ["APIGW.0301", "APIGW.0303", "APIGW.0307", "Common.0013"];

/// The longest message that is kept, in characters.
const MAX_MESSAGE: usize = 400;

impl EcsError {
    /// Its class.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Setup(_) | Self::Invalid(_) => Class::Request,
            Self::Refused(refusal) => refusal.class(),
            Self::NoConnection { .. } => Class::Transient,
            Self::NotAdmitted { .. } => Class::Throttled,
            Self::NoCredentials(why) => match why.class() {
                Class::Permission => Class::Permission,
                _ => Class::Transient,
            },
            Self::Lost { .. } | Self::Garbled { .. } => Class::Unknown,
            Self::NotOurs(_) | Self::Protected(_) => Class::State,
        }
    }

    /// What may be done next.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.class().retry()
    }

    /// The metric label: that of the class.
    #[must_use]
    pub fn label(&self) -> &'static str {
        self.class().label()
    }

    /// Whether it is certain that the call had no effect. Where it is not, a creation may have
    /// bought servers: only the same call again, or the cloud's list, tells.
    #[must_use]
    pub fn outcome_known(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.outcome_known(),
            Self::Setup(_)
            | Self::Invalid(_)
            | Self::NoConnection { .. }
            | Self::NotOurs(_)
            | Self::Protected(_)
            | Self::NotAdmitted { .. }
            | Self::NoCredentials(_) => true,
            Self::Lost { .. } | Self::Garbled { .. } => false,
        }
    }

    /// Whether the key, the signature or the token was refused, and not only one call for want of a right.
    pub(super) fn is_of_the_key(&self) -> bool {
        match self {
            Self::Refused(refusal) => {
                let code = refusal.code.as_str();
                refusal.status == 401 || KEY_REFUSED.contains(&code)
            }
            Self::NoCredentials(why) => why.is_of_the_key(),
            _ => false,
        }
    }

    /// Whether the thing asked for is not there. The codes of VPC, EVS and IMS are not known one by one,
    /// so their 404 is believed; that of the gateway, which has not found the service, is not.
    pub(super) fn is_missing(&self) -> bool {
        match self {
            Self::Refused(refusal) if refusal.status == 404 => {
                !refusal.code.starts_with("APIGW.") && refusal.said_so
            }
            _ => self.class() == Class::Gone,
        }
    }

    /// The word for this outcome in `obs_scaler_ecs_requests_total{code=…}`: the cloud's code,
    /// or what the call failed with.
    #[must_use]
    pub(super) fn code(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.code.clone(),
            Self::Setup(_) | Self::Invalid(_) | Self::NotOurs(_) | Self::Protected(_) => {
                "invalid".to_owned()
            }
            Self::NoConnection { .. } => "no_connection".to_owned(),
            Self::Lost { .. } => "lost".to_owned(),
            Self::Garbled { .. } => "garbled".to_owned(),
            Self::NotAdmitted { .. } => "not_admitted".to_owned(),
            Self::NoCredentials(_) => "no_credentials".to_owned(),
        }
    }
}

impl Refusal {
    /// Reads an answer's body for an error; `None` where a 2xx holds none. The three forms are
    /// `{"error":{"code","message"}}` (ECS), `{"error_code","error_msg"}` (API Gateway) and
    /// `{"itemNotFound":{"code","message"}}` (Nova). A job's answer has an `error_code` of its
    /// own, without an `error_msg`, which is no error of the call.
    pub(super) fn read(
        operation: &'static str,
        status: u16,
        request_id: Option<String>,
        body: Option<&Value>,
    ) -> Option<Self> {
        let found = body.and_then(Value::as_object).and_then(find);
        let succeeded = (200..300).contains(&status);
        if succeeded && found.is_none() {
            return None;
        }
        let said_so = found.is_some();
        let found = found.unwrap_or_default();
        Some(Self {
            operation,
            status,
            code: found.code.unwrap_or_else(|| format!("HTTP.{status}")),
            detail: found.detail,
            message: found.message.chars().take(MAX_MESSAGE).collect(),
            request_id,
            said_so,
        })
    }

    /// Its class: by the code, which is surer than the status.
    #[must_use]
    pub fn class(&self) -> Class {
        if self.code == NO_SUCH_JOB && self.operation == super::jobs::OPERATION {
            return Class::Gone;
        }
        if self.code == NO_SUCH_PART && self.message.contains(NOT_FOUND) {
            return Class::Gone;
        }
        let detail = self.detail.as_deref().and_then(class_of_code);
        match (class_of_code(&self.code), detail) {
            (Some(Class::Request) | None, Some(detail)) => detail,
            (Some(class), _) => class,
            (None, None) => self.class_of_status(),
        }
    }

    /// A 404 by itself may come from the gateway, or from a wrong address: it is not [`Class::Gone`].
    const fn class_of_status(&self) -> Class {
        match self.status {
            429 => Class::Throttled,
            401 | 403 => Class::Permission,
            408 => Class::Unknown,
            400..500 => Class::Request,
            500.. => Class::Transient,
            _ => Class::Unknown,
        }
    }

    fn outcome_known(&self) -> bool {
        (400..500).contains(&self.status)
            && !matches!(self.class(), Class::Transient | Class::Unknown)
            && !TOKEN_USED.contains(&self.code.as_str())
    }
}

/// What an error body says.
#[derive(Default)]
struct Found {
    code: Option<String>,
    message: String,
    detail: Option<String>,
}

fn find(body: &Map<String, Value>) -> Option<Found> {
    let pairs = [
        ("error_code", "error_msg"),
        ("errorCode", "errorMsg"),
        ("code", "message"),
    ];
    pairs
        .iter()
        .find_map(|(code, message)| pair(body.get(*code)?, body.get(*message)?, body))
        .or_else(|| nested(body))
}

fn nested(body: &Map<String, Value>) -> Option<Found> {
    if let Some(error) = body.get("error").and_then(Value::as_object) {
        let null = Value::Null;
        let part = |key| error.get(key).unwrap_or(&null);
        return pair(part("code"), part("message"), error).or_else(|| Some(Found::default()));
    }
    body.iter().find_map(|(name, value)| {
        let inner = value.as_object()?;
        let mut found = pair(inner.get("code")?, inner.get("message")?, inner)?;
        if name == NOT_FOUND {
            found.code = Some(NOT_FOUND.to_owned());
        }
        Some(found)
    })
}

fn pair(code: &Value, message: &Value, holder: &Map<String, Value>) -> Option<Found> {
    if code.is_null() && message.is_null() {
        return None;
    }
    let detail = holder
        .get("details")
        .and_then(|all| all.get(0)?.get("code"));
    Some(Found {
        code: code_word(code),
        message: message.as_str().unwrap_or_default().to_owned(),
        detail: detail.and_then(code_word),
    })
}

/// A code as `Service.0123`. Anything else could be any text, and becomes a metric label.
fn code_word(code: &Value) -> Option<String> {
    let (service, number) = code.as_str()?.split_once('.')?;
    let digits = (1..=8).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let word = (1..=8).contains(&service.len()) && service.bytes().all(|b| b.is_ascii_alphabetic());
    (digits && word).then(|| format!("{service}.{number}"))
}

/// How a request id is appended to an error's words.
fn request(id: &Option<String>) -> impl fmt::Display {
    id.as_ref()
        .map(|id| format!(" (request {id})"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(status: u16, body: &Value) -> EcsError {
        let refusal = Refusal::read("create", status, None, Some(body)).unwrap();
        EcsError::Refused(Box::new(refusal))
    }

    #[test]
    fn each_of_the_three_error_forms_is_read() {
        let ecs = json!({"error":{"code":"Ecs.0219","message":"No valid host"}});
        assert_eq!(refused(400, &ecs).class(), Class::Capacity);
        let gateway = json!({"error_msg":"throttled","error_code":"APIGW.0308","request_id":"f"});
        assert_eq!(refused(429, &gateway).class(), Class::Throttled);
        let nova = json!({"itemNotFound":{"code":404,"message":"no such server"}});
        assert_eq!(refused(404, &nova).class(), Class::Gone);
    }

    #[test]
    fn a_detail_says_more_than_an_illegal_request() {
        let body = json!({"error":{"code":"Ecs.0005","message":"illegal",
            "details":[{"code":"Ecs.0319"}]}});
        assert_eq!(refused(400, &body).class(), Class::Capacity);
    }

    #[test]
    fn an_error_in_a_success_is_an_error_and_a_failed_job_is_not() {
        let busy = json!({"error":{"code":"Common.0024","message":"exceeds flow over limit"}});
        assert_eq!(refused(202, &busy).class(), Class::Throttled);
        assert!(!refused(202, &busy).outcome_known());
        let job = json!({"status":"FAIL","job_id":"ff","error_code":"Common.0021",
            "fail_reason":"Sub job fail!"});
        assert_eq!(Refusal::read("job", 200, None, Some(&job)), None);
        let list = json!({"count":1,"servers":[{"fault":{"code":500,"message":"broke"}}]});
        assert_eq!(Refusal::read("list", 200, None, Some(&list)), None);
    }

    #[test]
    fn a_404_that_names_no_server_is_not_a_server_that_is_gone() {
        let wrong_region = json!({"error_code":"APIGW.0101","error_msg":"API not found"});
        assert_eq!(refused(404, &wrong_region).class(), Class::Request);
        let page = Refusal::read("show", 404, None, None).unwrap();
        assert_eq!(page.class(), Class::Request);
    }

    #[test]
    fn only_an_answer_that_says_so_had_no_effect() {
        let code = |code: &str| json!({"error":{"code":code,"message":""}});
        assert!(refused(400, &code("Ecs.0319")).outcome_known());
        assert!(refused(429, &code("APIGW.0308")).outcome_known());
        assert!(!refused(500, &code("Common.0001")).outcome_known());
        assert!(!refused(400, &code("Ecs.1000")).outcome_known());
        assert!(!refused(400, &code("Ecs.0122")).outcome_known());
        assert!(!refused(504, &json!({})).outcome_known());
    }

    #[test]
    fn a_code_that_could_be_any_text_is_no_label() {
        let odd = json!({"error":{"code":"<b>x</b>.1","message":""}});
        assert_eq!(refused(400, &odd).code(), "HTTP.400");
    }
}
