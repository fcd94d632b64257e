#!/bin/bash
# machine.sh - a worker machine "of the cloud": own host name, pids, mounts, /etc, sshd, and the real cloud-init.
#
#   machine.sh boot --id ID --name NAME --ip 127.x.y.z --arch x86_64|aarch64 --vcpus N [--memory MIB] --user-data FILE --key-name NAME
#   machine.sh destroy --id ID
#
# boot returns as soon as the machine is launched; ssh then comes up on IP:2222. destroy may be repeated.
# RIG_IMAGE_STARTS_WORKER=1 makes the image start obsworker itself, after cloud-init.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

check_id() { [[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9_-]*$ ]] || die "--id '$1': letters, digits, - and _"; }

check_order() {
  check_id "$id"
  [[ $name =~ ^[A-Za-z0-9][A-Za-z0-9.-]*$ ]] || die "--name '$name': a host name, please"
  [[ $ip =~ ^127\.[0-9]+\.[0-9]+\.[0-9]+$ && $ip != 127.0.0.1 ]] || die "--ip '$ip': an address of 127.0.0.0/8, not 127.0.0.1"
  case $arch in x86_64|aarch64) ;; *) die "--arch '$arch': x86_64 or aarch64";; esac
  [[ $vcpus =~ ^[1-9][0-9]*$ ]] || die "--vcpus '$vcpus': a number"
  [[ $memory =~ ^([1-9][0-9]*)?$ ]] || die "--memory '$memory': a number of MiB"
  [ -r "$user_data" ] || die "--user-data '$user_data': no such file"
  [ -r "$RIG_ROOT/keys/$key_name.pub" ] || die "--key-name '$key_name': there is no $RIG_ROOT/keys/$key_name.pub"
  [ ! -e "$machine" ] || die "machine $id exists"
  ! ip -4 -o addr show dev lo | grep -qF "inet $ip/" || die "address $ip is in use"
  [ ! -e "$RIG_ROOT/faults/boot-refused" ] || die "fault boot-refused: the hypervisor has no room for $name"
}

prepare() { # what the image holds, and what the cloud says about this machine
  mkdir -p "$machine"/{upper,work,seed,faults}
  cp -R "$RIG_ROOT/faults/." "$machine/faults/"
  # the machine hides folders of the host, perhaps this one
  cp "$RIG_HERE/machine-init.sh" "$RIG_HERE/systemctl-stand-in.sh" "$machine/"
  cp "$user_data" "$machine/seed/user-data"
  cat >"$machine/seed/meta-data" <<META
instance-id: $id
local-hostname: $name
name: $name
public-keys:
  - $(head -n1 "$RIG_ROOT/keys/$key_name.pub")
META
  printf 'NAME=%s\nIP=%s\nARCH=%s\nVCPUS=%s\nMEMORY=%s\nSTARTS_WORKER=%s\n' \
    "$name" "$ip" "$arch" "$vcpus" "$memory" "${RIG_IMAGE_STARTS_WORKER:-0}" >"$machine/settings"
  echo "$name $ip $arch" >"$machine/summary"
}

cmd_boot() {
  local id='' name='' ip='' arch='' vcpus='' memory='' user_data='' key_name='' machine
  while [ $# -gt 1 ]; do
    case $1 in
      --id) id=$2;; --name) name=$2;; --ip) ip=$2;; --arch) arch=$2;;
      --vcpus) vcpus=$2;; --memory) memory=$2;; --user-data) user_data=$2;; --key-name) key_name=$2;;
      *) die "no option $1";;
    esac
    shift 2
  done
  need_host
  need_up
  machine=$RIG_ROOT/machines/$id
  check_order
  prepare
  ip addr add "$ip/32" dev lo || { rm -rf "$machine"; die "cannot add $ip to lo"; }
  spawn "machine-$id" unshare --uts --ipc --mount --pid --fork --mount-proc --propagation private --kill-child=KILL \
    "$machine/machine-init.sh" "$machine"
}

power_off() { # power_off NAME: unshare dies, its child gets KILL, and with pid 1 goes the whole pid namespace
  local pid first='' at
  pid=$(pid_of "$1") || return 0
  read -r first 2>/dev/null <"/proc/$pid/task/$pid/children" || true
  at=$([ -z "$first" ] || started_at "$first" || true)
  kill -KILL "$pid" 2>/dev/null || true
  for _ in {1..100}; do
    [ -n "$at" ] && [ "$(started_at "$first" || true)" = "$at" ] || return 0
    sleep 0.05
  done
  die "$1: pid $first does not go away"
}

cmd_destroy() {
  local id='' machine ip
  [ "${1:-}" = --id ] && id=${2:-}
  check_id "$id"
  need_host
  machine=$RIG_ROOT/machines/$id
  power_off "machine-$id"
  rm -f "$PIDS/machine-$id"
  [ -e "$machine" ] || return 0
  ip=$(sed -n 's/^IP=//p' "$machine/settings" 2>/dev/null || true)
  [ -z "$ip" ] || ip addr del "$ip/32" dev lo 2>/dev/null || true
  rm -rf "$machine"
}

case ${1:-} in
  boot|destroy) verb=$1; shift; "cmd_$verb" "$@";;
  *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"; exit 2;;
esac
