use super::*;
use crate::model::{BackendView, InstanceId, PackageKey, Workers};
use crate::obs::testing::backend;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// An address that refuses connections until it [`stands`].
struct Address(SocketAddr);

impl Address {
    fn of_host(host: u8) -> Self {
        let ip = Ipv4Addr::new(127, 0, 77, host);
        Self(TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap())
    }

    /// Answers one request.
    fn stands(&self) -> std::thread::JoinHandle<()> {
        let listener = TcpListener::bind(self.0).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert_ne!(stream.read(&mut [0; 1024]).unwrap(), 0);
            let answer =
                b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\n<worker/>";
            stream.write_all(answer).unwrap();
        })
    }

    fn build(&self, on: &str) -> Build {
        Build {
            job: PackageKey {
                project: "P".to_owned(),
                repository: "r".to_owned(),
                arch: "x86_64".to_owned(),
                package: "p".to_owned(),
            },
            instance: InstanceId::parse(on).unwrap(),
            started: None,
            uri: Some(format!("http://{}", self.0)),
        }
    }
}

fn source() -> GhostsSource {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let client = ObsClient::new(&backend("b", nobody), Duration::from_secs(10)).unwrap();
    let window = Duration::from_hours(6);
    GhostsSource::new(client, watch::Sender::new(Snapshot::default()), window)
}

/// The instances suspected after a poll at this second, in which OBS lists these builds, and the
/// addresses that are given stand.
async fn poll(
    source: &mut GhostsSource,
    second: i64,
    builds: &[Build],
    standing: &[&Address],
) -> Vec<String> {
    let workers = Workers {
        builds: builds.to_vec(),
        ..Workers::default()
    };
    let view = BackendView {
        workers: Observed::known(at(second), workers),
        ..BackendView::default()
    };
    source.snapshot.send_modify(|s| {
        s.backends = BTreeMap::from([(
            backend("b", SocketAddr::from(([0; 4], 0))).name,
            view.into(),
        )]);
    });
    let served: Vec<_> = standing.iter().map(|address| address.stands()).collect();
    let known = source.read(at(second)).await.unwrap();
    for served in served {
        served.join().unwrap();
    }
    let seen = known.seen.keys();
    seen.map(|build| build.instance.to_string()).collect()
}

#[tokio::test]
async fn an_instance_that_refuses_while_others_answer_builds_nothing() {
    let (one, two) = (Address::of_host(1), Address::of_host(2));
    let builds = [one.build("w1:1"), two.build("w2:1")];
    let mut source = source();
    assert!(
        poll(&mut source, 0, &builds, &[&one, &two])
            .await
            .is_empty()
    );
    let before = poll(&mut source, 60, &builds, &[&two]).await;
    assert!(
        before.is_empty(),
        "two answered in the same poll, perhaps before"
    );
    assert!(poll(&mut source, 90, &builds, &[]).await.is_empty());
    assert_eq!(poll(&mut source, 120, &builds, &[&two]).await, ["w1:1"]);
    assert!(poll(&mut source, 150, &builds, &[&one]).await.is_empty());
}

#[tokio::test]
async fn a_build_that_vanished_is_held_against_its_host_once() {
    let (one, two) = (Address::of_host(8), Address::of_host(9));
    let builds = [one.build("w1:1"), two.build("w2:1")];
    let mut source = source();
    let mut vanished = Vec::new();
    for second in [0, 60, 120, 180, 240, 300] {
        let standing: &[&Address] = if second == 0 { &[&one, &two] } else { &[&two] };
        poll(&mut source, second, &builds, standing).await;
        // each poll of these tests begins with an empty record
        let snapshot = source.snapshot.borrow();
        let records = snapshot.backends.values().flat_map(|b| b.record.hosts());
        let ends = records.flat_map(|(host, ends)| ends.iter().map(move |end| (host, end)));
        vanished.extend(ends.map(|(host, end)| (host.to_string(), end.came)));
    }
    assert_eq!(vanished, [("w1".to_owned(), Came::Vanished)]);
}

#[tokio::test]
async fn where_all_refuse_a_firewall_may_and_nobody_is_suspected() {
    let (one, two) = (Address::of_host(3), Address::of_host(4));
    let builds = [one.build("w1:1"), two.build("w2:1")];
    let mut source = source();
    assert!(
        poll(&mut source, 0, &builds, &[&one, &two])
            .await
            .is_empty()
    );
    for second in [60, 90, 120, 600] {
        assert!(poll(&mut source, second, &builds, &[]).await.is_empty());
    }
}

#[tokio::test]
async fn a_host_that_never_answered_us_may_be_behind_a_firewall() {
    let (one, two) = (Address::of_host(5), Address::of_host(6));
    let builds = [one.build("w1:1"), two.build("w2:1")];
    let mut source = source();
    for second in [0, 60, 120, 600] {
        assert!(poll(&mut source, second, &builds, &[&two]).await.is_empty());
    }
}

#[tokio::test]
async fn where_nobody_builds_on_another_host_there_is_none_to_ask() {
    let one = Address::of_host(7);
    let builds = [one.build("w1:1")];
    let mut source = source();
    assert!(poll(&mut source, 0, &builds, &[&one]).await.is_empty());
    assert_eq!(poll(&mut source, 60, &builds, &[]).await, ["w1:1"]);
}
