"""Scaling and lifecycle: what was done, why, how long it took, and what it cost."""

from .parts import FULL, JOB, POOL, SCALING, WORKERS, board, gauges, lines, link, rows, tile, words_for

FLEET = link("Workers", WORKERS)


def quantile(share, family, by, matchers, window="$__rate_interval"):
    labels = ", ".join(["le", *by])
    return f"histogram_quantile({share}, sum by ({labels}) (rate({family}_bucket{{{matchers}}}[{window}])))"


def mean(family, by, matchers):
    """Over the time that is shown."""
    parts = (f"sum by ({by}) (increase({family}_{part}{{{matchers}}}[$__range]))" for part in ("sum", "count"))
    return " / ".join(parts)


def headline():
    def last(title, description, direction):
        at = f'max(obs_scaler_last_decision_timestamp_seconds{{{POOL}, direction="{direction}"}})'
        never = words_for(v0=("never", "text"))
        return tile(title, description, f"time() - ({at} > 0) or {at} == 0", "s", ("blue",), mappings=never)

    spent, idle = (f"sum(increase(obs_scaler_{name}_total{{{FULL}}}[$__range]))" for name in ("cost", "idle_cost"))
    ended = f"sum(increase(obs_scaler_orders_total{{{FULL}, outcome%s}}[$__range]))"
    return [
        last("Last order", "Time since the planner last decided to buy.", "apply"),
        last("Last release", "Time since the planner last decided to give workers back.", "release"),
        tile("Watchdog", "Time since Alertmanager's dead man's switch was last heard. After 5 minutes nothing is released: Prometheus may be blind.",
             f"time() - max(obs_scaler_last_watchdog_timestamp_seconds{{{JOB}}})", "s", ("green", (150, "yellow"), (300, "red")), none="not heard"),
        tile("vCPU bought", "Share of the ceiling that is bought, servers in creation and in deletion included.",
             f'sum(obs_scaler_vcpus{{{JOB}, kind="bought"}}) / sum(obs_scaler_vcpus{{{JOB}, kind="ceiling"}})', "percentunit", ("green", (0.8, "yellow"), (1, "red")), decimals=0),
        tile("Orders that failed", "Ordered servers that never got into service, in the time that is shown.",
             ended % '!="in_service"', "short", ("green", (1, "yellow"), (5, "red")), to=FLEET, decimals=0),
        tile("Cost per hour", "What the servers that are bought now cost in an hour, in the currency of the configured prices.",
             f"sum(obs_scaler_cost_per_hour{{{FULL}}})", "short", ("blue",), none="no price known", decimals=2),
        tile("Spent", "What our servers cost in the time that is shown.", spent, "short", ("blue",), none="no price known", decimals=2, size=(8, 4)),
        tile("Spent on idle workers", "Share of that for workers without a job. Some is the price of being quick: a worker stays for as long as ObsIdle waits.",
             f"{idle} / ({spent} > 0)", "percentunit", ("green", (0.3, "yellow"), (0.5, "red")), none="nothing spent", decimals=0, size=(8, 4)),
        tile("Alarm to order", "95 % of the notifications that led to an order had their create call sent within this time.",
             f"histogram_quantile(0.95, sum by (le) (increase(obs_scaler_reaction_seconds_bucket{{{JOB}}}[$__range])))", "s", ("green", (10, "yellow"), (60, "red")), none="none measured", size=(8, 4)),
    ]


def decisions():
    made = f"sum by (direction, reason) (increase(obs_scaler_decisions_total{{{POOL}}}[$__rate_interval])) > 0"
    mode = f"max by (pool, mode) (obs_scaler_pool_mode{{{POOL}}})"
    reserve = f"max by (pool) (obs_scaler_pool_reserve_workers{{{FULL}}})"
    modes = rows("Pools", "What each pool may do: observe decides and does nothing, apply buys, full gives back too. The reserve is never given back, and what is releasable is above it and has no job.",
                 [mode, reserve, f"sum by (pool) (obs_workers_releasable{{{FULL}}})"],
                 {"pool": "Pool", "mode": "Mode", "Value #B": "Reserve", "Value #C": "Releasable"}, joined="pool",
                 widths={"Mode": 90, "Reserve": 80, "Releasable": 100}, size=(8, 8))
    return [
        lines("Decisions, by reason", "Every verdict of the planner that was new or led to something, hold included.",
              [(made, "{{direction}}: {{reason}}")], "short", bars=True),
        lines("Alarms and what follows", "Alarms that ask for workers, and the workers on their way.",
              [(f'sum(obs_scaler_alarms{{{FULL}, action="apply"}})', "alarms to buy"),
               (f'sum(obs_scaler_alarms{{{FULL}, action="release"}})', "alarms to release"),
               (f'sum(obs_workers{{{FULL}, state=~"ordered|booting|checking"}})', "workers on their way"),
               (f'sum(obs_workers{{{FULL}, state=~"cordoned|deleting"}})', "workers leaving")], "short"),
        modes,
        lines("Orders", "Servers ordered, by how they ended.",
              [(f"sum by (outcome) (increase(obs_scaler_orders_total{{{FULL}}}[$__rate_interval]))", "{{outcome}}")], "short", bars=True, names=("in_service", "refused", "cloud_error", "not_active", "not_in_service", "unanswered", "vanished"), size=(8, 8)),
        lines("Releases", "Servers given back, by how that ended; and restarts of jobs that were held by ghosts.",
              [(f"sum by (outcome) (increase(obs_scaler_releases_total{{{FULL}}}[$__rate_interval]))", "{{outcome}}"),
               (f"sum by (outcome) (increase(obs_scaler_ghosts_freed_total{{{JOB}}}[$__rate_interval]))", "ghost {{outcome}}")], "short", bars=True, names=("deleted", "returned", "vanished"), size=(8, 8)),
    ]


