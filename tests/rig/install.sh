#!/bin/bash
# install.sh [--yes] - install what the rig needs and is not there yet (Debian 12, root).
#
# On a terminal it asks first; with --yes, with CI=true or without a terminal it does not.
# No service is started, and cloud-init stays switched off on this host.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
POLICY=/usr/sbin/policy-rc.d

# package, and why the rig wants it
NEEDS="
obs-server               source and repository server, schedulers, dispatcher, warden, publisher
obs-worker               the worker's init script and its settings file
rpm                      rpmbuild, which makes the packages that the builds deliver
openssh-server           each machine's own sshd
openssh-client           ssh-keygen, and ssh for whoever drives a machine
cloud-init               runs each machine's user data
iproute2                 ip and ss: one loopback address a machine
util-linux               unshare, flock, setsid
curl                     talks to the OBS backend
cpio                     unpacks the worker code, as the init script does
screen                   the init script runs each instance in it
psmisc                   killall, which the init script calls
procps                   pgrep and uptime for the worker
prometheus               prometheus and promtool
prometheus-alertmanager  alertmanager and amtool
prometheus-node-exporter what a worker's resource use is read from
python3-venv             Grafana's own types and Huawei Cloud's own SDK, which the checks use, are Python packages
"

die() { echo "install: ERROR: $*" >&2; exit 1; }

check_host() {
  local id=''
  # shellcheck source=/dev/null
  [ ! -r /etc/os-release ] || id=$(. /etc/os-release && echo "${ID:-}")
  [ "$id" = debian ] || die "this is '${id:-unknown}', not Debian: obs-server and obs-worker come from Debian's packages. Use a Debian 12 machine or container."
  [ "$(id -u)" = 0 ] || die "must be root: apt-get installs packages, and the rig needs mount and pid namespaces. Try: sudo $0"
}

missing() { # names of the packages that are not fully installed
  local names
  names=$(awk 'NF { print $1 }' <<<"$NEEDS")
  # shellcheck disable=SC2086 # a list of words
  dpkg-query -W -f='${Package} ${db:Status-Status}\n' $names 2>/dev/null \
    | awk -v names="$names" '$2 == "installed" { have[$1] = 1 }
        END { n = split(names, all, "\n"); for (i = 1; i <= n; i++) if (!(all[i] in have)) print all[i] }' || true
}

announce() { # announce PACKAGE...
  local p
  echo "install: Debian packages that the rig needs and this machine lacks:"
  for p in "$@"; do awk -v p="$p" '$1 == p { print "  " $0 }' <<<"$NEEDS"; done
  echo "install: without recommended packages; no service is started."
}

confirm() {
  local answer
  [ "$YES" = no ] && [ "${CI:-}" != true ] && [ -t 0 ] || return 0
  read -r -p "install: go on? [y/N] " answer
  case $answer in y|Y|yes) ;; *) die "nothing installed: you said no";; esac
}

hold_services() { # nothing may start while packages are being installed
  [ ! -e "$POLICY" ] || return 0
  printf '#!/bin/sh\nexit 101\n' >"$POLICY"
  chmod 755 "$POLICY"
  # shellcheck disable=SC2064 # the path is fixed
  trap "rm -f $POLICY" EXIT
}

disable_cloud_init() { # upstream's own switch: a boot of this host must not meet a cloud-init it never asked for
  mkdir -p /etc/cloud
  echo "written by obs-scaler's test rig, which installed cloud-init for its machines only" >/etc/cloud/cloud-init.disabled
}

apt_install() {
  apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold "$@"
}

lists_are_fresh() {
  [ -n "$(find /var/lib/apt/lists -name '*Packages*' -mtime -1 -print -quit 2>/dev/null)" ]
}

install_all() { # install_all PACKAGE...
  local log
  log=$(mktemp /var/tmp/obs-scaler-rig-apt.XXXXXX)
  echo "install: apt's output goes to $log"
  lists_are_fresh || apt-get update -q -o DPkg::Lock::Timeout=600 >>"$log" 2>&1 || die "apt-get update failed, see $log"
  if ! apt_install "$@" >>"$log" 2>&1; then
    echo "install: apt tripped; once more"
    { dpkg --configure -a && apt-get update -q; } >>"$log" 2>&1 || true
    apt_install "$@" >>"$log" 2>&1 || { tail -n 15 "$log" >&2; die "apt failed twice, see $log"; }
  fi
  rm -f "$log"
}

YES=no
case ${1:-} in
  '') ;;
  -y|--yes) YES=yes;;
  *) sed -n '2,5s/^# \{0,1\}//p' "$0"; [ "$1" = --help ] && exit 0; exit 2;;
esac
check_host
mapfile -t want < <(missing)
[ "${#want[@]}" -gt 0 ] || { echo "install: all there"; exit 0; }
announce "${want[@]}"
confirm
hold_services
case " ${want[*]} " in *" cloud-init "*) disable_cloud_init;; esac
install_all "${want[@]}"
[ -z "$(missing)" ] || die "still missing: $(missing | tr '\n' ' ')"
echo "install: done"
