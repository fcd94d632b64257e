//! The cloud: Huawei Cloud ECS over HTTP.

pub mod sign;
