"""Overview: will tonight's build be finished, and why not."""

from .parts import (
    FULL, JOB, OVERVIEW, POOL, SCALING, WORKERS, board, column, gauges, lines, link, rows, tile, words_for,
)

SCALE = link("Scaling and lifecycle", SCALING)
FLEET = link("Workers", WORKERS)
LIVE = f'obs_instances{{{FULL}, state=~"idle|building"}}'
AGE = f'time() - max by (collector, backend) (obs_scaler_last_success_timestamp_seconds{{{JOB}}})'
NOT_BUILT = "disabled|excluded|locked"


def headline():
    return [
        tile("Jobs waiting", "Jobs that OBS has scheduled and that no instance builds yet. A rebuild of the distribution begins with 700 to 1,000.",
             f'sum(obs_jobs{{{FULL}, state="scheduled"}})', "short", ("green", (100, "yellow"), (700, "orange")), to=SCALE),
        tile("Time to build what waits", "Expected build time of the waiting jobs, shared out over the instances that are there now. It leaves out what is blocked still, and packages that were never built count as the shortest of their level: read it as a lower bound.",
             f"sum(obs_jobs_expected_work_seconds{{{FULL}}}) / (sum({LIVE}) > 0)", "s", ("green", (4 * 3600, "yellow"), (8 * 3600, "red")), to=SCALE, none="no instance known"),
        tile("Longest wait", "How long the oldest waiting job has been waiting.",
             f"time() - min(obs_job_oldest_scheduled_timestamp_seconds{{{FULL}}} > 0) or 0 * max(obs_job_oldest_scheduled_timestamp_seconds{{{FULL}}})", "s",
             ("green", (1800, "yellow"), (7200, "red")), to=SCALE, mappings=words_for(v0=("none", "green"))),
        tile("Jobs that no worker fits", "Waiting jobs that no known worker satisfies (no_compliant), or that every worker has refused. More workers of the same kind do not help them: look at their constraints.",
             f'sum(obs_jobs_unplaceable{{{FULL}, reason=~"no_compliant|refused"}})', "short", ("green", (1, "red"))),
        tile("Failed packages", "Packages that OBS lists as failed, unresolvable or broken, over all projects.",
             f'sum(obs_packages{{{JOB}, arch=~"$arch", code=~"failed|unresolvable|broken"}}) or sum(0 * obs_packages{{{JOB}, arch=~"$arch"}})', "short", ("green", (1, "yellow"), (50, "red"))),
        tile("Alerts", "Alerts for people that fire now. The list is at the bottom.",
             f'sum(ALERTS{{job=~"$job|", alertname=~"Obs.+", alertstate="firing", severity=~"warning|critical"}}) or vector(0)', "short", ("green", (1, "red")), decimals=0),
        tile("Jobs building", "Jobs that an instance is building.",
             f'sum(obs_jobs{{{FULL}, state="building"}})', "short", ("blue",), to=FLEET),
        tile("Instances", "Build instances that are there: idle or building, each counted once over the backends.",
             f"sum({LIVE})", "short", ("red", (1, "blue")), to=FLEET),
        tile("Busy", "Share of the instances that build. High is good while jobs wait: what is bought is used.",
             f'sum(obs_instances{{{FULL}, state="building"}}) / (sum({LIVE}) > 0)', "percentunit", ("blue",), to=FLEET, none="no instance known", decimals=0),
        tile("Workers on their way", "Servers that are ordered, boot, or are being checked.",
             f'sum(obs_workers{{{FULL}, state=~"ordered|booting|checking"}})', "short", ("blue",), to=SCALE),
        tile("Jobs held by ghosts", "Jobs that OBS shows as building on an instance that does not build them. Each waits until somebody restarts it.",
             f"sum(obs_jobs_ghost{{{FULL}}})", "short", ("green", (1, "red"))),
        tile("Oldest source", "Age of the oldest reading of workers, results and the cloud's list. Nothing is bought or released on old readings.",
             f'max(time() - obs_scaler_last_success_timestamp_seconds{{{JOB}, collector=~"workers|results|ecs"}})', "s", ("green", (60, "yellow"), (120, "red"))),
    ]


