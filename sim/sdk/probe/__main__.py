"""python3 -m probe OBS-SIM: starts that simulator, asks it everything, and ends it. 1 if anything is wrong."""

import sys
import time
from types import SimpleNamespace

from . import buying, changing, looking, refusing
from .cloud import Cloud, Guard, simulator
from .report import Report


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    began, report = time.monotonic(), Report()
    with simulator(sys.argv[1]) as endpoint:
        guard = Guard(endpoint)
        ask(Cloud(endpoint), report)
        with report.group("sockets"):
            report.same("connections to elsewhere that were tried", guard.refused, [])
    seconds = time.monotonic() - began
    failed = f", {len(report.failed)} failed: {', '.join(report.failed)}" if report.failed else ", all as documented"
    print(f"the official SDK against the simulator: {report.groups} groups, {report.total} checks in {seconds:.0f} s{failed}")
    return 1 if report.failed else 0


def ask(cloud, report):
    """In this order: each group rests on what those before it bought."""
    state = SimpleNamespace(ids=[], more=[], job=None, alone=None, used=None)
    for name, group in (
        ("flavors", buying.flavors), ("around", buying.surroundings), ("limits", buying.limits), ("dry run", buying.dry_run),
    ):
        with report.group(name):
            group(cloud, report)
    for name, group in (
        ("create", buying.create), ("jobs", buying.jobs), ("numbering", buying.numbering), ("shape", buying.shape),
        ("paging", looking.paging), ("filters", looking.filters), ("list v1.1", looking.flat), ("tags", changing.tags), ("power", changing.power), ("end of life", changing.end_of_life),
        ("errors", refusing.errors), ("signatures", refusing.signatures), ("delete", changing.delete),
    ):
        with report.group(name):
            group(cloud, report, state)


sys.exit(main())
