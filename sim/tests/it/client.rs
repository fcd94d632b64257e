//! A small signing client, written from the signing guide and not from the simulator's code.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use obs_sim::ecs::{Options, Running, Simulator};
use ring::{digest, hmac};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const PROJECT: &str = "0605767d5a00d5762fb7c00a3d5f1b9c";
pub(crate) const TOKEN: &str = "46436810-d999-454c-bd85-e515fd258600";
pub(crate) const VPC: &str = "0dae26c9-9a70-4392-93f3-87d53115d171";

/// A cloud in which a create takes about half a second, and a client of it.
pub(crate) async fn cloud() -> (Running, Client) {
    cloud_with(|_| {}).await
}

/// A slower cloud, for what is to be seen in a server's first moments.
pub(crate) async fn slow_cloud() -> (Running, Client) {
    cloud_with(|options| options.speed = 12.0).await
}

pub(crate) async fn cloud_with(change: impl FnOnce(&mut Options)) -> (Running, Client) {
    let mut options = Options::new(PROJECT, "AK", "SK");
    options.speed = 100.0;
    change(&mut options);
    let running = Simulator::start(options).await.unwrap();
    let client = Client {
        addr: running.addr,
        ak: "AK",
        sk: "SK",
        skew_seconds: 0,
    };
    (running, client)
}

#[derive(Clone, Copy)]
pub(crate) struct Client {
    pub(crate) addr: SocketAddr,
    pub(crate) ak: &'static str,
    pub(crate) sk: &'static str,
    pub(crate) skew_seconds: i64,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// Status and ECS error code.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (
            self.status,
            self.json()["error"]["code"]
                .as_str()
                .unwrap_or("none")
                .to_owned(),
        )
    }
}

impl Client {
    pub(crate) async fn get(&self, rest: &str) -> Reply {
        self.send("GET", &format!("/v1/{PROJECT}/{rest}"), &[], "")
            .await
            .unwrap()
    }

    pub(crate) async fn post(&self, rest: &str, body: &Value) -> Reply {
        let path = format!("/v1/{PROJECT}/{rest}");
        self.send("POST", &path, &[], &body.to_string())
            .await
            .unwrap()
    }

    pub(crate) async fn create(&self, body: &Value, token: Option<&str>) -> Option<Reply> {
        let path = format!("/v1/{PROJECT}/cloudservers");
        let headers: Vec<(&str, &str)> = token.iter().map(|t| ("x-client-token", *t)).collect();
        self.send("POST", &path, &headers, &body.to_string()).await
    }

    /// Buys, and waits until all are ACTIVE.
    pub(crate) async fn buy(&self, body: &Value) -> Vec<String> {
        let answer = self.create(body, None).await.unwrap().json();
        self.job_end(answer["job_id"].as_str().unwrap()).await;
        let ids = answer["serverIds"].as_array().unwrap().iter();
        ids.map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn delete(&self, id: &str) -> Value {
        let job = self
            .post("cloudservers/delete", &json!({"servers": [{"id": id}]}))
            .await
            .json();
        self.job_end(job["job_id"].as_str().unwrap()).await
    }

    /// The job once it has ended.
    pub(crate) async fn job_end(&self, id: &str) -> Value {
        let start = Instant::now();
        loop {
            let job = self.get(&format!("jobs/{id}")).await.json();
            if job["end_time"] != "" {
                return job;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{job}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a look at the server is answered 404.
    pub(crate) async fn gone(&self, id: &str) {
        let start = Instant::now();
        while self.get(&format!("cloudservers/{id}")).await.status != 404 {
            assert!(start.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// An unsigned call of the control route.
    pub(crate) async fn control(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.raw(method, path, &[], &body.to_string())
            .await
            .unwrap()
    }

    /// Signs and sends; None if the connection is closed without an answer. The target has to be
    /// in canonical form already.
    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        more: &[(&str, &str)],
        body: &str,
    ) -> Option<Reply> {
        #[allow(
            clippy::disallowed_methods,
            reason = "the gateway compares with the wall clock"
        )]
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(self.skew_seconds);
        let date = at.strftime("%Y%m%dT%H%M%SZ").to_string();
        let authorization = self.authorization(method, target, &date, body);
        let mut headers = vec![
            ("x-sdk-date", date.as_str()),
            ("authorization", &authorization),
        ];
        headers.extend(more);
        self.raw(method, target, &headers, body).await
    }

    fn authorization(&self, method: &str, target: &str, date: &str, body: &str) -> String {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut pairs: Vec<&str> = query.split('&').filter(|p| !p.is_empty()).collect();
        pairs.sort_unstable();
        let canonical = format!(
            "{method}\n{path}/\n{}\nx-sdk-date:{date}\n\nx-sdk-date\n{}",
            pairs.join("&"),
            sha256(body)
        );
        let text = format!("SDK-HMAC-SHA256\n{date}\n{}", sha256(&canonical));
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.sk.as_bytes());
        let signature = hex(hmac::sign(&key, text.as_bytes()).as_ref());
        format!(
            "SDK-HMAC-SHA256 Access={}, SignedHeaders=x-sdk-date, Signature={signature}",
            self.ak
        )
    }

    pub(crate) async fn raw(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<Reply> {
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n{lines}\r\n{body}",
            self.addr,
            body.len()
        );
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        let answer = String::from_utf8(answer).unwrap();
        let (head, text) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Reply {
            status,
            head: head.to_lowercase(),
            text: text.to_owned(),
        })
    }
}

/// A create body for `count` servers, with changes.
pub(crate) fn order(count: u32, changes: Value) -> Value {
    let mut server = json!({
        "name": "bw", "imageRef": "1189efbf-d48b-46ad-a823-94b942e2a000",
        "flavorRef": "ki1.8xlarge.4", "vpcid": VPC, "count": count,
        "nics": [{"subnet_id": "157ee789-03ea-45b1-a698-76c92660dd83"}],
        "root_volume": {"volumetype": "SSD", "size": 40}, "key_name": "build-key",
        "server_tags": [{"key": "pool", "value": "build"}, {"key": "reserve", "value": ""}],
    });
    server
        .as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    json!({"server": server})
}

fn sha256(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
