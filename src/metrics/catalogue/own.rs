use super::families;

families! {
    OBS_SCALER_VCPUS: Gauge "obs_scaler_vcpus" ["kind"] {
        help: "Virtual CPUs bought (in flight included), what may be, and what the project's quota leaves",
        source: "the journal and the cloud's list; config: `scaling.ceiling_vcpus`; `quota`: `GET /v1/PROJECT/cloudservers/limits`",
        absent: "all but `ceiling` while the cloud's list, and `quota` while the limits, are older than `scaling.max_age`; `quota` where the cloud sets no limit",
    }
    OBS_SCALER_ALARMS: Gauge "obs_scaler_alarms" ["action", "pool", "arch", "level"] {
        help: "Alarms held now",
        source: "Alertmanager's notifications",
        absent: "never",
    }
    OBS_SCALER_LAST_WATCHDOG_TIMESTAMP_SECONDS: Gauge "obs_scaler_last_watchdog_timestamp_seconds" [] {
        help: "When the dead man's switch was last heard",
        source: "Alertmanager's notifications",
        absent: "until it was heard once",
    }
    OBS_SCALER_BUILD_INFO: Info "obs_scaler_build_info" ["version", "revision"] {
        help: "What is running",
        source: "the build",
        absent: "never",
    }
    OBS_SCALER_WEBHOOKS: Counter "obs_scaler_webhooks_total" ["outcome"] {
        help: "Notifications received, by what became of them",
        source: "`POST /api/v1/alerts`",
        absent: "never",
    }
    OBS_SCALER_WEBHOOK_ALERTS: Counter "obs_scaler_webhook_alerts_total" ["outcome"] {
        help: "Alerts in accepted notifications, by what became of them",
        source: "`POST /api/v1/alerts`",
        absent: "never",
    }
    OBS_SCALER_DECISIONS: Counter "obs_scaler_decisions_total" ["direction", "pool", "reason"] {
        help: "What the planner decided, and why",
        source: "the planner, when its verdict changes or acts",
        absent: "never",
    }
    OBS_SCALER_LAST_DECISION_TIMESTAMP_SECONDS: Gauge "obs_scaler_last_decision_timestamp_seconds" ["direction", "pool"] {
        help: "When the planner last decided so; 0 before the first time",
        source: "the planner",
        absent: "never",
    }
    OBS_SCALER_ORDERS: Counter "obs_scaler_orders_total" ["pool", "arch", "level", "outcome"] may_lack ["arch", "level"] {
        help: "Servers ordered, by how they ended",
        source: "the reconciler; of a pool that is not configured any more arch and level are not known",
        absent: "never",
    }
    OBS_SCALER_RELEASES: Counter "obs_scaler_releases_total" ["pool", "arch", "level", "outcome"] may_lack ["arch", "level"] {
        help: "Servers given back, by how they ended",
        source: "the reconciler; of a pool that is not configured any more arch and level are not known",
        absent: "never",
    }
    OBS_SCALER_STAGE_DURATION_SECONDS: Histogram "obs_scaler_stage_duration_seconds" ["stage"] {
        help: "Stages of a worker's life",
        source: "the reconciler, when a server leaves a stage",
        absent: "never",
    }
    OBS_SCALER_REACTION_SECONDS: Histogram "obs_scaler_reaction_seconds" [] {
        help: "From a notification to the create call that it led to",
        source: "the webhook and the reconciler",
        absent: "never",
    }
    OBS_SCALER_ECS_REQUESTS: Counter "obs_scaler_ecs_requests_total" ["operation", "code"] {
        help: "Calls to the cloud, by the code of the answer",
        source: "the cloud's client",
        absent: "a series until its first call",
    }
    OBS_SCALER_ECS_REQUEST_DURATION_SECONDS: Histogram "obs_scaler_ecs_request_duration_seconds" ["operation", "code"] {
        help: "Calls to the cloud",
        source: "the cloud's client",
        absent: "a series until its first call",
    }
    OBS_SCALER_COLLECT_DURATION_SECONDS: Histogram "obs_scaler_collect_duration_seconds" ["collector"] {
        help: "Polls, failed ones included",
        source: "the pollers",
        absent: "never",
    }
    OBS_SCALER_COST_PER_HOUR: Gauge "obs_scaler_cost_per_hour" ["pool", "arch", "level", "flavor"] may_lack ["arch", "level"] {
        help: "What the listed servers cost in an hour, system disks of bought ones included, in the unit of the configured prices",
        source: "the cloud's list (`GET /v1/PROJECT/cloudservers/detail`), whatever a server's state; config: `price`, `ecs.root_volume_price`",
        absent: "while the cloud's list is older than `scaling.max_age`; for a flavor without a price",
    }
    OBS_SCALER_COST: Counter "obs_scaler_cost_total" ["pool", "arch", "level", "flavor"] may_lack ["arch", "level"] {
        help: "What servers have cost, system disks of bought ones included, in the unit of the configured prices",
        source: "the bills: from `created` to the last list with the server, and in the end to the `end_time` of the job that deleted it",
        absent: "until the cloud's list was read once; for a flavor without a price",
    }
    OBS_SCALER_IDLE_COST: Counter "obs_scaler_idle_cost_total" ["pool", "arch", "level", "flavor"] may_lack ["arch", "level"] {
        help: "The part of the cost for workers in service with no running instance",
        source: "as `obs_scaler_cost_total`, and `/workerstatus`; while that is not known nothing is idle",
        absent: "until the cloud's list was read once; for a flavor without a price",
    }
    OBS_SCALER_LEFTOVERS_DELETED_TOTAL: Counter "obs_scaler_leftovers_deleted_total" ["kind"] {
        help: "Volumes and ports that servers which are gone had left behind, and that were deleted",
        source: "`GET /v2/PROJECT/cloudvolumes/detail` (EVS) by name, `GET /v1/PROJECT/ports` (VPC) by server, and their deletions",
        absent: "never",
    }
    OBS_SCALER_GHOSTS_FREED_TOTAL: Counter "obs_scaler_ghosts_freed_total" ["backend", "outcome"] {
        help: "Ghosts that OBS was asked to free, by what became of it",
        source: "this program's calls of `POST /build/PROJECT?cmd=restartbuild`; a ghost that could not be looked at once more counts as failed",
        absent: "never",
    }
    OBS_SCALER_LEASE: Gauge "obs_scaler_lease" ["state"] {
        help: "1 for how this scaler stands to others of the same owner, 0 for the rest",
        source: "the tags `obs-scaler-lease-…` in the cloud's list",
        absent: "never",
    }
}
