//! obs-scaler: buys build workers when Open Build Service's queue needs them, and gives them back.
//!
//! The map, one line per room:

pub mod adoption; // servers that the farm has become ours, and are let go, as people say
pub mod cli; // one file per noun: serve, config, plan
pub mod clock; // the only place that asks the time
pub mod cloud; // what the rest needs of a cloud, in the field's words
pub mod config; // YAML to a Config that is valid by construction
pub mod configure; // what people want workers to be told, and what becomes of it
pub mod doctor; // what is wrong, and how to mend it
pub mod ecs; // a cloud: Huawei Cloud ECS; signed calls, jobs, classes of errors
pub mod exclusive; // exclusive mode as people ask for it
pub mod execute; // steps to calls, idempotent
pub mod gather; // pollers to one snapshot
pub mod hosts; // the workers' resource use, and where it is to be scraped
pub mod inspect; // a worker looked at from all sides
pub mod journal; // intents before deeds, durable
pub mod metrics; // what is shown to Prometheus
pub mod model; // nouns with their invariants
pub mod obs; // Open Build Service: one file per document
pub mod policy; // deciding: pure functions of values
pub mod present; // the present, for whoever asks
pub mod random; // the only place that asks for randomness
pub mod reconcile; // wake, look, plan, audit, carry out
pub mod roster; // every worker, and what is asked of them
pub mod ssh; // hands on the workers: pinned hosts, a closed set of commands
pub mod supervise; // tasks and shutdown
pub mod web; // routes, Alertmanager's webhook, JSON API
