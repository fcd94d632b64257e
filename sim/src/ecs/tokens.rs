//! `X-Client-Token`: the same token with the same parameters buys once (DOC24 请求幂等性说明).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::encoding::is_uuid;
use super::error::ApiError;

/// How long a token is good.
const LIFE: SignedDuration = SignedDuration::from_hours(8);

/// What a create call was answered, refusals included: "after a 4xx retrying never succeeds".
pub(super) type Answer = Result<Value, ApiError>;

/// The tokens seen, with the parameters and the answer of each.
#[derive(Default)]
pub(super) struct Tokens(BTreeMap<String, Seen>);

struct Seen {
    at: Timestamp,
    parameters: (String, Value),
    answer: Answer,
}

impl Tokens {
    /// None if the token is new, otherwise the answer: the first one again, or a refusal.
    pub(super) fn replay(
        &self,
        token: &str,
        parameters: &(String, Value),
        now: Timestamp,
    ) -> Option<Answer> {
        let refuse = |code, text: &str| Some(Err(ApiError::service(400, code, text)));
        if !is_uuid(token) {
            return refuse("Ecs.0123", "X-Client-Token is not a lower-case UUID");
        }
        let seen = self.0.get(token)?;
        if now.duration_since(seen.at) > LIFE {
            return refuse("Ecs.0124", "X-Client-Token has expired");
        }
        if seen.parameters != *parameters {
            return refuse("Ecs.0122", "X-Client-Token was used with other parameters");
        }
        Some(seen.answer.clone())
    }

    pub(super) fn keep(
        &mut self,
        token: &str,
        parameters: (String, Value),
        answer: Answer,
        at: Timestamp,
    ) {
        self.0.insert(
            token.to_owned(),
            Seen {
                at,
                parameters,
                answer,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_replays_its_first_answer_for_eight_hours() {
        let token = "46436810-d999-454c-bd85-e515fd258600";
        let same = || ("/v1".to_owned(), json!({"count": 1}));
        let other = ("/v1".to_owned(), json!({"count": 2}));
        let start = Timestamp::UNIX_EPOCH;
        let mut tokens = Tokens::default();
        assert!(tokens.replay(token, &same(), start).is_none());
        tokens.keep(token, same(), Ok(json!("first")), start);
        assert_eq!(
            tokens.replay(token, &same(), start + LIFE),
            Some(Ok(json!("first")))
        );
        let code = |answer: Option<Answer>| answer.unwrap().unwrap_err().code().to_owned();
        assert_eq!(code(tokens.replay(token, &other, start)), "Ecs.0122");
        assert_eq!(code(tokens.replay("no-uuid", &same(), start)), "Ecs.0123");
        let late = start + LIFE + SignedDuration::from_secs(1);
        assert_eq!(code(tokens.replay(token, &same(), late)), "Ecs.0124");
    }
}
