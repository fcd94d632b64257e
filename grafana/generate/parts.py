"""The parts that the dashboards are made of: panels, and the dashboard around them."""

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as words
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

# What every selector of a family is filtered by: all have a job, most have a pool with its arch and level.
JOB = 'job=~"$job"'
POOL = f'{JOB}, pool=~"$pool"'
FULL = f'{POOL}, arch=~"$arch", level=~"$level"'
WORKER = f'{JOB}, worker=~"$worker"'

SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
OVERVIEW = "obs-scaler-overview"
SCALING = "obs-scaler-scaling"
WORKERS = "obs-scaler-workers"

# The same colour for the same word on every dashboard.
COLOURS = {
    "aarch64": "blue",
    "x86_64": "orange",
    "scheduled": "orange",
    "building": "green",
    "blocked": "#8e8e8e",
    "idle": "blue",
    "away": "purple",
    "down": "dark-red",
    "dead": "red",
    "ordered": "super-light-blue",
    "booting": "light-blue",
    "checking": "blue",
    "serving": "green",
    "cordoned": "yellow",
    "deleting": "orange",
    "failed": "red",
    "unmanaged": "#8e8e8e",
    "succeeded": "green",
    "finished": "semi-dark-green",
    "unchanged": "light-green",
    "unresolvable": "dark-red",
    "broken": "dark-orange",
    "dispatching": "super-light-yellow",
    "in_service": "green",
    "refused": "yellow",
    "cloud_error": "red",
    "not_active": "dark-orange",
    "not_in_service": "orange",
    "unanswered": "purple",
    "vanished": "#8e8e8e",
    "returned": "blue",
    "deleted": "green",
    "apply": "blue",
    "release": "purple",
}


def thresholds(*steps):
    """`thresholds("green", (60, "orange"))`: green, and orange from 60 on."""
    first, *rest = steps
    steps = [model.Threshold(value=None, color=first)]
    steps += [model.Threshold(value=value, color=color) for value, color in rest]
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def words_for(**texts):
    """Mappings of values to words: `words_for(v0=("down", "red"))`."""
    options = {
        key.removeprefix("v"): model.ValueMappingResult(text=text, color=color, index=index)
        for index, (key, (text, color)) in enumerate(texts.items())
    }
    return [model.ValueMap(options=options)]


def query(index, expr):
    return prometheus.Dataquery().datasource(SOURCE).ref_id(chr(ord("A") + index)).expr(expr)


def over_time(index, expr, legend):
    return query(index, expr).range().legend_format(legend)


def now(expr, legend):
    """Asked for the present alone: of a range, Grafana would show the last value that is known, however old."""
    return query(0, expr).instant().legend_format(legend)


def begin(panel, title, description, unit, size):
    width, height = size
    panel = panel.title(title).description(description).datasource(SOURCE)
    return panel.unit(unit).grid_pos(model.GridPos(w=width, h=height))


def fixed(color):
    return build.FieldColor().mode(model.FieldColorModeId.FIXED).fixed_color(color)


def by_series():
    return build.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC)


def by_threshold():
    return build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS)


def last():
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def link(title, uid):
    """A click on a value leads to another dashboard, with what is chosen here."""
    url = f"/d/{uid}?${{__url_time_range}}&${{__all_variables}}"
    return build.DashboardLink(title).type(model.DashboardLinkType.LINK).url(url)


def tile(title, description, expr, unit, steps, *, to=None, none=None, mappings=None, decimals=None, size=(4, 4)):
    """A headline: one number, its colour, and where to look further."""
    panel = begin(stat.Panel(), title, description, unit, size)
    panel = panel.with_target(now(expr, title)).thresholds(thresholds(*steps)).color_scheme(by_threshold())
    panel = panel.reduce_options(last()).graph_mode(words.BigValueGraphMode.NONE)
    panel = panel.color_mode(words.BigValueColorMode.VALUE).text_mode(words.BigValueTextMode.VALUE)
    panel = panel.justify_mode(words.BigValueJustifyMode.CENTER)
    panel = panel.orientation(words.VizOrientation.AUTO)
    if to:
        panel = panel.data_links([to])
    if none:
        panel = panel.no_value(none)
    if mappings:
        panel = panel.mappings(mappings)
    return panel if decimals is None else panel.decimals(decimals)


