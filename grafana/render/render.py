#!/usr/bin/env python3
"""Draws the dashboards with the answers of a real Prometheus and with Grafana's own UI library.

Beforehand: npm install (in this folder), and Debian's chromium and pngquant.
"""

import argparse
import json
import pathlib
import re
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).parent
STEPS = 240


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--prometheus", default="http://127.0.0.1:19090", help="the one that has watched the run")
    parser.add_argument("--seconds", type=int, default=120, help="how much time to show")
    parser.add_argument("--at", type=float, default=None, help="the end of that time, in seconds since 1970; by default now")
    parser.add_argument("--scrape-interval", type=int, default=1, help="of that Prometheus, in seconds")
    parser.add_argument("--out", type=pathlib.Path, default=HERE.parents[1] / "docs/pictures")
    parser.add_argument("dashboards", nargs="*", type=pathlib.Path, default=sorted((HERE.parent / "dashboards").glob("*.json")))
    return parser.parse_args()


def asked(expr, step, options):
    """With everything chosen in the variables, and with Grafana's $__rate_interval."""
    interval = max(step + options.scrape_interval, 4 * options.scrape_interval)
    expr = expr.replace("$__rate_interval", f"{interval}s").replace("$__range", f"{options.seconds}s")
    return re.sub(r"\$[a-z]+", ".+", expr)


def step_of(options):
    return max(1, options.seconds // STEPS)


def answer(target, options, end):
    step = step_of(options)
    query = {"query": asked(target["expr"], step, options)}
    if target["instant"]:
        route, query = "query", query | {"time": end}
    else:
        route, query = "query_range", query | {"start": end - options.seconds, "end": end, "step": step}
    url = f"{options.prometheus}/api/v1/{route}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=30) as reply:
        return json.load(reply)["data"]["result"]


def draw(path, folder, options, end):
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    answers = {panel["id"]: [answer(target, options, end) for target in panel["targets"]] for panel in panels}
    for panel in panels:
        for target, series in zip(panel["targets"], answers[panel["id"]]):
            if not series:
                print(f"  nothing: {dashboard['title']} / {panel['title']} / {target['refId']}")
    picture = {"dashboard": dashboard, "answers": answers, "from": end - options.seconds, "to": end, "step": step_of(options)}
    page = (HERE / "page.html").read_text(encoding="utf-8").replace("PICTURE_HERE", json.dumps(picture).replace("</", "<\\/"))
    html = folder / f"{path.stem}.html"
    html.write_text(page, encoding="utf-8")
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"]) * 38 + 100
    out = options.out / f"{path.stem.removeprefix('obs-scaler-')}.png"
    chromium = [
        "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files",
        f"--user-data-dir={folder}/chromium", "--enable-logging=stderr", "--virtual-time-budget=8000",
        f"--window-size=1600,{height}", f"--screenshot={out.resolve()}", html.as_uri(),
    ]
    run = subprocess.run(chromium, capture_output=True, text=True, timeout=180, check=True)
    for line in run.stderr.splitlines():
        if "CONSOLE" in line:
            print(f"  {line[:300]}")
    smaller = ["pngquant", "--force", "--skip-if-larger", "--ext=.png", str(out)]
    subprocess.run(smaller, check=False)
    print(f"{out}: {out.stat().st_size // 1000} kB")


def main():
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    end = options.at or time.time()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        bundle = [
            "npx", "esbuild", "app.jsx", "--bundle", "--format=esm", "--minify", "--jsx=automatic", "--log-level=error",
            "--loader:.svg=dataurl", "--alias:react-custom-scrollbars-2=./scrollbars.js", "--loader:.ttf=dataurl", "--define:process.env.NODE_ENV=\"production\"", f"--outfile={folder}/app.js",
        ]
        subprocess.run(bundle, cwd=HERE, check=True)
        (folder / "app.css").touch()
        for path in options.dashboards:
            draw(path, folder, options, end)


main()
