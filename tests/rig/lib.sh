# lib.sh - what the rig's scripts share; sourced, never run.
# shellcheck shell=bash disable=SC2034 # its readers use what it defines

# Everything that the rig makes lives under RIG_ROOT.
RIG_ROOT=${RIG_ROOT:-/var/tmp/obs-scaler-rig}
RIG_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Backend 1 listens on OBS' own ports, and 2 on those beside: one rig a machine. Nothing of one is known to the other.
BACKENDS='1 2'
use_backend() { # use_backend 1|2: where it listens, what its processes, folders and project are called
  case $1 in
    1) MARK='' PROJECT=openEuler:Mainline;;
    2) MARK=-2 PROJECT=openEuler:24.03:LTS;;
    *) die "--backend $1: one of $BACKENDS";;
  esac
  REP=http://127.0.0.1:$((5251 + $1))
  SRC=http://127.0.0.1:$((5351 + $1))
  CODE=$RIG_ROOT/server$MARK
  OBS=$RIG_ROOT/obs$MARK
  export RIG_OBS=$OBS RIG_REP=$REP RIG_SRC=$SRC
}
LOCK=/run/lock/obs-scaler-rig.lock
PIDS=$RIG_ROOT/pid
LOGS=$RIG_ROOT/log
export RIG_ROOT LC_ALL=C PATH=/usr/sbin:/sbin:/usr/bin:/bin

say() { echo "rig: $*"; }
die() { echo "rig: ERROR: $*" >&2; exit 1; }
use_backend 1

need_host() {
  [ -e /etc/debian_version ] || die "this is not Debian: the rig runs Debian's obs-server and obs-worker and has no stand-in for them"
  [ "$(id -u)" = 0 ] || die "must be root: the rig makes mount and pid namespaces and adds loopback addresses. Try: sudo $0"
  [[ -x /usr/lib/obs/server/bs_srcserver && -x /etc/init.d/obsworker ]] || die "OBS is not installed: run $RIG_HERE/install.sh"
}

# A machine mounts its own copies of these, so the rig's root cannot lie in one of them.
need_root_dir() {
  case $RIG_ROOT in
    /etc/*|/usr/*|/root/*|/home/*|/opt/*|/srv/*|/run/*|/tmp/*|/var/lib/*|/var/log/*|/var/cache/*|/var/spool/*)
      die "RIG_ROOT=$RIG_ROOT lies where the machines have their own file systems: take a folder under /var/tmp";;
    /*/*) ;;
    *) die "RIG_ROOT=$RIG_ROOT: an absolute path below a top-level folder, please";;
  esac
  [ ! -d "$RIG_ROOT" ] || [ -e "$RIG_ROOT/.obs-scaler-rig" ] || [ -z "$(ls -A "$RIG_ROOT")" ] \
    || die "$RIG_ROOT is not empty and not the rig's: it would be wiped"
}

make_root_dir() {
  need_root_dir
  mkdir -p "$RIG_ROOT"/{pid,log,keys,faults,machines,builds}
  chmod 755 "$RIG_ROOT"
  : >"$RIG_ROOT/.obs-scaler-rig"
}

need_up() { alive keeper || die "the rig at $RIG_ROOT is not up: run $RIG_HERE/rig.sh up"; }

# --- processes: a pid alone may have been given to somebody else since, so its start time is kept with it

started_at() { # started_at PID: clock ticks since boot; fails when there is no such process
  local line
  line=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # after the command in parentheses, the start time is the 20th field
  # shellcheck disable=SC2086 # into words
  set -- ${line##*) }
  [ "$1" != Z ] || return 1
  echo "${20}"
}

pid_of() { # pid_of NAME: its pid while it runs
  local pid at
  read -r pid at 2>/dev/null <"$PIDS/$1" || return 1
  [ "$(started_at "$pid")" = "$at" ] || return 1
  echo "$pid"
}

alive() { pid_of "$1" >/dev/null; }

record() { # record NAME PID
  echo "$2 $(started_at "$2")" >"$PIDS/$1" || die "$1 ended at once, see $LOGS/$1.log"
}

spawn() { # spawn NAME COMMAND...: in a session of its own
  local name=$1 pid
  shift
  alive "$name" && return 0
  setsid "$@" >>"$LOGS/$name.log" 2>&1 </dev/null 9>&- &
  pid=$!
  record "$name" "$pid"
}

session_gone() { # session_gone PID: nothing is left of its process group
  ! kill -0 -- "-$1" 2>/dev/null
}

all_gone() { # all_gone PID...
  local pid
  for pid in "$@"; do session_gone "$pid" || return 1; done
}

reap() { # reap NAME...: TERM to the sessions that we started, KILL to what is left after 2 s
  local name pid i pids=()
  for name in "$@"; do
    if pid=$(pid_of "$name"); then
      pids+=("$pid")
      kill -TERM -- "-$pid" 2>/dev/null || true
    fi
  done
  for ((i = 0; i < 20; i++)); do all_gone "${pids[@]}" && break; sleep 0.1; done
  for pid in "${pids[@]}"; do session_gone "$pid" || kill -KILL -- "-$pid" 2>/dev/null || true; done
  for name in "$@"; do rm -f "$PIDS/$name"; done
}

wait_http() { # wait_http URL SECONDS
  local i
  for ((i = 0; i < $2 * 5; i++)); do
    curl -sf -o /dev/null -m 2 "$1" && return 0
    sleep 0.2
  done
  return 1
}
