use super::families;

families! {
    OBS_WORKER_INFO: Info "obs_worker_info" ["pool", "arch", "level", "worker", "flavor", "managed", "protected", "ip"] {
        help: "One series a worker, which joins names to the rest",
        source: "the cloud's list (`GET /v1/PROJECT/cloudservers/detail`); `/workerstatus` for unmanaged workers",
        absent: "while the cloud's list, or a source that feeds the worker's pool, is older than `scaling.max_age`",
    }
    OBS_WORKER_INSTANCES: Gauge "obs_worker_instances" ["worker", "state"] {
        help: "Build instances of one worker",
        source: "repository server, `/workerstatus`",
        absent: "while a source that feeds the worker's pool is older than `scaling.max_age`",
    }
    OBS_WORKER_STAGE: Gauge "obs_worker_stage" ["worker", "stage"] {
        help: "A worker's life stage, always 1",
        source: "this program's journal for managed workers; `/workerstatus` for unmanaged ones",
        absent: "while a source that feeds the worker's pool is older than `scaling.max_age`; until a server has a name",
    }
    OBS_WORKER_CHECK: Gauge "obs_worker_check" ["worker", "check"] {
        help: "Whether a worker passed this check the last time, 0 or 1",
        source: "the last ssh session that ran the checks; `registered`: `/workerstatus` lists every instance",
        absent: "a check after one that failed, or after a session that broke; until one was run since the start; \
            while a source that feeds the worker's pool is older than `scaling.max_age`",
    }
    OBS_WORKER_BUILDS_TOTAL: Counter "obs_worker_builds_total" ["worker", "outcome"] {
        help: "Builds that ended on this worker since this program started, by outcome",
        source: "source server, `/build/PROJECT/REPOSITORY/ARCH/_jobhistory`",
        absent: "until the worker is first known (ours in the cloud's list, or listed by OBS as live), and a day after it was last",
    }
}
