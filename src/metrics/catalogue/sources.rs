use super::families;

families! {
    OBS_UP: Gauge "obs_up" ["backend"] {
        help: "Whether the last poll of this OBS backend read its workers and results whole",
        source: "whether the polls of `/workerstatus` and of each project's `_result` succeeded",
        absent: "never: each configured backend has it from the start",
    }
    OBS_BACKEND_MAINTENANCE: Gauge "obs_backend_maintenance" ["backend"] {
        help: "Whether a person says that this OBS backend is under maintenance: nothing is bought or released for its pools",
        source: "this program's journal: `obs-scaler maintenance BACKEND`",
        absent: "never: each configured backend has it from the start",
    }
    OBS_SCALER_LAST_SUCCESS_TIMESTAMP_SECONDS: Gauge "obs_scaler_last_success_timestamp_seconds" ["collector", "backend"]
        may_lack ["backend"] {
        help: "When this source was last read whole",
        source: "this program's clock, when it began the poll; what is no backend's has no label `backend`",
        absent: "until the source was read whole once",
    }
    OBS_SCALER_CONSTRAINTS_UNREAD: Gauge "obs_scaler_constraints_unread" ["backend"] {
        help: "Questions to OBS about the constraints of waiting jobs, and about what workers have, that were never answered",
        source: "this program: what it asked of `_constraints`, `_buildconfig`, `_reason` and `/worker/HOSTARCH:ID`; nothing is released where a job's constraints are among them",
        absent: "until a backend was asked once",
    }
    OBS_PACKAGES: Gauge "obs_packages" ["backend", "project", "repository", "arch", "code"] {
        help: "Packages by OBS status code",
        source: "source server, `/build/PROJECT/_result?view=status&multibuild=1`",
        absent: "while the backend's results are older than `scaling.max_age`; a code that no package has",
    }
    OBS_DAEMON_UP: Gauge "obs_daemon_up" ["backend", "daemon", "arch"] {
        help: "Whether every daemon of this kind runs",
        source: "repository server, `/workerstatus`, `daemon` elements; `arch` is empty where a daemon has none",
        absent: "while the backend's workers are older than `scaling.max_age`; a daemon that OBS does not list",
    }
    OBS_SCHEDULER_QUEUE: Gauge "obs_scheduler_queue" ["backend", "arch", "priority"] {
        help: "Repositories that the scheduler has yet to look at",
        source: "repository server, `/workerstatus`, `queue` elements of the schedulers",
        absent: "while the backend's workers are older than `scaling.max_age`; a scheduler that OBS does not list",
    }
}
