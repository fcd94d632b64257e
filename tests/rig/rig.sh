#!/bin/bash
# rig.sh - a real Open Build Service backend on loopback, without systemd.
#
#   rig.sh up                     start source and repository server, schedulers, dispatcher, warden, publisher
#   rig.sh seed                   base project with one tiny rpm, and the project openEuler:Mainline
#   rig.sh queue N [ARCH] [SECONDS] [PREFIX]
#                                 N new packages, scheduled on ARCH (x86_64, aarch64, both); each builds SECONDS long
#   rig.sh outcome PACKAGE ok|fail|unchanged|badhost [SECONDS]
#                                 how the package's next builds end, whatever `queue` said
#   rig.sh package NAME ARCH SECONDS processors=N|jobs=N [NEEDS]
#                                 one new package that asks that of its worker, and is built with the package NEEDS
#   rig.sh forget WORKER          take a worker out of OBS' lists, whatever state it is listed in
#   rig.sh rebuild PACKAGE ARCH   schedule it once more
#   rig.sh fault NAME [VALUE]     a fault for machines booted from now on (README.md lists them)
#   rig.sh clear [NAME]           take one fault back, or all
#   rig.sh daemon stop|start NAME one of the daemons that `status` lists
#   rig.sh status                 daemons, machines, and OBS' own worker status
#   rig.sh down                   stop all that the rig started; what OBS knows stays on disk
#   rig.sh wipe                   down, and delete everything
#
# --backend 2 before the verb speaks of a second backend beside the first, with a project of its own; it is started after
# the first one, and both go down together.
#
# RIG_ROOT (default /var/tmp/obs-scaler-rig) holds all of it.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=packages.sh
. "$RIG_HERE/packages.sh"

DAEMONS='srcserver repserver sched-x86_64 sched-aarch64 dispatch publish warden'

#--- what must hold before anything is started

# The package itself makes /srv/obs/repos and /srv/obs/run; anything in them, or beside them, is somebody's OBS.
need_no_other_obs() {
  local found
  found=$(find /srv/obs -mindepth 1 ! -path /srv/obs/repos ! -path /srv/obs/run -print -quit 2>/dev/null || true)
  [ -z "$found" ] || die "/srv/obs is in use ($found): a real OBS lives here, and the rig would take its ports"
}

take_lock() { # held by a process of its own until `down`; the file says by whom
  alive keeper && return 0
  flock -n "$LOCK" true || die "another rig is up: $(cat "$LOCK"). Take it down with its RIG_ROOT first"
  spawn keeper bash -c "exec 9>>$LOCK; flock -n 9 || exit 1; echo \"pid \$\$, RIG_ROOT=$RIG_ROOT, since \$(date -Is)\" >$LOCK; exec sleep infinity"
  sleep 0.3
  alive keeper || die "another rig came up just now: $(cat "$LOCK")"
}

need_free_ports() {
  local busy
  busy=$(ss -Hltn "( sport = :${REP##*:} or sport = :${SRC##*:} )")
  [ -z "$busy" ] || die "port ${REP##*:} or ${SRC##*:} is taken, OBS cannot listen: $busy"
}

#--- a copy of the packaged server, so that neither the package's files nor /srv/obs are touched

install_server() {
  rm -rf "$CODE"
  cp -aL /usr/lib/obs/server "$CODE"
  # every machine fetches this folder: leave out what only real build roots need
  rm -rf "$CODE/build/configs" "$CODE/build/qemu-reg"
  install -m 755 "$RIG_HERE/build-stand-in.sh" "$CODE/build/build"
  sed -i "s#@RIG_ROOT@#$RIG_ROOT#" "$CODE/build/build"
  # BSConfig.pm is part of the code that a worker takes from each backend: were it another text at each of two,
  # a worker of both would take new code, and leave the lists for seconds, at every change between them.
  cat >>"$CODE/BSConfig.pm" <<'CONFIG'
package BSConfig;
if ($ENV{RIG_OBS}) {
  our $bsdir = $ENV{RIG_OBS};
  our $rundir = "$ENV{RIG_OBS}/run";
  our $logdir = "$ENV{RIG_OBS}/log";
  our $srcserver = $ENV{RIG_SRC};
  our $reposerver = $ENV{RIG_REP};
}
our $serviceserver;
undef $serviceserver;
our $ipaccess = { '127\..*' => 'rw,worker' };
our $obsname = 'rig';
our $sign_project = 0;
1;
CONFIG
}