def lines(title, description, queries, unit, *, stack=False, bars=False, names=(), legend=True, size=(12, 8)):
    """Values over time: lines, areas on each other, or bars on each other.

    Without a legend where there is a line for each worker: the tooltip names those that stand out.
    """
    panel = begin(timeseries.Panel(), title, description, unit, size).min(0).color_scheme(by_series())
    for index, (expr, name) in enumerate(queries):
        panel = panel.with_target(over_time(index, expr, name))
    panel = panel.line_width(1).fill_opacity(60 if stack or bars else 8).show_points(words.VisibilityMode.NEVER)
    if bars:
        panel = panel.draw_style(words.GraphDrawStyle.BARS).line_width(0).fill_opacity(80)
    if stack or bars:
        panel = panel.stacking(common.StackingConfig().mode(words.StackingMode.NORMAL).group("A"))
    key = common.VizLegendOptions().show_legend(legend)
    if size[0] < 12:
        key = key.display_mode(words.LegendDisplayMode.LIST).placement(words.LegendPlacement.BOTTOM)
    else:
        key = key.display_mode(words.LegendDisplayMode.TABLE).placement(words.LegendPlacement.RIGHT)
        key = key.calcs(["lastNotNull", "max"])
    tooltip = common.VizTooltipOptions().mode(words.TooltipDisplayMode.MULTI).sort(words.SortOrder.DESCENDING)
    panel = panel.legend(key).tooltip(tooltip)
    for name in names:
        color = model.FieldColor(mode=model.FieldColorModeId.FIXED, fixed_color=COLOURS[name])
        panel = panel.override_by_name(name, [model.DynamicConfigValue(id_val="color", value=color)])
    return panel


def gauges(title, description, expr, legend, unit, steps, *, maximum=None, none=None, size=(8, 8)):
    """A bar for each series, as it is now."""
    panel = begin(bargauge.Panel(), title, description, unit, size).min(0)
    panel = panel.with_target(now(expr, legend)).thresholds(thresholds(*steps)).color_scheme(by_threshold())
    panel = panel.orientation(words.VizOrientation.HORIZONTAL).display_mode(words.BarGaugeDisplayMode.GRADIENT)
    panel = panel.reduce_options(last()).show_unfilled(True)
    panel = panel.value_mode(words.BarGaugeValueMode.COLOR).name_placement(words.BarGaugeNamePlacement.TOP)
    panel = panel.text(common.VizTextDisplayOptions().title_size(13).value_size(18))
    if none:
        panel = panel.no_value(none)
    return panel if maximum is None else panel.max(maximum)


def rows(title, description, queries, columns, *, unit="none", joined=None, none=None, sort=None, widths=None, size=(12, 8)):
    """A table of the present. `columns` is what stays of the answer, in order: label or `Value #A` to its heading.

    With `joined`, the queries' answers are joined on that label; without, there is one query, whose column is `Value`.
    """
    panel = begin(table.Panel(), title, description, unit, size).show_header(True)
    for index, expr in enumerate(queries):
        panel = panel.with_target(query(index, expr).instant().format(PromQueryFormat.TABLE))
    if joined:
        options = {"byField": joined, "mode": "outer"}
        panel = panel.with_transformation(model.DataTransformerConfig(id_val="joinByField", options=options))
    order = {name: index for index, name in enumerate(columns)}
    kept = {"include": {"names": list(columns)}}
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="filterFieldsByName", options=kept))
    options = {"indexByName": order, "renameByName": columns, "excludeByName": {}}
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="organize", options=options))
    if none:
        panel = panel.no_value(none)
    if sort:
        panel = panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(True)])
    for name, width in (widths or {}).items():
        panel = column(panel, name, width=width)
    return panel.thresholds(thresholds("green")).color_scheme(by_threshold())


