# packages.sh - the rig's projects and packages; sourced by rig.sh.
# shellcheck shell=bash

BASE=rig:Base
PREFER='Type: spec
Repotype: none
Preinstall: rig-base'

put() { # put URL FILE: the backend trusts whoever reaches it
  local code
  code=$(curl -s -o "$RIG_ROOT/.answer" -w '%{http_code}' -T "$2" "$1") || die "PUT $1: no answer"
  case $code in 2*) ;; *) die "PUT $1: $code $(cat "$RIG_ROOT/.answer")";; esac
}

put_text() { # put_text URL TEXT
  printf '%s\n' "$2" >"$RIG_ROOT/.text"
  put "$1" "$RIG_ROOT/.text"
}

post() { # post URL
  curl -sf -o /dev/null -X POST "$1" || die "POST $1"
}

base_rpm() { # bs_worker refuses a job without any build dependency: one tiny rpm is the whole distribution
  local top=$RIG_ROOT/.base
  [ ! -s "$RIG_ROOT/rig-base.rpm" ] || return 0
  rm -rf "$top"
  mkdir -p "$top"
  cat >"$top/base.spec" <<'SPEC'
Name: rig-base
Version: 1
Release: 1
Summary: all that a build of the rig depends on
License: MIT
BuildArch: noarch
%description
%{summary}
%files
SPEC
  rpmbuild -bb --quiet --define "_topdir $top" --define "_dbpath $top/db" "$top/base.spec" >"$LOGS/base-rpm.log" 2>&1 || die "rpmbuild: see $LOGS/base-rpm.log"
  mv "$top"/RPMS/noarch/rig-base-*.rpm "$RIG_ROOT/rig-base.rpm"
  rm -rf "$top"
}

cmd_seed() {
  local arch
  need_up
  base_rpm
  put_text "$SRC/source/$BASE/_meta?user=rig" "<project name=\"$BASE\"><title/><description/>
<repository name=\"standard\"><arch>x86_64</arch><arch>aarch64</arch></repository></project>"
  put_text "$SRC/source/$BASE/_config?user=rig" "$PREFER"
  for arch in x86_64 aarch64; do put "$REP/build/$BASE/standard/$arch/_repository/rig-base.rpm" "$RIG_ROOT/rig-base.rpm"; done
  put_text "$SRC/source/$PROJECT/_meta?user=rig" "<project name=\"$PROJECT\"><title/><description/>
<repository name=\"standard_x86_64\"><path project=\"$BASE\" repository=\"standard\"/><arch>x86_64</arch></repository>
<repository name=\"standard_aarch64\"><path project=\"$BASE\" repository=\"standard\"/><arch>aarch64</arch></repository></project>"
  put_text "$SRC/source/$PROJECT/_config?user=rig" "$PREFER"
  say "seeded $PROJECT"
}

spec() { # spec NAME ARCH SECONDS
  cat <<SPEC
# rig: seconds=$3
Name: $1
Version: 1.0
Release: 0
Summary: a package of the rig
License: MIT
AutoReqProv: no
$([ "$2" = both ] || echo "ExclusiveArch: $2")
%description
%{summary}
%files
SPEC
}

upload() { # upload CURL-CONFIG: all of its transfers, four at a time
  local bad
  bad=$(curl --silent --no-progress-meter --parallel --parallel-max 4 -K "$1" | grep -v '^2' | sort | uniq -c || true)
  [ -z "$bad" ] || die "uploads refused (count and status): $bad"
}

transfer() { # transfer URL FILE: an entry of curl's config file
  printf 'url = "%s"\nupload-file = "%s"\noutput = "/dev/null"\nwrite-out = "%%{http_code}\\n"\n' "$1" "$2"
}

upload_packages() { # upload_packages ARCH SECONDS NAME...
  local arch=$1 seconds=$2 dir=$RIG_ROOT/.queue name
  shift 2
  rm -rf "$dir"
  mkdir -p "$dir"
  for name in "$@"; do
    echo "<package name=\"$name\" project=\"$PROJECT\"><title/><description/></package>" >"$dir/$name.meta"
    spec "$name" "$arch" "$seconds" >"$dir/$name.spec"
    transfer "$SRC/source/$PROJECT/$name/_meta?user=rig" "$dir/$name.meta" >>"$dir/metas"
    transfer "$SRC/source/$PROJECT/$name/$name.spec?user=rig" "$dir/$name.spec" >>"$dir/specs"
  done
  upload "$dir/metas"
  upload "$dir/specs"
  rm -rf "$dir"
}

