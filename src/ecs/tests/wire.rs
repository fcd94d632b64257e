//! A cloud of bytes.

use super::super::EcsClient;
use super::{client, config};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came over the wire.
#[derive(Debug, Clone, Default)]
pub(in crate::ecs) struct Seen {
    pub(in crate::ecs) method: String,
    pub(in crate::ecs) target: String,
    pub(in crate::ecs) headers: BTreeMap<String, String>,
    pub(in crate::ecs) body: String,
}

/// A cloud that answers each connection's one request with the next of its bytes, and the last of
/// them for ever.
pub(in crate::ecs) struct Cloud {
    pub(in crate::ecs) endpoint: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Cloud {
    pub(in crate::ecs) async fn start(script: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            for turn in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = script.get(turn).or(script.last()).unwrap();
                serve(stream, answer, &log).await;
            }
        });
        Self { endpoint, seen }
    }

    pub(in crate::ecs) fn client(&self) -> EcsClient {
        client(&config(&self.endpoint))
    }

    pub(in crate::ecs) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, answer: &str, log: &Mutex<Vec<Seen>>) {
    let mut stream = BufReader::new(stream);
    let mut seen = Seen::default();
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    let mut words = line.split(' ').map(ToOwned::to_owned);
    seen.method = words.next().unwrap();
    seen.target = words.next().unwrap();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        seen.headers
            .insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = seen.headers.get("content-length");
    let mut body = vec![0; length.map_or(0, |n| n.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    seen.body = String::from_utf8(body).unwrap();
    log.lock().unwrap().push(seen);
    stream.write_all(answer.as_bytes()).await.unwrap();
    if answer.is_empty() {
        // The cloud that never answers: held until the client lets go.
        let _ = stream.read_u8().await;
    }
}

pub(in crate::ecs) fn answer(status: u16, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Some\r\nX-Request-Id: req-1\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}
