use super::super::testing::{Answer, Asked, backend, hangs, serve, serve_asked};
use super::*;
use std::net::SocketAddr;
use std::sync::Mutex;

const WORKERS: &str = include_str!("../../tests/data/obs/workerstatus-building.xml");
const RESULT: &str = include_str!("../../tests/data/obs/result-building.xml");
const HISTORY: &str = include_str!("../../tests/data/obs/jobhistory-ghosts.xml");
const REFUSAL: &str = include_str!("../../tests/data/obs/unknown-project.xml");

fn client(at: SocketAddr) -> ObsClient {
    ObsClient::new(&backend("b", at), Duration::from_secs(10)).unwrap()
}

fn target() -> Target {
    Target {
        project: "openEuler:20.03:LTS".to_owned(),
        repository: "a b".to_owned(),
        arch: "x86_64".to_owned(),
    }
}

#[tokio::test]
async fn each_document_is_asked_for_by_its_route() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let at = serve(move |route| {
        let body = match &route {
            r if r.starts_with("/workerstatus") => WORKERS,
            r if r.contains("/_result") => RESULT,
            _ => HISTORY,
        };
        noted.lock().unwrap().push(route);
        async move { Answer::ok(body) }
    });
    let client = client(at.await);
    assert_eq!(client.workers().await.unwrap().instances.len(), 5);
    assert_eq!(client.results().await.unwrap().jobs.len(), 21);
    let history = client.job_history(&target(), 17).await.unwrap();
    assert_eq!(history.len(), 17);
    let asked = asked.lock().unwrap();
    assert_eq!(
        *asked,
        [
            "/workerstatus",
            "/build/openEuler:Mainline/_result?view=status&multibuild=1",
            "/build/openEuler:20.03:LTS/a%20b/x86_64/_jobhistory?limit=17",
        ]
    );
}

#[tokio::test]
async fn a_refusal_is_an_error_with_its_summary_whatever_the_http_status() {
    for status in [404, 200] {
        let at = serve(move |_| async move { Answer::with(status, REFUSAL) }).await;
        let error = client(at).results().await.unwrap_err();
        assert_eq!(error.label(), "refused");
        assert!(
            error
                .to_string()
                .contains("project 'No:Such' does not exist")
        );
    }
    let at = serve(|_| async { Answer::with(503, WORKERS) }).await;
    assert_eq!(client(at).workers().await.unwrap_err().label(), "refused");
    let at = serve(|_| async { Answer::with(302, WORKERS) }).await;
    assert_eq!(client(at).workers().await.unwrap_err().label(), "refused");
}

#[tokio::test]
async fn a_cut_off_answer_a_silent_server_and_no_server_are_told_apart() {
    let cut = WORKERS.rsplit_once('<').unwrap().0;
    let at = serve(move |_| async move { Answer::ok(cut) }).await;
    assert_eq!(client(at).workers().await.unwrap_err().label(), "document");

    let silent = backend("b", serve(hangs).await);
    let client = ObsClient::new(&silent, Duration::from_millis(50)).unwrap();
    assert_eq!(client.workers().await.unwrap_err().label(), "timeout");

    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = nobody.local_addr().unwrap();
    drop(nobody);
    let client = ObsClient::new(&backend("b", at), Duration::from_secs(10)).unwrap();
    assert_eq!(client.workers().await.unwrap_err().label(), "unreachable");
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let at = serve(|_| async { Answer::ok(WORKERS) }).await;
    let mut client = client(at);
    client.largest = WORKERS.len();
    assert!(client.workers().await.is_ok());
    client.largest -= 1;
    assert_eq!(client.workers().await.unwrap_err().label(), "too_large");
}

#[test]
fn a_backend_without_a_proper_url_is_refused() {
    let at = SocketAddr::from(([127, 0, 0, 1], 1));
    for bad in ["", "obs:5352", "ftp://obs", "/build", "http://me:key@obs"] {
        let source = bad.to_owned();
        let backend = Backend {
            access: Access::SourceServer { source },
            ..backend("b", at)
        };
        let error = ObsClient::new(&backend, Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.label(), "setup", "{bad}");
        assert!(!error.to_string().contains("key"));
    }
}

fn frontend(at: SocketAddr) -> Backend {
    Backend {
        access: Access::Frontend {
            url: format!("http://{at}"),
            user: "scaler".to_owned(),
            password: SecretString::from("swordfish"),
        },
        ..backend("b", at)
    }
}

fn asking(backend: &Backend) -> ObsClient {
    ObsClient::new(backend, Duration::from_secs(10)).unwrap()
}

