#!/bin/bash
# side-by-side.sh - the same 100,000 series from obs-scaler, from Python's client library and from
# pushgateway, each asked over loopback; prints a table.
#
# Makes a venv under target/, and installs Debian's prometheus-pushgateway where it is not there. Ports
# from FIRST_PORT on (21400 unless told otherwise).
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
cd "$(dirname "$0")/.."

FIRST_PORT=${FIRST_PORT:-21400}
OURS=http://127.0.0.1:$FIRST_PORT
PYTHON=http://127.0.0.1:$((FIRST_PORT + 1))
PUSHGATEWAY=http://127.0.0.1:$((FIRST_PORT + 2))
VENV=target/side-by-side
ROUNDS=${ROUNDS:-9}
WORK=$(mktemp -d)
STARTED=()

die() { echo "side-by-side: ERROR: $*" >&2; exit 1; }

end() { # only what was started here
  local pid
  for pid in "${STARTED[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$WORK"
}
trap end EXIT

install_missing() {
  if ! command -v prometheus-pushgateway >/dev/null; then
    printf '#!/bin/sh\nexit 101\n' >"$WORK/policy"
    [ -e /usr/sbin/policy-rc.d ] || { install -m 755 "$WORK/policy" /usr/sbin/policy-rc.d; trap 'rm -f /usr/sbin/policy-rc.d; end' EXIT; }
    apt-get install -qq -y --no-install-recommends prometheus-pushgateway >"$WORK/apt" 2>&1 || die "apt-get: $(tail -3 "$WORK/apt")"
  fi
  [ -x $VENV/bin/python ] || python3 -m venv $VENV
  $VENV/bin/python -c 'import prometheus_client' 2>/dev/null || $VENV/bin/pip install -q prometheus-client
}

started() { # started URL PID LOG: waits until the port listens
  local deadline=$((SECONDS + 600))
  until curl -sf -o /dev/null -I "$1" || curl -sf -o /dev/null "$1"; do
    kill -0 "$2" 2>/dev/null || die "$(cat "$3")"
    [ $SECONDS -lt $deadline ] || die "$1 does not answer"
    sleep 0.2
  done
}

resident() { # resident PID: the largest resident set since the last mark, in MiB
  awk '/^VmHWM/ { printf "%d", $2 / 1024 }' "/proc/$1/status"
}

median_ms() { # median_ms CURL-ARGUMENT...: of ROUNDS requests
  local i
  for ((i = 0; i < ROUNDS; i++)); do curl -sf -o /dev/null -w '%{time_total}\n' "$@"; done |
    sort -n | awk '{ t[NR] = $1 } END { printf "%.0f", 1000 * t[int((NR + 1) / 2)] }'
}

row() { # row NAME PID URL CURL-ARGUMENT...
  local name=$1 pid=$2 url=$3 before after bytes
  shift 3
  before=$(awk '/^VmRSS/ { printf "%d", $2 / 1024 }' "/proc/$pid/status")
  echo 5 >"/proc/$pid/clear_refs"
  bytes=$(curl -sf -o /dev/null -w '%{size_download}' "$@" "$url")
  after=$(resident "$pid")
  printf '| %s | %s | %.1f | %s | %s |\n' "$name" "$(median_ms "$@" "$url")" \
    "$(awk "BEGIN { print $bytes / 1e6 }")" "$before" "$((after > before ? after - before : 0))"
}

install_missing
BENCH=$(cargo bench --quiet --no-run --message-format=json --bench metrics |
  sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1)

"$BENCH" serve "${OURS#http://}" >"$WORK/ours" 2>&1 &
OURS_PID=$!; STARTED+=("$OURS_PID")
started "$OURS/metrics" $OURS_PID "$WORK/ours"
# what both others can take: the gauges that are many
curl -sf "$OURS/metrics" | grep -E '^(# (HELP|TYPE) )?obs_(packages|worker_instances)[ {]' >"$WORK/series"

$VENV/bin/python benches/python_client.py "${PYTHON##*:}" "$WORK/series" >"$WORK/python" 2>&1 &
PYTHON_PID=$!; STARTED+=("$PYTHON_PID")
prometheus-pushgateway --web.listen-address="${PUSHGATEWAY#http://}" >"$WORK/pushgateway" 2>&1 &
PUSHGATEWAY_PID=$!; STARTED+=("$PUSHGATEWAY_PID")
started "$PYTHON/metrics" $PYTHON_PID "$WORK/python"
started "$PUSHGATEWAY/-/ready" $PUSHGATEWAY_PID "$WORK/pushgateway"
curl -sf --data-binary @"$WORK/series" "$PUSHGATEWAY/metrics/job/bench" || die "pushgateway did not take the series"

echo "$(grep -vc '^#' "$WORK/series") series over loopback, the median of $ROUNDS requests; $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)"
echo "| GET /metrics | ms | MB | resident MiB before | more at the peak, MiB |"
echo "| --- | ---: | ---: | ---: | ---: |"
OPENMETRICS='Accept: application/openmetrics-text;version=1.0.0'
row "obs-scaler, 0.0.4" $OURS_PID "$OURS/metrics"
row "obs-scaler, 0.0.4, gzip" $OURS_PID "$OURS/metrics" -H 'Accept-Encoding: gzip'
row "obs-scaler, OpenMetrics" $OURS_PID "$OURS/metrics" -H "$OPENMETRICS"
row "obs-scaler, OpenMetrics, gzip" $OURS_PID "$OURS/metrics" -H "$OPENMETRICS" -H 'Accept-Encoding: gzip'
row "pushgateway $(prometheus-pushgateway --version 2>&1 | sed -n 's/.*version \([^ ]*\).*/\1/p' | head -1), 0.0.4" $PUSHGATEWAY_PID "$PUSHGATEWAY/metrics"
row "pushgateway, 0.0.4, gzip" $PUSHGATEWAY_PID "$PUSHGATEWAY/metrics" -H 'Accept-Encoding: gzip'
VERSION=$($VENV/bin/python -c 'from importlib.metadata import version; print(version("prometheus_client"))')
row "Python prometheus-client $VERSION, 0.0.4" $PYTHON_PID "$PYTHON/metrics"
row "Python, 0.0.4, gzip" $PYTHON_PID "$PYTHON/metrics" -H 'Accept-Encoding: gzip'
row "Python, OpenMetrics" $PYTHON_PID "$PYTHON/metrics" -H "$OPENMETRICS"
