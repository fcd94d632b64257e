#!/bin/bash
# build-stand-in.sh - takes the place of obs-build's "build" script on the rig's machines.
#
# It takes the time that the spec asks for, then makes a real rpm from that spec with rpmbuild, on the machine
# itself instead of in a build root. Everything around it is bs_worker's own code.
root='' log='' arch='' release='' kill='' spec=''
while [ $# -gt 0 ]; do
  case $1 in
    --root) root=$2; shift;;
    --logfile) log=$2; shift;;
    --arch) arch=$2; shift;;
    --release) release=$2; shift;;
    --kill) kill=1;;
    --wipe) exit 0;;
    --dist|--rpmlist|--reason|--disturl|--jobs|--threads|--oldpackages|--vm-type|--obspackage|--memory) shift;;
    --*) ;;
    *) spec=$1;;
  esac
  shift
done
running=$root/.rig.pid

kill_running() {
  local pid
  pid=$(cat "$running" 2>/dev/null) || return 0
  kill -TERM "$pid" 2>/dev/null || return 0
  for _ in 1 2 3 4 5 6 7 8 9 10; do [ -d "/proc/$pid" ] || return 0; sleep 0.1; done
  kill -KILL "$pid" 2>/dev/null
}

setting() { # setting NAME: the outcome ordered for this package, else what its spec says
  local value
  value=$(sed -n "s/^$1=//p" "@RIG_ROOT@/builds/$package" 2>/dev/null)
  [ -n "$value" ] || value=$(sed -n "s/^# rig:.* $1=\([^ ]*\).*/\1/p" "$spec")
  echo "$value"
}

# one line when a build begins and one when it ends: a killed build has the first only
trace() { echo "$1 $package $arch $HOSTNAME $(date +%s.%N)" >>@RIG_ROOT@/builds.trace; }

stamp() { printf '[%5ds] %s\n' "$SECONDS" "$*"; }

take_time() { # take_time SECONDS: in steps, so that whoever follows the log sees it grow
  local left=$1 step
  while [ "$left" -gt 0 ]; do
    step=$((left < 5 ? left : 5))
    sleep "$step" & wait $!
    left=$((left - step))
    stamp "compiling, $left s to go"
  done
}

make_rpm() {
  local top=$root/.rig.top
  rm -rf "$top" "$root/.build.packages"
  mkdir -p "$top"/{BUILD,BUILDROOT,RPMS,SRPMS,SOURCES,OTHER}
  sed "s/^Release:.*/Release: ${release:-0}/" "$spec" >"$top/SOURCES/$package.spec"
  rpmbuild --quiet --define "_topdir $top" --define "_tmppath $top" --define "debug_package %{nil}" \
    --define "__os_install_post %{nil}" --define "_binary_payload w0.gzdio" --define "_source_payload w0.gzdio" \
    --target "$arch-linux" --nodeps -ba "$top/SOURCES/$package.spec" || return 1
  ln -s .rig.top "$root/.build.packages"
}

[ -z "$kill" ] || { kill_running; exit 0; }
trap 'pkill -P $$; rm -f "$running"; exit 1' TERM INT
echo $$ >"$running"
exec >>"$log" 2>&1
package=$(basename "$spec" .spec)
result=$(setting result)
trace begin
stamp "$package on $arch"
take_time "$(setting seconds)"
case ${result:-ok} in
  ok) make_rpm; code=$?;;
  unchanged) stamp "same result as before"; code=2;;
  badhost) stamp "this host is broken"; code=3;;
  *) stamp "error: Bad exit status from %build"; code=1;;
esac
stamp "finished $package with $code"
trace "end-$code"
rm -f "$running"
exit "$code"