def lifecycle():
    family = "obs_scaler_stage_duration_seconds"
    return [
        gauges("Mean duration of each stage", "create: order to ACTIVE. boot: to the first ssh session. check: until every check passed. join: until every instance is registered. drain: cordoned until the last job's end. delete: until the cloud no longer lists it. Over the time that is shown.",
               mean(family, "stage", JOB), "{{stage}}", "s", ("green", (300, "yellow"), (600, "red")), none="none ended"),
        lines("Duration of each stage, 95 %", "Within this time 95 % of the workers passed the stage. Draining takes as long as the longest job.",
              [(quantile(0.95, family, ["stage"], JOB), "{{stage}}")], "s", size=(8, 8)),
        lines("Alarm to order", "From the notification to the create call that it led to.",
              [(quantile(share, "obs_scaler_reaction_seconds", [], JOB), name) for share, name in ((0.5, "half"), (0.95, "95 %"))], "s", size=(8, 8)),
    ]


def money():
    return [
        lines("Cost per hour, by flavor", "What the servers that are bought now cost in an hour, in the currency of the configured prices.",
              [(f"sum by (flavor) (obs_scaler_cost_per_hour{{{FULL}}})", "{{flavor}}")], "short", stack=True),
        lines("vCPU", "Bought counts servers in creation and in deletion. The ceiling is what may be bought on top of the servers that were there before, and room is what is left of it.",
              [(f"sum by (kind) (obs_scaler_vcpus{{{JOB}}})", "{{kind}}")], "short"),
        gauges("Spent, by pool", "In the time that is shown.",
               f"sum by (pool) (increase(obs_scaler_cost_total{{{FULL}}}[$__range]))", "{{pool}}", "short", ("blue",), none="no price known", size=(12, 8)),
        gauges("Spent on idle workers, by pool", "In the time that is shown: what workers cost while they had no job.",
               f"sum by (pool) (increase(obs_scaler_idle_cost_total{{{FULL}}}[$__range]))", "{{pool}}", "short", ("yellow",), none="no price known", size=(12, 8)),
    ]


def cloud():
    calls = f"obs_scaler_ecs_requests_total{{{JOB}%s}}[$__rate_interval]"
    return [
        lines("Calls to the cloud", "Calls a second, by operation.", [(f"sum by (operation) (rate({calls % ''}))", "{{operation}}")], "reqps", size=(8, 8)),
        lines("Calls that failed", "By the cloud's code, or by what the call failed with. Ecs.0219 and its like: no capacity or no quota.",
              [(f'sum by (operation, code) (increase({calls % (", code!~" + chr(34) + "2.." + chr(34))}))', "{{operation}} {{code}}")], "short", bars=True, size=(8, 8)),
        lines("Duration of calls, 95 %", "By operation.",
              [(quantile(0.95, "obs_scaler_ecs_request_duration_seconds", ["operation"], JOB), "{{operation}}")], "s", size=(8, 8)),
    ]


def inputs():
    return [
        lines("Notifications", "Alertmanager's calls, by what became of them. Duplicates are normal; the others are not.",
              [(f"sum by (outcome) (increase(obs_scaler_webhooks_total{{{JOB}}}[$__rate_interval]))", "{{outcome}}")], "short", bars=True, size=(8, 8)),
        lines("Watchdog", "Time since the dead man's switch was last heard. After 5 minutes nothing is released.",
              [(f"time() - max(obs_scaler_last_watchdog_timestamp_seconds{{{JOB}}})", "silence")], "s", size=(8, 8)),
        lines("Duration of polls, 95 %", "How long a poll of each source took, failed ones included.",
              [(quantile(0.95, "obs_scaler_collect_duration_seconds", ["collector"], JOB), "{{collector}}")], "s", size=(8, 8)),
    ]


def dashboard():
    return board(SCALING, "Scaling and lifecycle", "What was bought and given back, why, how long it took, and what it cost.", [
        ("At a glance", headline()),
        ("Decisions", decisions()),
        ("Lifecycle", lifecycle()),
        ("Money", money()),
        ("The cloud", cloud()),
        ("What obs-scaler hears", inputs()),
    ])