queued() { # queued ARCH PREFIX: how many of these packages OBS has scheduled, or taken further
  curl -s -m 60 "$SRC/build/$PROJECT/_result?view=status&repository=standard_$1&arch=$1" \
    | grep -E "package=\"$2-[0-9]+\"" | grep -cE 'code="(scheduled|dispatching|building|finished|signing|succeeded|failed)"' || true
}

wait_queued() { # wait_queued ARCH PREFIX COUNT
  local i
  for ((i = 0; i < 120; i++)); do
    [ "$(queued "$1" "$2")" -lt "$3" ] || return 0
    sleep 1
  done
  die "after 2 min OBS has scheduled only $(queued "$1" "$2") of $3 on $1, see $LOGS/sched-$1$MARK.log"
}

cmd_queue() {
  local count=${1:?how many packages} arch=${2:-both} seconds=${3:-8} prefix=${4:-pkg} had names a
  case $arch in x86_64|aarch64|both) ;; *) die "ARCH is x86_64, aarch64 or both";; esac
  [[ $count =~ ^[1-9][0-9]*$ && $seconds =~ ^[0-9]+$ ]] || die "queue N [ARCH] [SECONDS] [PREFIX]: whole numbers, please"
  need_up
  # one count per prefix and arch: `queued` must know how many there are
  prefix=$prefix-$arch
  had=$(cat "$RIG_ROOT/.count$MARK-$prefix" 2>/dev/null || echo 0)
  mapfile -t names < <(seq -f "$prefix-%04g" $((had + 1)) $((had + count)))
  # the scheduler would look at the project after every upload; suspended, it looks once
  post "$SRC/build/$PROJECT?cmd=suspendproject&comment=queue"
  upload_packages "$arch" "$seconds" "${names[@]}"
  post "$SRC/build/$PROJECT?cmd=resumeproject&comment=queue"
  echo $((had + count)) >"$RIG_ROOT/.count$MARK-$prefix"
  for a in $(if [ "$arch" = both ]; then echo x86_64 aarch64; else echo "$arch"; fi); do wait_queued "$a" "$prefix" $((had + count)); done
  say "queued ${names[0]} to ${names[-1]} on $arch, $seconds s each"
}

cmd_package() { # one package with a build dependency (or none: -) and what it asks of the worker's hardware
  local name=${1:?a package} arch=${2:?an arch} seconds=${3:?seconds} asks=${4:?such as processors=16} needs=${5:--} lines
  [[ $asks =~ ^(processors|jobs)=[1-9][0-9]*$ ]] || die "asks $asks: processors=N or jobs=N"
  need_up
  lines=$(spec "$name" "$arch" "$seconds")
  [ "$needs" = - ] || lines=${lines/License: MIT/License: MIT$'\n'BuildRequires: $needs}
  post "$SRC/build/$PROJECT?cmd=suspendproject&comment=package"
  put_text "$SRC/source/$PROJECT/$name/_meta?user=rig" "<package name=\"$name\" project=\"$PROJECT\"><title/><description/></package>"
  put_text "$SRC/source/$PROJECT/$name/_constraints?user=rig" "<constraints><hardware><${asks%=*}>${asks#*=}</${asks%=*}></hardware></constraints>"
  put_text "$SRC/source/$PROJECT/$name/$name.spec?user=rig" "$lines"
  post "$SRC/build/$PROJECT?cmd=resumeproject&comment=package"
}

cmd_forget() { # as an admin does who takes a worker out of OBS' lists: nothing else removes one
  local worker=${1:?a worker}
  need_up
  rm -f "$OBS"/workers/*/*:"$worker":*
}

cmd_outcome() {
  local package=${1:?a package} result=${2:?ok, fail, unchanged or badhost}
  case $result in ok|fail|unchanged|badhost) ;; *) die "a build ends ok, fail, unchanged or badhost";; esac
  need_up
  printf 'result=%s\n%s' "$result" "${3:+seconds=$3
}" >"$RIG_ROOT/builds/$package"
}

cmd_rebuild() {
  need_up
  post "$SRC/build/$PROJECT?cmd=rebuild&package=${1:?a package}&repository=standard_${2:?an arch}&arch=$2"
}
