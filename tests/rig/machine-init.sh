#!/bin/bash
# machine-init.sh FOLDER - pid 1 of a machine, started by machine.sh inside the machine's own namespaces.
set -euo pipefail
MACHINE=$1
# shellcheck source=/dev/null
. "$MACHINE/settings"
export TERM=xterm HOME=/root HOSTNAME=$NAME
# where the host was may be hidden: the service's script could not go back there
cd /

fault() { [ -e "$MACHINE/faults/$1" ]; }

# The machine's own disk: what it writes lands in its folder, and what the host has is only read.
mount_disk() {
  local dir
  for dir in etc usr home opt srv var/lib var/log var/cache var/spool; do
    mkdir -p "$MACHINE/upper/$dir" "$MACHINE/scratch/$dir"
    chmod --reference="/$dir" "$MACHINE/upper/$dir"
    mount -t overlay overlay -o "lowerdir=/$dir,upperdir=$MACHINE/upper/$dir,workdir=$MACHINE/scratch/$dir" "/$dir"
  done
  # a fresh home: what the host's root has in .bashrc would run at every command that comes over ssh
  mount -t tmpfs -o mode=700 tmpfs /root
  mount -t tmpfs -o mode=755 tmpfs /run
  mount -t tmpfs -o mode=1777 tmpfs /tmp
  mkdir -p /run/sshd /run/lock
  # cloud-init tells the console about itself
  [ ! -e /dev/console ] || mount --bind /dev/null /dev/console
}

mount_cpus() { # the processors that its flavor has, for whoever counts them
  local dir=/sys/devices/system/cpu i
  for ((i = 0; i < VCPUS; i++)); do
    sed -n "1,/^$/{s/^\(processor\s*: \).*/\1$i/;p}" /proc/cpuinfo
  done >/tmp/cpuinfo
  mount -t tmpfs tmpfs "$dir"
  for ((i = 0; i < VCPUS; i++)); do mkdir "$dir/cpu$i"; done
  echo "0-$((VCPUS - 1))" | tee "$dir/online" "$dir/present" >"$dir/possible"
  mount --bind /tmp/cpuinfo /proc/cpuinfo
}

mount_memory() { # of what its flavor has, the system keeps a thirtieth for itself
  [ -n "$MEMORY" ] || return 0
  sed "s/^MemTotal: .*/MemTotal:       $((MEMORY * 990)) kB/" /proc/meminfo >/tmp/meminfo
  mount --bind /tmp/meminfo /proc/meminfo
}

# --- the image

image_commands() {
  cp -L /usr/bin/uname /usr/bin/uname.real
  cat >/usr/bin/uname.new <<UNAME
#!/bin/sh
case "\$*" in
  -m|-p|-i) echo $ARCH;;
  *) uname.real "\$@" | sed s/$(uname.real -m)/$ARCH/g;;
esac
UNAME
  printf '#!/bin/sh\necho %s\n' "$VCPUS" >/usr/bin/nproc.new
  cp "$MACHINE/systemctl-stand-in.sh" /usr/bin/systemctl.new
  chmod 755 /usr/bin/{uname,nproc,systemctl}.new
  for command in uname nproc systemctl; do mv "/usr/bin/$command.new" "/usr/bin/$command"; done
}

# As openEuler's: one settings file in /etc/sysconfig. Debian's init script reads /etc/default/obsworker.
image_worker() {
  mkdir -p /etc/sysconfig
  cat >/etc/sysconfig/obs-server <<'SETTINGS'
# Open Build Service: settings of this worker
OBS_WORKER_NICE_LEVEL=0
OBS_SRC_SERVER="obs.example.com:5352"
OBS_REPO_SERVERS="obs.example.com:5252"
# 0 instances will automatically use the number of CPU's
OBS_WORKER_INSTANCES="2"
OBS_WORKER_DIRECTORY="/var/cache/obs/worker"
OBS_WORKER_PORTBASE="0"
# this maps usually to "make -j1" during build
OBS_WORKER_JOBS="1"
OBS_WORKER_TEST_MODE=""
OBS_RUN_DIR="/run/obs"
OBS_LOG_DIR=""
OBS_USE_SLP="no"
OBS_CACHE_DIR=""
OBS_CACHE_SIZE=""
# none builds in a chroot; kvm and xen are possible as well
OBS_VM_TYPE="none"
SETTINGS
  ln -sf /etc/sysconfig/obs-server /etc/default/obsworker
}

image_ssh() {
  rm -rf /etc/ssh/ssh_host_* /root/.ssh
  # sshd without PAM takes a root whose password field starts with "!" for locked
  sed -i 's/^root:[^:]*:/root:*:/' /etc/shadow
  cat >/etc/ssh/sshd_config <<SSHD
Port 2222
ListenAddress $IP
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
PrintMotd no
PidFile none
Subsystem sftp internal-sftp
SSHD
}

# The distribution's cloud-init with the modules that a worker's user data may use, and no network to set up.
image_cloud_init() {
  rm -rf /etc/cloud/cloud-init.disabled /var/lib/cloud /var/log/cloud-init*
  find /etc/cloud/cloud.cfg.d -type f ! -name 05_logging.cfg -delete
  cat >/etc/cloud/cloud.cfg <<'CLOUD'
users: []
disable_root: false
preserve_hostname: false
datasource_list: [NoCloud]
# the seed is a folder: no look at the host's disks for one
datasource: {NoCloud: {fs_label: null}}
network: {config: disabled}
ssh_genkeytypes: [ed25519]
cloud_init_modules: [bootcmd, write-files, set_hostname, ssh]
cloud_config_modules: [runcmd]
cloud_final_modules: [write-files-deferred, scripts-per-once, scripts-per-boot, scripts-per-instance, scripts-user, final-message]
system_info: {distro: debian, paths: {cloud_dir: /var/lib/cloud/, templates_dir: /etc/cloud/templates/}, ssh_svcname: ssh}
output: {all: '>> /var/log/cloud-init-output.log'}
CLOUD
  mkdir -p /var/lib/cloud/seed/nocloud
  cp "$MACHINE"/seed/* /var/lib/cloud/seed/nocloud/
}

lay_image() {
  image_commands
  image_worker
  image_ssh
  image_cloud_init
  cp -R "$MACHINE/faults" /run/rig-faults
}

# --- boot, in the order that systemd's units have: sshd and obsworker come after cloud-init's second stage

early_cloud_init() {
  cloud-init init --local
  cloud-init init
}

late_cloud_init() {
  cloud-init modules --mode=config
  cloud-init modules --mode=final
}

start_ssh() {
  if fault wrong-host-key; then
    rm -f /etc/ssh/ssh_host_*
    ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
  fi
  /usr/sbin/sshd -D -e &
}

boot() {
  ! fault slow-boot || sleep "$(cat "$MACHINE/faults/slow-boot")"
  ! fault no-user-data || : >/var/lib/cloud/seed/nocloud/user-data
  early_cloud_init || echo "machine: cloud-init's early stages failed"
  fault no-ssh || start_ssh
  late_cloud_init || echo "machine: cloud-init's late stages failed"
  [ "$STARTS_WORKER" != 1 ] || systemctl start obsworker || true
  echo "machine: booted"
}

hostname "$NAME"
mount_disk
lay_image
mount_cpus
mount_memory
boot
# bash reaps whatever is handed to pid 1 while it waits
while :; do sleep 3600 & wait $!; done
