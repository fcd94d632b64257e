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
}
