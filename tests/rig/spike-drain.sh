#!/bin/bash
# spike-drain.sh [ROUNDS] [JOBS] - does cordon and drain by the state file ever lose a build? Takes about 5 minutes.
#
# On a rig of its own: two machines of four instances build JOBS jobs of 1 to 3 s, while each machine is cordoned
# ROUNDS times (at a random moment, just after the start, as a build begins, as one ends, and after seconds of
# cordoning and taking it back), drained, and its service stopped and started. Then OBS is asked: every job built
# once, every one succeeded, nothing left `building`; and the machines: every build that began has ended.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
ROUNDS=${1:-10}
JOBS=${2:-150}
CORDON=$RIG_HERE/../../src/ssh/cordon.pl
MACHINES='1 2'
TRACE=$RIG_ROOT/builds.trace
OUT=$RIG_ROOT/spike

write_user_data() {
  ssh-keygen -q -t ed25519 -N '' -f "$RIG_ROOT/keys/spike"
  ssh-keygen -q -t ed25519 -N '' -f "$OUT/host"
  cat >"$OUT/user-data" <<DATA
#cloud-config
ssh_keys:
  ed25519_private: |
$(sed 's/^/    /' "$OUT/host")
  ed25519_public: $(cat "$OUT/host.pub")
write_files:
  - path: /etc/sysconfig/obs-server
    append: true
    content: |
      OBS_SRC_SERVER="127.0.0.1:5352"
      OBS_REPO_SERVERS="127.0.0.1:5252"
      OBS_WORKER_INSTANCES="4"
      OBS_WORKER_JOBS="1"
DATA
}

on() { # on MACHINE COMMAND: over ssh, against the host key that user data brought
  ssh -i "$RIG_ROOT/keys/spike" -p 2222 -o BatchMode=yes -o StrictHostKeyChecking=yes -o LogLevel=ERROR \
    -o "UserKnownHostsFile=$OUT/known_hosts" -o ControlMaster=auto -o "ControlPath=$OUT/ssh-$1" -o ControlPersist=yes \
    "root@127.0.9.$1" "$2"
}

boot_machines() {
  local m i
  for m in $MACHINES; do
    echo "[127.0.9.$m]:2222 $(cut -d' ' -f1,2 "$OUT/host.pub")" >>"$OUT/known_hosts"
    "$RIG_HERE/machine.sh" boot --id "spike-$m" --name "spike-0$m" --ip "127.0.9.$m" --arch x86_64 --vcpus 4 \
      --user-data "$OUT/user-data" --key-name spike
    for ((i = 0; i < 100; i++)); do on "$m" true 2>/dev/null </dev/null && break; sleep 0.1; done
    on "$m" 'cat >/root/cordon.pl' <"$CORDON"
  done
}

nap() { # nap MIN MAX: milliseconds
  local ms=$(($1 + RANDOM % ($2 - $1 + 1)))
  sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
}

await_trace() { # await_trace MACHINE WORD: the next line of that kind, 20 s at most
  # not a pipe: that would wait for tail, which notices only at the line after
  grep -m1 -q "^$2.* spike-0$1 " < <(exec timeout 20 tail -n 0 -F "$TRACE" 2>/dev/null) || true
}

toggle() { # toggle MACHINE SECONDS: cordon and take back, again and again
  on "$1" "end=\$((SECONDS + $2)); n=0; while [ \$SECONDS -lt \$end ]; do
    perl /root/cordon.pl >>/root/words; sleep 0.0\$((RANDOM % 10))
    perl /root/cordon.pl --undo >>/root/words; sleep 0.\$((RANDOM % 3)); n=\$((n + 1)); done; echo toggles \$n" >>"$OUT/words-$1" </dev/null
}

choose_moment() { # choose_moment MACHINE ROUND
  case $(($2 % 5)) in
    0) nap 2000 14000;;
    1) nap 0 1500;;
    2) await_trace "$1" begin; nap 0 100;;
    3) await_trace "$1" end; nap 0 400;;
    4) await_trace "$1" begin; toggle "$1" 10;;
  esac
}

