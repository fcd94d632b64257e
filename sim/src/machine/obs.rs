//! The control routes of the simulated OBS, called from a machine.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpStream;

/// A host, as `POST /_sim/hosts` wants it.
#[derive(Debug, Serialize)]
pub(super) struct Host<'a> {
    pub(super) name: &'a str,
    pub(super) ip: &'a str,
    pub(super) arch: &'a str,
    pub(super) instances: u32,
    pub(super) vcpus: u32,
}

/// What an instance does: `GET /_sim/hosts/NAME`.
#[derive(Debug, Deserialize)]
pub(super) struct Instance {
    pub(super) number: u32,
    pub(super) state: String,
}

#[derive(Deserialize)]
struct Instances {
    instances: Vec<Instance>,
}

/// One simulated OBS.
#[derive(Debug, Clone)]
struct Obs(SocketAddr);

/// The simulated OBS backends that a machine belongs to. It is the same worker at each.
#[derive(Debug, Clone)]
pub(super) struct Backends(Vec<Obs>);

impl Backends {
    pub(super) fn at(addresses: &[SocketAddr]) -> Self {
        Self(addresses.iter().copied().map(Obs).collect())
    }

    /// Those that these repository servers are of, `HOST:PORT` each; where there is one alone, that one.
    pub(super) fn named(&self, servers: &str) -> Self {
        let servers: Vec<&str> = servers.split_whitespace().collect();
        let alone = self.0.len() == 1;
        let all = self.0.iter();
        let named = all.filter(|obs| alone || servers.contains(&obs.0.to_string().as_str()));
        Self(named.cloned().collect())
    }

    pub(super) async fn attach(&self, host: &Host<'_>) -> Result<(), String> {
        let body = json!(host).to_string();
        for obs in &self.0 {
            let called = obs.call(Method::POST, "/_sim/hosts", body.clone()).await;
            let (status, text) = called?;
            judge(status == 200, status, &text)?;
        }
        Ok(())
    }

    /// Cuts a host off; one that OBS never heard of is gone already.
    pub(super) async fn detach(&self, name: &str) -> Result<(), String> {
        let path = format!("/_sim/hosts/{name}");
        for obs in &self.0 {
            let (status, text) = obs.call(Method::DELETE, &path, String::new()).await?;
            judge(status == 200 || status == 404, status, &text)?;
        }
        Ok(())
    }

    /// Lets the host finish what it builds and take nothing more.
    pub(super) async fn drain(&self, name: &str) -> Result<(), String> {
        self.say(&format!("/_sim/hosts/{name}/drain")).await
    }

    /// Takes that back.
    pub(super) async fn take_back(&self, name: &str) -> Result<(), String> {
        self.say(&format!("/_sim/hosts/{name}/take-back")).await
    }

    async fn say(&self, path: &str) -> Result<(), String> {
        for obs in &self.0 {
            let (status, text) = obs.call(Method::POST, path, String::new()).await?;
            judge(status == 200, status, &text)?;
        }
        Ok(())
    }

    /// What each instance does: it builds where one of the backends says so.
    pub(super) async fn instances(&self, name: &str) -> Result<Vec<Instance>, String> {
        let path = format!("/_sim/hosts/{name}");
        let mut all: Vec<Instance> = Vec::new();
        for obs in &self.0 {
            let (status, text) = obs.call(Method::GET, &path, String::new()).await?;
            judge(status == 200, status, &text)?;
            let seen: Instances = serde_json::from_str(&text).map_err(|e| e.to_string())?;
            for instance in seen.instances {
                match all.iter_mut().find(|known| known.number == instance.number) {
                    Some(known) if instance.state == "building" => *known = instance,
                    Some(_) => {}
                    None => all.push(instance),
                }
            }
        }
        Ok(all)
    }
}

impl Obs {
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<(u16, String), String> {
        let failed = |why: &dyn std::fmt::Display| format!("obs-sim obs at {}: {why}", self.0);
        let stream = TcpStream::connect(self.0).await.map_err(|e| failed(&e))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(|e| failed(&e))?;
        // it ends when the sender is dropped, and what it ends with says nothing about the answer
        let driver = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.0.to_string())
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| failed(&e))?;
        let answer = sender.send_request(request).await.map_err(|e| failed(&e))?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(|e| failed(&e))?;
        driver.abort();
        Ok((
            status,
            String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        ))
    }
}

fn judge(well: bool, status: u16, text: &str) -> Result<(), String> {
    if well {
        Ok(())
    } else {
        Err(format!("obs-sim obs answered {status}: {}", text.trim()))
    }
}
