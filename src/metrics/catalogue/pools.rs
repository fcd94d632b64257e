use super::families;

const UNKNOWN: &str =
    "while a source that feeds the pool was never read, or is older than `scaling.max_age`";

families! {
    OBS_SCALER_POOL_INSTANCES_PER_WORKER: Gauge "obs_scaler_pool_instances_per_worker" ["pool", "arch", "level"] {
        help: "Build instances of one worker of the pool, as configured",
        source: "config: `instances` of the pool or its flavor",
        absent: "never",
    }
    OBS_SCALER_POOL_RESERVE_WORKERS: Gauge "obs_scaler_pool_reserve_workers" ["pool", "arch", "level"] {
        help: "Workers of the pool that are never released, as configured",
        source: "config: `reserve` of the pool",
        absent: "never",
    }
    OBS_SCALER_POOL_MODE: Gauge "obs_scaler_pool_mode" ["pool", "mode"] {
        help: "What may be done for the pool, as configured",
        source: "config: `mode` of the pool; always 1",
        absent: "never",
    }
    OBS_SCALER_POOL_HALTED: Gauge "obs_scaler_pool_halted" ["pool", "arch", "level"] {
        help: "Whether nothing is ordered or released in the pool because many of its instances vanished",
        source: "this program's journal: the pool's known instances, by `/workerstatus`, against those of the last hour",
        absent: "never: while the pool cannot be seen it stays what it was",
    }
    OBS_JOBS: Gauge "obs_jobs" ["pool", "arch", "level", "backend", "project", "state"] {
        help: "Jobs by state",
        source: "source server, `/build/PROJECT/_result?view=status&multibuild=1`; the level from the build times",
        absent: UNKNOWN,
    }
    OBS_JOBS_UNPLACEABLE: Gauge "obs_jobs_unplaceable" ["pool", "arch", "level", "reason"] {
        help: "Scheduled jobs that no idle, or no known, worker may take",
        source: "`/build/PROJECT/_result` and what jobs ask (`_constraints`, `_buildconfig`) against `/workerstatus` and `/worker/HOSTARCH:ID`; OBS 2.9 shows nowhere who refused a job, so there is no `refused`",
        absent: UNKNOWN,
    }
    OBS_JOBS_GHOST: Gauge "obs_jobs_ghost" ["pool", "arch", "level"] {
        help: "Jobs that OBS shows as building on an instance that does not build them",
        source: "`/workerstatus`, and each instance's own word, over 30 s or more",
        absent: UNKNOWN,
    }
    OBS_WATCHED_JOB_SCHEDULED_TIMESTAMP_SECONDS: Gauge "obs_watched_job_scheduled_timestamp_seconds" ["package", "project", "arch"] {
        help: "Since when a job of a watched package waits",
        source: "`_reason` of the job, else when a poll of `/build/PROJECT/_result` first showed it waiting",
        absent: "while no such job waits, or its pool is not known",
    }
    OBS_JOB_OLDEST_SCHEDULED_TIMESTAMP_SECONDS: Gauge "obs_job_oldest_scheduled_timestamp_seconds" ["pool", "arch", "level"] {
        help: "Since when the oldest scheduled job waits that some worker may take; 0 while none does",
        source: "`_reason` of the job, else when a poll of `/build/PROJECT/_result` first showed it waiting",
        absent: UNKNOWN,
    }
    OBS_JOBS_EXPECTED_WORK_SECONDS: Gauge "obs_jobs_expected_work_seconds" ["pool", "arch", "level"] {
        help: "Summed expected build time of the scheduled jobs",
        source: "`/build/PROJECT/REPOSITORY/ARCH/_jobhistory`: the mean of a package's last successful builds",
        absent: UNKNOWN,
    }
    OBS_INSTANCES: Gauge "obs_instances" ["pool", "arch", "level", "state"] {
        help: "Build instances, each counted once over the backends",
        source: "repository server, `/workerstatus`",
        absent: UNKNOWN,
    }
    OBS_WORKERS: Gauge "obs_workers" ["pool", "arch", "level", "state"] {
        help: "Workers by life stage",
        source: "this program's journal for managed workers; `/workerstatus` for unmanaged ones",
        absent: UNKNOWN,
    }
    OBS_WORKERS_RELEASABLE: Gauge "obs_workers_releasable" ["pool", "arch", "level"] {
        help: "Workers serving, managed, above the reserve, with no running instance",
        source: "`/workerstatus`, the cloud's list and the configured reserve",
        absent: UNKNOWN,
    }
}
