//! Connections: how they end.

pub(super) use super::super::server::Patience;
use super::super::server::serve_within;
use super::*;
pub(super) use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
pub(super) use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A connection to a server, what stops the server, and what waits for its end.
pub(super) async fn serving(head: Duration) -> (TcpStream, CancellationToken, JoinHandle<()>) {
    let patience = Patience {
        head,
        ..Patience::default()
    };
    serving_app(Arc::new(app(Snapshot::default())), patience).await
}

pub(super) async fn serving_app(
    app: Arc<App>,
    patience: Patience,
) -> (TcpStream, CancellationToken, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let cancel = CancellationToken::new();
    let server = tokio::spawn(serve_within(patience, listener, app, cancel.clone()));
    (client, cancel, server)
}

#[tokio::test]
async fn a_request_in_hand_is_answered_before_the_server_ends() {
    let (mut client, cancel, server) = serving(Duration::from_secs(60)).await;
    let head = format!(
        "POST /api/v1/alerts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    client.read_exact(&mut go_on).await.unwrap();
    cancel.cancel();
    client.write_all(b"{}").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_request_is_let_go() {
    let (mut client, _cancel, _server) = serving(Duration::from_millis(50)).await;
    client
        .write_all(b"GET /metrics HTTP/1.1\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let read = client.read_to_end(&mut answer);
    let ended = tokio::time::timeout(Duration::from_secs(30), read).await;
    assert!(ended.is_ok(), "the connection is still open");
}
