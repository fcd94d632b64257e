use std::time::{Duration, Instant};

use obs_sim::obs::{NewHost, Shows};

use super::obs::{TARGET, get, jobs, send, small_farm, world};

/// Asks until the answer holds; fails after 20 s.
async fn until<T>(what: &str, mut holds: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = holds().await {
            return seen;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn every_job_is_built_once_and_the_queue_runs_empty() {
    let farm = small_farm().await;
    farm.add_jobs(&jobs(7, 10.0));
    until("all are built", async || {
        (world(farm.addr).await["packages"]["succeeded"] == 7).then_some(())
    })
    .await;
    let history = get(farm.addr, &format!("{TARGET}/_jobhistory")).await.body;
    assert_eq!(history.matches("<jobhist ").count(), 7, "{history}");
    let last = get(
        farm.addr,
        &format!("{TARGET}/_jobhistory?limit=2&code=succeeded"),
    )
    .await
    .body;
    let tail: Vec<&str> = history.lines().rev().skip(1).take(2).collect();
    assert!(tail.iter().all(|line| last.contains(line)), "{last}");
    assert_eq!(last.matches("<jobhist ").count(), 2);
}

#[tokio::test]
async fn a_killed_build_is_a_ghost_until_restartbuild_frees_it() {
    let farm = small_farm().await;
    farm.add_jobs(&jobs(1, 100_000.0));
    farm.set_daemon("warden", false);
    assert!(farm.kill_a_builder(Shows::Down));
    let text = get(farm.addr, "/workerstatus").await.body;
    assert!(
        text.contains("<building uri=\"http://127.0.0.1:40001\" workerid=\"build-01:1\""),
        "{text}"
    );
    assert!(text.contains("<down workerid=\"build-01:1\""), "{text}");
    assert_eq!(world(farm.addr).await["ghosts"], 1);
    let path = "/build/openEuler:Mainline?cmd=restartbuild&repository=standard_x86_64&arch=x86_64&package=job-1";
    let freed = send(farm.addr, "POST", path, "").await.unwrap();
    assert_eq!(freed.body, "<status code=\"ok\" />\n");
    let text = get(farm.addr, "/workerstatus").await.body;
    assert!(
        text.contains("workerid=\"build-01:2\" hostarch=\"x86_64\" project="),
        "{text}"
    );
    assert_eq!(world(farm.addr).await["ghosts"], 0);
}

#[tokio::test]
async fn a_cordoned_host_finishes_its_build_and_takes_no_other() {
    let farm = small_farm().await;
    farm.add_jobs(&jobs(1, 50.0));
    let cordon = async || {
        let answer = send(farm.addr, "POST", "/_sim/hosts/build-01/cordon", "").await;
        answer.unwrap().body
    };
    let first = cordon().await;
    assert!(
        first.contains("building+cordoned") && first.contains("\"cordoned\""),
        "{first}"
    );
    farm.add_jobs(&jobs(3, 50.0));
    until("its build ends", async || {
        (!cordon().await.contains("building")).then_some(())
    })
    .await;
    let seen = world(farm.addr).await;
    assert_eq!(
        seen["packages"],
        serde_json::json!({"scheduled": 2, "succeeded": 1})
    );
    assert!(farm.detach("build-01", true));
    let text = until("it has left", async || {
        let text = get(farm.addr, "/workerstatus").await.body;
        (text.matches("<down ").count() == 2).then_some(text)
    })
    .await;
    assert!(
        !text.contains("<idle ") && !text.contains("<building "),
        "{text}"
    );
}

#[tokio::test]
async fn a_job_that_no_known_worker_may_take_is_failed_by_the_dispatcher() {
    let farm = small_farm().await;
    let mut large = jobs(1, 10.0);
    large.processors = Some(128);
    farm.add_jobs(&large);
    let history = get(farm.addr, &format!("{TARGET}/_jobhistory")).await.body;
    assert!(
        history.contains("uri=\"\" workerid=\"dispatcher\" hostarch=\"\""),
        "{history}"
    );
    farm.attach(&NewHost {
        processors: 128,
        ..NewHost::new("build-02", "x86_64", 1)
    });
    farm.add_jobs(&large);
    let text = get(farm.addr, "/workerstatus").await.body;
    assert!(
        text.contains("workerid=\"build-02:1\" hostarch=\"x86_64\" project="),
        "{text}"
    );
    let path = "/source/openEuler:Mainline/job-1/_constraints";
    assert!(
        get(farm.addr, path)
            .await
            .body
            .contains("<processors>128</processors>")
    );
}

#[tokio::test]
async fn without_a_dispatcher_nothing_is_begun_and_without_a_scheduler_nothing_waits() {
    let farm = small_farm().await;
    farm.set_daemon("dispatcher", false);
    farm.add_jobs(&jobs(2, 1000.0));
    assert_eq!(world(farm.addr).await["packages"]["scheduled"], 2);
    let text = get(farm.addr, "/workerstatus").await.body;
    assert!(
        text.contains("<daemon type=\"dispatcher\" state=\"dead\" />"),
        "{text}"
    );
    farm.set_daemon("scheduler/x86_64", false);
    let mut more = jobs(1, 1000.0);
    more.prefix = "more".to_owned();
    farm.add_jobs(&more);
    farm.set_daemon("dispatcher", true);
    let seen = world(farm.addr).await;
    assert_eq!(
        seen["packages"],
        serde_json::json!({"blocked": 1, "building": 2})
    );
    farm.set_daemon("scheduler/x86_64", true);
    assert_eq!(world(farm.addr).await["packages"]["scheduled"], 1);
}