make_obs_dir() {
  mkdir -p "$OBS"/{run,log,jobs/x86_64,jobs/aarch64,workers,events,repos}
  chown -R obsrun:obsrun "$OBS"
}

#--- daemons

command_of() { # command_of DAEMON
  case $1 in
    sched-*) echo "$CODE/bs_sched ${1#sched-}";;
    *) echo "$CODE/bs_$1";;
  esac
}

start_daemon() {
  # shellcheck disable=SC2046 # a command and its argument
  spawn "$1$MARK" $(command_of "$1")
  case $1 in
    srcserver) wait_http "$SRC/" 20 || die "no answer from $SRC, see $LOGS/srcserver$MARK.log";;
    repserver) wait_http "$REP/" 20 || die "no answer from $REP, see $LOGS/repserver$MARK.log";;
  esac
}

one_at_a_time() { # an `up` while a `down` still works would lose sight of what it starts
  need_host
  mkdir -p /run/lock
  exec 9>>"$LOCK.verb"
  flock 9
}

cmd_up() {
  local d
  one_at_a_time
  need_no_other_obs
  make_root_dir
  take_lock
  alive "srcserver$MARK" || { need_free_ports; install_server; make_obs_dir; }
  for d in $DAEMONS; do start_daemon "$d"; done
  say "up at $RIG_ROOT: source server $SRC, repository server $REP"
}

cmd_down() {
  local m b
  one_at_a_time
  [ -d "$PIDS" ] || { say "down"; return 0; }
  for m in "$RIG_ROOT"/machines/*/; do
    [ ! -d "$m" ] || "$RIG_HERE/machine.sh" destroy --id "$(basename "$m")"
  done
  "$RIG_HERE/monitoring.sh" down >/dev/null
  for b in $BACKENDS; do
    use_backend "$b"
    # shellcheck disable=SC2086 # a list of names
    reap $(printf "%s$MARK " $DAEMONS)
  done
  reap keeper
  say "down"
}

cmd_wipe() {
  need_root_dir
  cmd_down
  rm -rf "${RIG_ROOT:?}"
  say "wiped"
}

cmd_daemon() {
  local verb=${1:?stop or start} name=${2:?a daemon}
  case " $DAEMONS " in *" $name "*) ;; *) die "no daemon $name: one of $DAEMONS";; esac
  need_up
  case $verb in
    stop) reap "$name$MARK";;
    start) start_daemon "$name";;
    *) die "daemon stop|start NAME";;
  esac
}

cmd_status() {
  local d m
  alive keeper || { say "down"; return 0; }
  for d in $DAEMONS; do
    if alive "$d$MARK"; then echo "daemon $d$MARK running, pid $(pid_of "$d$MARK")"; else echo "daemon $d$MARK NOT running"; fi
  done
  for m in "$RIG_ROOT"/machines/*/; do [ ! -d "$m" ] || echo "machine $(basename "$m") $(cat "$m/summary")"; done
  curl -s -m 5 "$REP/workerstatus"
}

#--- faults

cmd_fault() {
  local name=${1:?a fault}
  grep -q "^| \`$name\`" "$RIG_HERE/README.md" || die "no fault $name: README.md lists them"
  need_up
  echo "${2:-}" >"$RIG_ROOT/faults/$name"
}

cmd_clear() {
  need_up
  if [ $# -gt 0 ]; then rm -f "$RIG_ROOT/faults/$1"; else rm -f "$RIG_ROOT"/faults/*; fi
}

if [ "${1:-}" = --backend ]; then
  use_backend "${2:?1 or 2}"
  shift 2
fi
verb=${1:-help}
[ $# -eq 0 ] || shift
case $verb in
  up|down|wipe|status|seed|queue|package|outcome|rebuild|forget|fault|clear|daemon) "cmd_$verb" "$@";;
  help|--help|-h) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0";;
  *) die "no verb $verb: see $0 help";;
esac