def queue():
    return [
        lines("Jobs by state", "Scheduled jobs wait for an instance. Blocked ones wait for other packages first, and no worker helps them.",
              [(f"sum by (state) (obs_jobs{{{FULL}}})", "{{state}}")], "short", stack=True, names=("scheduled", "building", "blocked")),
        lines("Jobs waiting, by pool", "A pool is an architecture and a class of expected build time.",
              [(f'sum by (pool) (obs_jobs{{{FULL}, state="scheduled"}})', "{{pool}}")], "short", stack=True),
        lines("Longest wait, by pool", "How long the oldest waiting job of each pool has been waiting; no line while none waits.",
              [(f"time() - min by (pool) (obs_job_oldest_scheduled_timestamp_seconds{{{FULL}}} > 0)", "{{pool}}")], "s", size=(8, 8)),
        lines("Expected work, by pool", "Summed expected build time of the waiting jobs.",
              [(f"sum by (pool) (obs_jobs_expected_work_seconds{{{FULL}}})", "{{pool}}")], "s", stack=True, size=(8, 8)),
        lines("Jobs that find no place", "no_idle_fit: no idle instance fits now, more workers help. no_compliant: no known worker fits, another kind of worker is needed. refused: every worker said no. ghost: held by an instance that does not build it.",
              [(f"sum by (reason) (obs_jobs_unplaceable{{{FULL}}})", "{{reason}}"), (f"sum(obs_jobs_ghost{{{FULL}}})", "ghost")], "short", size=(8, 8)),
    ]


def progress():
    packages = f'obs_packages{{{JOB}, arch=~"$arch", code!~"{NOT_BUILT}"}}'
    done = f'obs_packages{{{JOB}, arch=~"$arch", code="succeeded"}}'
    return [
        gauges("Built, by project", "Share of the packages that have succeeded; disabled, excluded and locked ones are left out.",
               f"(sum by (project, arch) ({done}) or 0 * sum by (project, arch) ({packages})) / sum by (project, arch) ({packages})", "{{project}} {{arch}}", "percentunit",
               ("red", (0.5, "yellow"), (0.95, "green")), maximum=1),
        lines("Packages by code", "What OBS says of the packages; disabled, excluded and locked ones are left out.",
              [(f"sum by (code) ({packages})", "{{code}}")], "short", stack=True, size=(8, 8),
              names=("scheduled", "dispatching", "building", "blocked", "succeeded", "finished", "failed", "unresolvable", "broken")),
        gauges("Watched packages that wait", "The packages that the configuration names (kernel, gcc, …), and how long each has been waiting for an instance.",
               f'time() - (max by (package, project, arch) (obs_watched_job_scheduled_timestamp_seconds{{{JOB}, arch=~"$arch"}}) > 0)',
               "{{package}} {{project}} {{arch}}", "s", ("green", (1800, "yellow"), (7200, "red")), none="none is known to wait"),
    ]


def supply():
    return [
        lines("Instances by state", "away: building for another backend. down, dead: OBS lists them, and they do not answer.",
              [(f"sum by (state) (obs_instances{{{FULL}}})", "{{state}}")], "short", stack=True, names=("idle", "building", "away", "down", "dead")),
        lines("Jobs waiting beyond the idle instances, by pool", "What asks for more workers. ObsBusy fires from two workers' worth on.",
              [(f'sum by (pool) (obs_jobs{{{FULL}, state="scheduled"}}) - sum by (pool) (obs_instances{{{FULL}, state="idle"}}) > 0 or 0 * sum by (pool) (obs_instances{{{FULL}, state="idle"}})', "{{pool}}")], "short"),
        lines("Workers by life stage", "unmanaged: workers that are not ours. They count as supply and are never touched.",
              [(f"sum by (state) (obs_workers{{{FULL}}})", "{{state}}")], "short", stack=True,
              names=("ordered", "booting", "checking", "serving", "cordoned", "deleting", "failed", "unmanaged")),
        lines("Cost per hour, by pool", "What the servers that are bought now cost in an hour, in the currency of the configured prices. A pool without a price has no line.",
              [(f"sum by (pool) (obs_scaler_cost_per_hour{{{FULL}}})", "{{pool}}")], "short", stack=True),
    ]


