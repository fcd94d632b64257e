#!/bin/bash
# monitoring.sh - a real Prometheus and a real Alertmanager on loopback, with the config files given.
#
#   monitoring.sh up --prometheus-config FILE --alertmanager-config FILE --prometheus-port P --alertmanager-port P
#   monitoring.sh down
#
# Rules are found as the Prometheus config names them; relative names count from that file.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

check_configs() { # the tools' own words when a file is wrong
  promtool check config "$1" >"$LOGS/promtool.log" 2>&1 || { cat "$LOGS/promtool.log" >&2; die "promtool refuses $1"; }
  amtool check-config "$2" >"$LOGS/amtool.log" 2>&1 || { cat "$LOGS/amtool.log" >&2; die "amtool refuses $2"; }
}

start_prometheus() { # start_prometheus CONFIG PORT
  # an alert that fires before the Alertmanager is discovered is lost until it is sent again: a minute by default
  spawn prometheus prometheus --config.file="$1" --web.listen-address="127.0.0.1:$2" \
    --web.external-url="http://127.0.0.1:$2/" --web.enable-lifecycle --rules.alert.resend-delay=5s --storage.tsdb.path="$RIG_ROOT/prometheus"
  wait_http "http://127.0.0.1:$2/-/ready" 20 || die "Prometheus is not ready, see $LOGS/prometheus.log"
  say "prometheus http://127.0.0.1:$2 pid $(pid_of prometheus)"
}

start_alertmanager() { # start_alertmanager CONFIG PORT
  # no cluster address: there is one, and gossip would open another port
  spawn alertmanager prometheus-alertmanager --config.file="$1" --web.listen-address="127.0.0.1:$2" \
    --web.external-url="http://127.0.0.1:$2/" --cluster.listen-address= --storage.path="$RIG_ROOT/alertmanager"
  wait_http "http://127.0.0.1:$2/-/ready" 20 || die "Alertmanager is not ready, see $LOGS/alertmanager.log"
  say "alertmanager http://127.0.0.1:$2 pid $(pid_of alertmanager)"
}

cmd_up() {
  local prometheus='' alertmanager='' prometheus_port='' alertmanager_port=''
  while [ $# -gt 1 ]; do
    case $1 in
      --prometheus-config) prometheus=$2;;
      --alertmanager-config) alertmanager=$2;;
      --prometheus-port) prometheus_port=$2;;
      --alertmanager-port) alertmanager_port=$2;;
      *) die "no option $1";;
    esac
    shift 2
  done
  [[ -n $prometheus && -n $alertmanager && -n $prometheus_port && -n $alertmanager_port ]] \
    || die "up wants --prometheus-config, --alertmanager-config, --prometheus-port and --alertmanager-port"
  command -v prometheus prometheus-alertmanager >/dev/null || die "not installed: run $RIG_HERE/install.sh"
  make_root_dir
  check_configs "$prometheus" "$alertmanager"
  start_alertmanager "$alertmanager" "$alertmanager_port"
  start_prometheus "$prometheus" "$prometheus_port"
}

cmd_down() {
  reap prometheus alertmanager
  say "monitoring is down"
}

case ${1:-} in
  up|down) verb=$1; shift; "cmd_$verb" "$@";;
  *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"; exit 2;;
esac