def column(panel, name, *, width=None, cell=None, **properties):
    """What one column of a table looks like: its width in pixels, its kind of cell, `unit`, `mappings`, …"""
    values = [model.DynamicConfigValue(id_val=key, value=value) for key, value in properties.items()]
    if width:
        values.append(model.DynamicConfigValue(id_val="custom.width", value=width))
    if cell:
        values.append(model.DynamicConfigValue(id_val="custom.cellOptions", value=cell))
    return panel.override_by_name(name, values)


class EventQuery(model.AnnotationQuery):
    """The SDK's type leaves out the keys that the Prometheus data source reads of an annotation."""

    title_format = ""
    text_format = ""

    def to_json(self):
        return super().to_json() | {"titleFormat": self.title_format, "textFormat": self.text_format}


class Events(build.AnnotationQuery):
    """Marks in every graph: the moments at which `expr` has a value."""

    def __init__(self, name, color, expr, title, text):
        super().__init__()
        self._internal = EventQuery()
        self._internal.title_format = title
        self._internal.text_format = text
        self.name(name).datasource(SOURCE).enable(True).icon_color(color).expr(expr)


def events():
    decided = f'changes(obs_scaler_last_decision_timestamp_seconds{{{POOL}, direction="%s"}}[1m]) > 0'
    firing = f'ALERTS{{{JOB}, alertname=~"Obs.+", alertstate="firing"}} == 1'
    return [
        Events("Orders", "blue", decided % "apply", "Order", "{{pool}}"),
        Events("Releases", "purple", decided % "release", "Release", "{{pool}}"),
        Events("Alerts", "red", firing, "{{alertname}}", "{{pool}} {{backend}} {{worker}}").enable(False),
    ]


def variable(name, label, metric, matchers):
    """A choice among the values of a label; all of them, to begin with."""
    values = f"label_values({metric}{{{matchers}}}, {name})" if matchers else f"label_values({metric}, {name})"
    choice = build.QueryVariable(name).label(label).query(values).datasource(SOURCE)
    choice = choice.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)
    choice = choice.multi(True).include_all(True).all_value(".+")
    return choice.current(model.VariableOption(selected=True, text="All", value="$__all"))


def variables():
    pool = "obs_scaler_pool_instances_per_worker"
    source = build.DatasourceVariable("datasource").label("Data source").type("prometheus")
    return [
        source.current(model.VariableOption(selected=True, text="default", value="default")),
        variable("job", "Job", "obs_scaler_build_info", None),
        variable("pool", "Pool", pool, JOB),
        variable("arch", "Arch", pool, POOL),
        variable("level", "Level", pool, f'{POOL}, arch=~"$arch"'),
    ]


def board(uid, title, description, contents, more_variables=()):
    """A dashboard: `contents` is rows, each a title and its panels."""
    result = build.Dashboard(f"obs-scaler / {title}").uid(uid).description(description).tags(["obs-scaler"])
    result = result.readonly().refresh("30s").time("now-6h", "now").timezone("browser")
    result = result.tooltip(model.DashboardCursorSync.CROSSHAIR)
    result = result.variables([*variables(), *more_variables]).annotations(events())
    others = build.DashboardLink("obs-scaler").type(model.DashboardLinkType.DASHBOARDS).tags(["obs-scaler"])
    result = result.link(others.include_vars(True).keep_time(True))
    number = 0
    for heading, panels in contents:
        number += 1
        result = result.with_row(build.Row(heading).id(number))
        for panel in panels:
            number += 1
            result = result.with_panel(panel.id(number))
    return result.build()
