"""Workers: each one, what it is, what it does, and whether it is well."""

from .parts import FULL, SCALING, WORKER, WORKERS, board, build, column, gauges, lines, link, model, rows, tile, variable, words_for

SCALE = link("Scaling and lifecycle", SCALING)
INFO = f'obs_worker_info{{{FULL}, worker=~"$worker"}}'
CHECKS = "machine, flavor, disk, service, config, registered"


def chosen(expr):
    """The families of single workers have no pool: what is chosen at the top is looked up in obs_worker_info."""
    return f"{expr} and on (job, worker) {INFO}"


def gauge(metric, matchers=""):
    return f"{metric}{{{WORKER}{matchers}}}"


def counted(function, metric, by, window="$__rate_interval"):
    return f"sum by (job, worker, {by}) ({function}({metric}{{{WORKER}}}[{window}]))"


def headline():
    def stage(title, description, states, color):
        return tile(title, description, f'sum(obs_workers{{{FULL}, state=~"{states}"}})', "short", color, to=SCALE)

    return [
        stage("Serving", "Our workers that are in service.", "serving", ("green",)),
        stage("On their way", "Ordered, booting, or being checked.", "ordered|booting|checking", ("blue",)),
        stage("Leaving", "Cordoned or being deleted.", "cordoned|deleting", ("blue",)),
        stage("Failed", "Servers that did not get into service and are being withdrawn.", "failed", ("green", (1, "red"))),
        stage("Unmanaged", "Workers that are not ours: they count as supply and are never touched.", "unmanaged", ("text",)),
        tile("Checks failing", "Checks that a worker fails now. Which ones: below.",
             f'count({chosen(gauge("obs_worker_check") + " == 0")}) or vector(0)', "short", ("green", (1, "red")), decimals=0),
    ]


def everyone():
    builds = 'sum by (job, worker) (increase(obs_worker_builds_total{%s, outcome%s}[$__range]))'
    table = rows(
        "Workers", "Every worker that OBS or the cloud lists, one row each. Builds are those of the time that is shown. A click on a name shows that worker alone.",
        [
            INFO,
            chosen(f'max by (job, worker, stage) ({gauge("obs_worker_stage")})'),
            chosen(gauge("obs_worker_instances", ', state="building"')),
            chosen(gauge("obs_worker_instances", ', state="idle"')),
            chosen(gauge("obs_worker_cpu_usage_ratio")),
            chosen(gauge("obs_worker_memory_usage_ratio")),
            chosen(builds % (WORKER, '=~"succeeded|unchanged"')),
            chosen(builds % (WORKER, '="failed"')),
            chosen(f'count by (job, worker) ({gauge("obs_worker_check")} == 1)'),
            chosen(f'count by (job, worker) ({gauge("obs_worker_check")})'),
        ],
        {
            "worker": "Worker", "stage": "Stage", "pool": "Pool", "flavor": "Flavor", "ip": "Address",
            "managed": "Ours", "protected": "Pinned", "Value #C": "Building", "Value #D": "Idle", "Value #E": "CPU",
            "Value #F": "Memory", "Value #G": "Built", "Value #H": "Failed", "Value #I": "Passed", "Value #J": "Checks",
        },
        joined="worker", sort="Building", size=(24, 12),
        widths={"Ours": 70, "Pinned": 70, "Stage": 100, "Building": 80, "Idle": 60, "Built": 60, "Failed": 70, "Passed": 75, "Pool": 110, "Flavor": 130, "Address": 120, "Checks": 80},
    )
    yes_no = [model.ValueMap(options={
        "true": model.ValueMappingResult(text="yes", index=0), "false": model.ValueMappingResult(text="no", index=1)})]
    for name in ("Ours", "Pinned"):
        table = column(table, name, mappings=yes_no)
    for name in ("Built", "Failed"):
        table = column(table, name, decimals=0)
    for name in ("CPU", "Memory"):
        table = column(table, name, width=120, unit="percentunit", min=0, max=1, cell={"type": "gauge", "mode": "basic"})
    alone = build.DashboardLink("This worker alone").type(model.DashboardLinkType.LINK)
    alone = alone.url(f"/d/{WORKERS}?${{__url_time_range}}&var-datasource=${{datasource}}&var-worker=${{__value.raw}}")
    return [column(table, "Worker", width=240, links=[alone.build()])]


def use():
    per_worker = "{{worker}} {{direction}}"
    return [
        lines("Instances that build", "Build instances of each worker that build now.",
              [(chosen(gauge("obs_worker_instances", ', state="building"')), "{{worker}}")], "short", stack=True, legend=False, size=(8, 8)),
        lines("CPU", "Share of all processors in use.", [(chosen(gauge("obs_worker_cpu_usage_ratio")), "{{worker}}")], "percentunit", legend=False, size=(8, 8)),
        lines("Memory", "Share of the memory in use.", [(chosen(gauge("obs_worker_memory_usage_ratio")), "{{worker}}")], "percentunit", legend=False, size=(8, 8)),
        lines("Disk operations", "Reads and writes a second.", [(chosen(counted("rate", "obs_worker_disk_operations_total", "direction")), per_worker)], "iops", legend=False, size=(8, 8)),
        lines("Disk", "Bytes read and written a second.", [(chosen(counted("rate", "obs_worker_disk_bytes_total", "direction")), per_worker)], "Bps", legend=False, size=(8, 8)),
        lines("Network", "Bytes received and transmitted a second, loopback left out.", [(chosen(counted("rate", "obs_worker_network_bytes_total", "direction")), per_worker)], "Bps", legend=False, size=(8, 8)),
    ]


def health():
    state = words_for(v0=("fails", "red"), v1=("passes", "green"))
    worst = chosen(f'min by (job, worker, check) ({gauge("obs_worker_check")})')
    checks = rows("Checks", f"What was found when each worker was last checked, failures first: {CHECKS}.",
                  [f"sort({worst})"], {"worker": "Worker", "check": "Check", "Value": "State"}, size=(8, 9))
    return [
        lines("Builds that ended, by outcome", "Over all workers that are chosen.",
              [(f'sum by (outcome) ({chosen(counted("increase", "obs_worker_builds_total", "outcome"))})', "{{outcome}}")], "short", bars=True,
              names=("succeeded", "unchanged", "failed"), size=(8, 9)),
        gauges("Share of failed builds", "Of the builds that ended on each worker in the time that is shown. One worker far above the others is broken; all of them alike: the packages are.",
               chosen('sum by (job, worker) (increase(obs_worker_builds_total{%s, outcome="failed"}[$__range])) / (sum by (job, worker) (increase(obs_worker_builds_total{%s}[$__range])) > 0)' % (WORKER, WORKER)),
               "{{worker}}", "percentunit", ("green", (0.2, "yellow"), (0.5, "red")), maximum=1, none="no build ended", size=(8, 9)),
        column(checks, "State", width=90, mappings=state, cell={"type": "color-text"}),
    ]


def dashboard():
    return board(WORKERS, "Workers", "Each worker: what it is, what it does, and whether it is well.", [
        ("At a glance", headline()),
        ("Every worker", everyone()),
        ("Use", use()),
        ("Health", health()),
    ], more_variables=[variable("worker", "Worker", "obs_worker_info", FULL)])
