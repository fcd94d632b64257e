//! The faults that concern answers: the effect has happened, and the caller may not hear of it.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::Response;
use hyper::body::Bytes;

use super::error::ApiError;
use super::faults::{Faults, How};
use super::http::NoAnswer;
use super::reply::{Reply, raw};
use super::route::{Operation, Route};
use super::shared::Shared;

/// Holds a call as long as its kind is to hang, then drops it: it never gets an answer.
pub(super) async fn hang_while(shared: &Shared, operation: Operation) -> Result<(), NoAnswer> {
    let mut changed = shared.faults_changed.subscribe();
    let mut hung = false;
    while shared.faults().hang.contains(&operation) {
        hung = true;
        changed.changed().await.map_err(|_| NoAnswer)?;
    }
    if hung { Err(NoAnswer) } else { Ok(()) }
}

/// The answer as the caller gets it, if he does.
pub(super) async fn answer(
    shared: &Shared,
    route: &Route,
    answer: Result<Reply, ApiError>,
    request_id: &str,
) -> Result<Response<Full<Bytes>>, NoAnswer> {
    let operation = route.operation();
    let (faults, how) =
        shared.with_world(|world, _| (world.faults.clone(), world.faults.take_spoil(operation)));
    wait(faults.delay_seconds.get(&operation).copied()).await;
    let answer = match operation {
        Operation::Create if answer.is_ok() => of_create(answer, &faults).await?,
        _ => answer,
    };
    let response = Reply::render(answer, request_id);
    if let (Route::List, Some(at)) = (route, faults.list_truncate_bytes) {
        return Ok(cut(response, |_| at).await);
    }
    match how {
        Some(how) => spoilt(response, how, request_id).await,
        None => Ok(response),
    }
}

async fn wait(seconds: Option<f64>) {
    let wait = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    if let Some(wait) = wait {
        tokio::time::sleep(wait).await;
    }
}

async fn of_create(
    answer: Result<Reply, ApiError>,
    faults: &Faults,
) -> Result<Result<Reply, ApiError>, NoAnswer> {
    wait(Some(faults.create_answer_delay_seconds)).await;
    if faults.drop_create_answer {
        return Err(NoAnswer);
    }
    Ok(if faults.create_5xx_after_effect {
        Err(system_error())
    } else {
        answer
    })
}

fn system_error() -> ApiError {
    ApiError::service(500, "Common.0001", "System error. Please try again later.")
}

async fn spoilt(
    response: Response<Full<Bytes>>,
    how: How,
    request_id: &str,
) -> Result<Response<Full<Bytes>>, NoAnswer> {
    let refused = |error| Reply::render(Err(error), request_id);
    Ok(match how {
        How::Drop => return Err(NoAnswer),
        How::ServerError => refused(system_error()),
        How::Busy => refused(ApiError::service(
            202,
            "Common.0024",
            "exceeds flow over limit",
        )),
        How::Garbage => raw(200, "application/json", "\u{0}]{ok".to_owned()),
        How::Empty => raw(200, "application/json", String::new()),
        How::Html => raw(
            502,
            "text/html",
            "<html><head><title>502 Bad Gateway</title></head><body></body></html>".to_owned(),
        ),
        How::Truncated => cut(response, |length| length / 2).await,
    })
}

/// The body ends early, and its length is given as if it ended there.
async fn cut(
    response: Response<Full<Bytes>>,
    at: impl Fn(usize) -> usize,
) -> Response<Full<Bytes>> {
    let (parts, body) = response.into_parts();
    let whole = body
        .collect()
        .await
        .map_or_else(|never: Infallible| match never {}, |b| b.to_bytes());
    let part = whole.slice(..at(whole.len()).min(whole.len()));
    Response::from_parts(parts, Full::new(part))
}
