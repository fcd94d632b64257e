"""python3 -m generate [--check]: writes the dashboards, or says which of them are not what this writes."""

import json
import pathlib
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from . import overview, scaling, workers

FOLDER = pathlib.Path(__file__).parents[1] / "dashboards"


def main() -> int:
    written = {}
    for board in (overview, scaling, workers):
        dashboard = board.dashboard()
        text = json.dumps(dashboard, cls=JSONEncoder, indent=2, ensure_ascii=False)
        written[f"{dashboard.uid}.json"] = text + "\n"
    if "--check" not in sys.argv:
        for name, text in written.items():
            (FOLDER / name).write_text(text, encoding="utf-8")
        return 0
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    wrong = sorted(name for name in written.keys() | there.keys() if written.get(name) != there.get(name))
    for name in wrong:
        print(f"grafana/dashboards/{name} is not what grafana/generate writes: run make dashboards")
    return 1 if wrong else 0


sys.exit(main())