#[tokio::test]
async fn workers_are_listed_by_whichever_server_there_is() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let at = serve_asked(move |asked: Asked| {
        noted.lock().unwrap().push(asked);
        async { Answer::ok(WORKERS) }
    });
    let at = at.await;
    let alone = Backend {
        access: Access::SourceServer {
            source: format!("http://{at}"),
        },
        ..backend("b", at)
    };
    let ages = [backend("b", at), alone, frontend(at)].map(|backend| asking(&backend));
    for client in &ages {
        assert_eq!(client.workers().await.unwrap().instances.len(), 5);
    }
    let cached = ages.map(|client| client.workers_cached_for().as_secs());
    assert_eq!(cached, [0, 0, 180]);
    let basic = Some("Basic c2NhbGVyOnN3b3JkZmlzaA==".to_owned());
    let expected = [
        ("/workerstatus", None),
        ("/build/_workerstatus", None),
        ("/build/_workerstatus", basic),
    ];
    let expected = expected.map(|(route, authorization)| Asked {
        route: route.to_owned(),
        authorization,
    });
    assert_eq!(*asked.lock().unwrap(), expected);
}

#[tokio::test]
async fn who_may_not_read_is_told_so_and_the_password_is_in_no_word_of_it() {
    for (status, words) in [(401, "the user or the password"), (403, "the user may not")] {
        let said = format!("<status code='{status}'><summary>no</summary></status>");
        for http in [status, 200] {
            let said = said.clone();
            let at = serve(move |_| {
                let said = said.clone();
                async move { Answer::with(http, said) }
            });
            let client = asking(&frontend(at.await));
            let error = client.results().await.unwrap_err();
            assert_eq!(error.label(), "not_allowed");
            assert!(error.to_string().contains(words), "{error}");
            let all = format!("{error} {error:?} {client:?}");
            assert!(
                !all.contains("swordfish") && !all.contains("c2NhbGVy"),
                "{all}"
            );
        }
    }
}

/// A backend that lists these projects, with a package each, of which those that are `gone` are not there.
async fn listing(lists: &'static [&'static str], gone: &'static [&'static str]) -> ObsClient {
    let listed = Mutex::new(lists.iter().copied());
    let at = serve(move |route| {
        let answer = match route.strip_prefix("/build/") {
            None => Answer::ok(listed.lock().unwrap().next().unwrap()),
            Some(of) => {
                let project = of.split('/').next().unwrap().to_owned();
                let result = format!("<result project='{project}' repository='r' arch='a'>");
                let result = format!("{result}<status package='p' code='scheduled'/></result>");
                match gone.contains(&project.as_str()) {
                    true => Answer::with(404, REFUSAL),
                    false => Answer::ok(format!("<resultlist>{result}</resultlist>")),
                }
            }
        };
        async { answer }
    });
    let mut client = asking(&backend("b", at.await));
    let pattern = regex::Regex::new(r"\A(?:home:.*)\z").unwrap();
    client.discovery = Arc::new(Discovery::of(vec![pattern]));
    client
}

const TWO: &str =
    "<directory><entry name='home:a'/><entry name='home:b'/><entry name='x'/></directory>";
const ONE: &str = "<directory><entry name='home:a'/></directory>";

async fn projects(client: &ObsClient) -> Result<Vec<String>, ObsError> {
    let jobs = client.results().await?.jobs;
    Ok(jobs.into_iter().map(|job| job.key.project).collect())
}

#[tokio::test]
async fn projects_that_match_come_and_go_with_the_list() {
    let client = listing(&[TWO, ONE], &[]).await;
    let both = ["home:a", "home:b", "openEuler:Mainline"];
    assert_eq!(projects(&client).await.unwrap(), both);
    let one = ["home:a", "openEuler:Mainline"];
    assert_eq!(projects(&client).await.unwrap(), one);
}

#[tokio::test]
async fn a_found_project_that_goes_meanwhile_is_left_out_and_one_that_stays_listed_is_a_failure() {
    let client = listing(&[TWO, ONE], &["home:b"]).await;
    let left = ["home:a", "openEuler:Mainline"];
    assert_eq!(projects(&client).await.unwrap(), left);
    let client = listing(&[TWO, TWO], &["home:b"]).await;
    assert_eq!(projects(&client).await.unwrap_err().label(), "refused");
    let client = listing(&[TWO, ONE], &["openEuler:Mainline"]).await;
    assert_eq!(projects(&client).await.unwrap_err().label(), "refused");
}