drain() { # drain MACHINE: until cordon.pl says that nothing builds and nothing will; then its service may be stopped
  local from=$EPOCHREALTIME code
  for ((;;)); do
    code=0
    on "$1" 'perl /root/cordon.pl' </dev/null >"$OUT/now-$1" 2>>"$OUT/errors" || code=$?
    cat "$OUT/now-$1" >>"$OUT/words-$1"
    [ "$code" -ne 0 ] || break
    [ "$code" -eq 75 ] || echo "cordon.pl ended with $code" >>"$OUT/errors"
    awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { exit b - a < 60 }' && { echo "machine $1 not drained in 60 s" >>"$OUT/errors"; return; }
    sleep 0.3
  done
  awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f\n", b - a }' >>"$OUT/drains"
  on "$1" 'systemctl stop obsworker' </dev/null || echo "machine $1 did not stop" >>"$OUT/errors"
}

harass() { # harass MACHINE
  local round
  for ((round = 0; round < ROUNDS; round++)); do
    on "$1" 'systemctl start obsworker' </dev/null
    choose_moment "$1" "$round"
    drain "$1"
  done
}

finish_queue() {
  local m i
  for m in $MACHINES; do on "$m" 'systemctl start obsworker' </dev/null; done
  for ((i = 0; i < 180; i++)); do
    [ "$(history | wc -l)" -lt "$JOBS" ] || break
    sleep 1
  done
  for m in $MACHINES; do drain "$m"; on "$m" 'cat /root/words' </dev/null >>"$OUT/words-$m" || true; done
  sleep 2
}

history() { # what OBS has of all jobs: "package code"
  curl -s "$SRC/build/openEuler:Mainline/standard_x86_64/x86_64/_jobhistory?limit=100000" \
    | sed -n 's/.*<jobhist package="\([^"]*\)".* code="\([^"]*\)".*/\1 \2/p'
}

expect() { # expect WHAT FOUND WANTED
  if [ "$2" = "$3" ]; then echo "ok    $1: $2"; else echo "WRONG $1: $2, not $3"; FAILED=1; fi
}

judge() {
  FAILED=0
  history >"$OUT/history"
  expect "jobs in OBS' history" "$(wc -l <"$OUT/history")" "$JOBS"
  expect "of them different packages" "$(cut -d' ' -f1 "$OUT/history" | sort -u | wc -l)" "$JOBS"
  expect "of them succeeded" "$(grep -c ' succeeded$' "$OUT/history" || true)" "$JOBS"
  expect "builds begun on the machines" "$(grep -c '^begin' "$TRACE" || true)" "$JOBS"
  expect "builds ended well there" "$(grep -c '^end-0' "$TRACE" || true)" "$JOBS"
  expect "still building in OBS" "$(curl -s "$REP/workerstatus" | grep -c '<building' || true)" 0
  expect "errors" "$(wc -l <"$OUT/errors")" 0
  cat "$OUT/errors"
  echo "drains: $(sort -n "$OUT/drains" | awk '{ v[NR] = $1 } END { print NR ", median " v[int((NR + 1) / 2)] " s, longest " v[NR] " s" }')"
  echo "what cordon.pl met (count, before, after):"
  cat "$OUT"/words-* | awk '$1 != "toggles" { print $2, $3 }' | sort | uniq -c | sort -rn
  echo "toggles: $(cat "$OUT"/words-* | awk '$1 == "toggles" { n += $2 } END { print n + 0 }')"
  return "$FAILED"
}

main() {
  local m
  need_host
  ! alive keeper || die "a rig is up at $RIG_ROOT: the spike wants one of its own"
  "$RIG_HERE/rig.sh" wipe
  "$RIG_HERE/rig.sh" up
  trap '"$RIG_HERE/rig.sh" down' EXIT
  mkdir -p "$OUT"
  "$RIG_HERE/rig.sh" seed
  for m in 1 2 3; do "$RIG_HERE/rig.sh" queue $((JOBS / 3)) x86_64 "$m" "s$m"; done
  JOBS=$((JOBS / 3 * 3))
  write_user_data
  boot_machines
  : >"$TRACE"
  : >"$OUT/errors"
  for m in $MACHINES; do harass "$m" & done
  wait
  echo "built while harassed: $(history | wc -l) of $JOBS"
  finish_queue
  judge
}

main