def decisions():
    decided = f'sum by (direction, pool) (increase(obs_scaler_decisions_total{{{POOL}, direction=~"apply|release"}}[$__rate_interval])) > 0'
    held = f'sum by (pool, reason) (increase(obs_scaler_decisions_total{{{POOL}, direction="hold"}}[$__range])) > 0'
    return [
        lines("Decisions to buy and to give back", "When the planner decided to act, by pool. Most evaluations find nothing to do: the table beside this says why.",
              [(decided, "{{direction}} {{pool}}")], "short", bars=True, size=(9, 8)),
        column(
            rows("Why nothing more was done", "Why the planner held, in the time that is shown, and how often it came to this verdict. obs-scaler plan apply and plan release say in whole sentences what holds now.",
                 [held], {"pool": "Pool", "reason": "Reason", "Value": "Times"}, none="nothing was held", sort="Times", size=(7, 8)),
            "Times", width=70, decimals=0),
        lines("Alarms held", "Pools for which an alert asks for workers (apply) or says that some are idle (release). Nothing is bought or given back without one.",
              [(f"sum by (action) (obs_scaler_alarms{{{FULL}}})", "{{action}}")], "short", names=("apply", "release"), size=(8, 8)),
    ]


def sources():
    state = words_for(v1=("runs", "green"), v0=("down", "red"))
    answers = f'label_replace(min by (backend) (obs_up{{{JOB}}}), "daemon", "answers", "", "")'
    daemons = rows("Backends and their daemons", "answers: the last poll of the backend read its workers and results whole. The others are OBS' daemons, as OBS tells of them. While one that builds depend on is down, the pools that it feeds are held.",
                   [f"{answers} or min by (backend, daemon, arch) (obs_daemon_up{{{JOB}}})"],
                   {"backend": "Backend", "daemon": "Part", "arch": "Arch", "Value": "State"},
                   widths={"Arch": 90, "Backend": 120}, size=(8, 8))
    return [
        lines("Age of each source", "Time since each source was last read whole. A source that is too old takes its series away and holds the pools that it feeds.",
              [(AGE, "{{collector}} {{backend}}")], "s", size=(8, 8)),
        column(daemons, "State", width=90, mappings=state, cell={"type": "color-text"}),
        lines("Scheduler queue", "Repositories that each scheduler has yet to look at. While it is long, jobs that could start are not known yet.",
              [(f'sum by (backend, arch) (obs_scheduler_queue{{{JOB}, arch=~"$arch"}})', "{{backend}} {{arch}}")], "short", size=(8, 8)),
    ]


def alerts():
    firing = f'ALERTS{{job=~"$job|", alertname=~"Obs.+", alertstate="firing"}}'
    columns = {"alertname": "Alert", "severity": "Severity", "pool": "Pool", "backend": "Backend", "collector": "Source", "worker": "Worker"}
    return [
        rows("Alerts that fire", "ObsBusy, ObsStarved and ObsIdle ring obs-scaler, and are no fault. The others are for people.",
             [firing], columns, none="none fires", sort="Severity", widths={"Severity": 90, "Backend": 90, "Source": 80}),
        lines("Alerts over time", "Alerts that fired, each as many times as it has pools, backends or workers.",
              [(f"count by (alertname) ({firing})", "{{alertname}}")], "short", stack=True),
    ]


def dashboard():
    return board(OVERVIEW, "Overview", "Will tonight's build be finished, and why not.", [
        ("At a glance", headline()),
        ("Queue", queue()),
        ("The build", progress()),
        ("Supply", supply()),
        ("Decisions", decisions()),
        ("Sources", sources()),
        ("Alerts", alerts()),
    ])
