#!/bin/bash
# systemctl-stand-in.sh - systemctl for the one unit that a worker machine is asked about.
# It drives the packaged /etc/init.d/obsworker. "active" means that a bs_worker runs; real systemd may go on saying
# "active" for a oneshot unit whose processes have all left.
verb='' unit=''
for word in "$@"; do
  case $word in
    -*) ;;
    *) if [ -z "$verb" ]; then verb=$word; else unit=${word%.service}; fi;;
  esac
done
FAULTS=/run/rig-faults

# by command name: the full command line would match the asking shell as well
running() { pgrep -x bs_worker >/dev/null; }

start() {
  running && return 0
  if [ -e $FAULTS/service-broken ]; then
    echo "Job for obsworker.service failed because the control process exited with error code." >&2
    return 1
  fi
  /etc/init.d/obsworker start </dev/null >>/var/log/obsworker.log 2>&1 || return 1
  # systemd knows the processes of a unit at once; screen takes a moment to start them
  for _ in {1..30}; do running && break; sleep 0.1; done
  [ ! -e $FAULTS/service-dies ] || { sleep 2; killall -KILL bs_worker; } >/dev/null 2>&1 &
}

stop() { # the script ends non-zero when its last killall finds nothing left
  /etc/init.d/obsworker stop </dev/null >>/var/log/obsworker.log 2>&1
  ! running
}

is_active() {
  if running; then echo active; else echo inactive; return 3; fi
}

case $verb:$unit in
  start:obsworker) start;;
  stop:obsworker) stop;;
  restart:obsworker) stop; start;;
  is-active:obsworker) is_active;;
  status:obsworker) echo "obsworker.service - Open Build Service worker: $(is_active)"; pgrep -ax bs_worker;;
  is-enabled:obsworker) echo disabled; exit 1;;
  daemon-reload:*) ;;
  *) echo "systemctl stand-in: no unit '$unit' or verb '$verb' here" >&2; exit 5;;
esac
