#!/usr/bin/perl
# cordon.pl - tell the OBS worker instances of this machine to take no new job and to finish the one they have.
#
#   perl - [--undo] --proved CODE[,CODE...] [STATE_DIR_GLOB...] < cordon.pl
#
# Call it until it ends with 0: then nothing builds here, nothing will, and the machine may go.
# Prints one line per instance, "N BEFORE AFTER", with these words:
#   idle building      as OBS writes them
#   cordoned           runs, refuses every job
#   building+cordoned  finishes its job, delivers it, is then cordoned
#   cordoned+child     cordoned, with a process of its own still at work: an upload ending, a request being refused
#   gone               no process has this state directory
#   starting           a process, and no state file yet
#   locked             the worker held its lock all the time (it accepts a job, or uploads one)
#   exit rebooting killed discarded ...   on their way elsewhere; not ours to change
#   unproved:CODE      runs code that --proved does not name: nothing was written
# Exit code: 0 all are cordoned or gone (with --undo: idle, building or gone); 75 not yet, call again; 1 something
# could not be done, said on stderr. May be repeated at any time.
#
# The worker's own protocol: flock(2) on STATE_DIR/state, the next content in state.new, renamed over it (bs_worker of
# OBS 2.9.4: lockstate, commitstate, startbuild, periodic). "cordoned" is no word of OBS: a worker takes a job when its
# state is "idle" and acts on the words that it knows, so it stays as it is. OBS' own "exit" will not do: before it
# ends, the worker writes "idle" once more, and a request accepted just before gets its job then, and dies with it.
#
# CODE is a digest of the files that the protocol rests on, as this instance runs them: see worker_code.
#
# --undo: a cordoned instance tells its servers at once that it is idle, as it does every 5 minutes by itself.
use strict;
use warnings;
use Digest::MD5;
use Fcntl ':flock';
use IO::Socket::INET;

my %cordon   = ('idle' => 'cordoned', 'building' => 'building+cordoned');
my %uncordon = reverse %cordon;
my $undo     = @ARGV && $ARGV[0] eq '--undo' ? shift @ARGV : undef;
my %proved   = @ARGV > 1 && shift @ARGV eq '--proved' ? map { $_ => 1 } split /,/, shift @ARGV : die "no --proved\n";
my %step     = $undo ? %uncordon : %cordon;
my %settled  = map { $_ => 1 } $undo ? ('gone', 'idle', 'building') : ('gone', 'cordoned');
my $code     = 0;

my %workers = workers();    # by state directory: its processes, each its id and its command line
for my $dir (@ARGV ? (map { glob } @ARGV) : state_dirs()) {
  my ($name) = $dir =~ m{([^/]+)/*$};
  next unless $workers{$dir} || -e "$dir/state";
  my ($before, $after) = eval { turn($dir) };
  if (!defined $after) {
    warn "$dir: $@";
    $code = 1;
    next;
  }
  print "$name $before $after\n";
  $code ||= 75 unless $settled{$after};
}
exit $code;

# Instance directories: of what runs, and of what the service's settings name.
sub state_dirs {
  my %seen = map { $_ => 1 } keys %workers;
  $seen{$_} = 1 for map { glob("$_/worker/[0-9]*") } run_dirs();
  $seen{$_} = 1 for glob('/run/obs-worker/[0-9]*');    # Debian's obsworker@N.service
  return sort keys %seen;
}

sub run_dirs {    # OBS_RUN_DIR; the last assignment wins, as in the shell that sources the file
  for my $file ('/etc/sysconfig/obs-server', '/etc/default/obsworker') {
    open(my $in, '<', $file) or next;
    my ($dir) = reverse map { /^\s*OBS_RUN_DIR=["']?([^"'\s#]+)/ ? $1 : () } <$in>;
    return $dir if defined $dir;
  }
  return ('/run/obs', '/var/lib/obsworker');
}

sub workers {    # a worker's command line names its state directory
  my %workers;
  for my $proc (glob('/proc/[0-9]*')) {
    next unless (slurp("$proc/comm") // '') eq "bs_worker\n";
    my @words = split /\0/, slurp("$proc/cmdline") // '';
    my ($dir) = option('--statedir', @words) or next;
    push @{$workers{$dir}}, [$proc, @words];
  }
  return %workers;
}

sub option {    # option(NAME, words): all values that it was given
  my ($name, @words) = @_;
  return map { $words[$_ + 1] } grep { $words[$_] eq $name } 0 .. $#words - 1;
}

sub slurp {
  open(my $in, '<', $_[0]) or return undef;
  local $/;
  return scalar <$in>;
}

sub turn {    # one instance: (before, after)
  my ($dir) = @_;
  my @processes = @{$workers{$dir} || []} or return ('gone', 'gone');
  return ('starting', 'starting') unless -e "$dir/state";
  my $lock   = take_lock("$dir/state") or return ('locked', 'locked');
  my $xml    = slurp("$dir/state") // die "cannot read state: $!\n";
  my $before = word($xml);
  my $after  = $step{$before} // $before;
  if ($after ne $before) {
    my $code = worker_code($dir, @{$processes[0]});    # under the lock: new code comes with a job
    return ($before, "unproved:$code") unless $proved{$code};
    tell_idle(@processes) if $after eq 'idle';
    write_state($dir, rewrite($xml, $after), stat $lock);
  }
  close $lock;
  tell_down(@{$processes[0]}) if $before eq 'idle' && $after eq 'cordoned';
  $after = 'cordoned+child' if $after eq 'cordoned' && @processes > 1;
  return ($before, $after);
}

# The code that an instance runs: what it took from a server since its start, in STATE_DIR/worker; else where it was
# started from, by its command line; the init script calls that ./bs_worker, and has it beside the state directories.
# BSConfig.pm is another at each site and does not count.
sub worker_code {
  my ($dir, $proc, @words) = @_;
  my ($from) = map { m{^(/.*)/bs_worker$} ? $1 : () } @words;
  my ($home) = grep { -e "$_/bs_worker" } "$dir/worker", $from // (), "$dir/../boot" or return 'unknown';
  my $sums = '';
  for my $file ('BSServer.pm', 'BSUtil.pm', 'BSXML.pm', 'bs_worker') {
    my $text = slurp("$home/$file") // return 'unknown';
    $sums .= Digest::MD5::md5_hex($text) . "  $file\n";
  }
  return Digest::MD5::md5_hex($sums);
}

# What a worker says when it leaves: OBS lists it as down and sends no job. Only a courtesy, a job would be refused.
sub tell_down {
  my ($proc, @words) = @_;
  my ($id) = option('--id', @words) or return;
  my $arch = host_arch(@words);
  for my $server (option('--reposerver', @words)) {
    my $answer = ask(time + 3, $server, "GET /worker?state=exit&arch=$arch&port=65535&workerid=$id HTTP/1.0") // next;
    warn "$server: ", $answer =~ /\A([^\r\n]*)/, "\n" unless $answer =~ m{^HTTP/\S+ 200};
  }
}

# What a worker says when it is idle, with what the server knows of its hardware already. The lock is held, and the
# state is still ours: a job that comes at once waits for the lock, and finds the worker idle. A dispatcher waits 10 s
# for that, so all of it ends in 4 s. Only a courtesy as well.
sub tell_idle {
  my ($proc, @words) = @{$_[0]};
  my ($id)  = option('--id', @words) or return;
  my $port  = port(map { $_->[0] } @_) or return;
  my $arch  = host_arch(@words);
  my $until = time + 4;
  for my $server (option('--reposerver', @words)) {
    my $known = ask($until, $server, "GET /worker/$arch:$id HTTP/1.0") // next;
    my ($about) = $known =~ m{^HTTP/\S+ 200.*?\r\n\r\n(.*<worker\b.*)}s or next;
    my $head = "POST /worker?state=idle&arch=$arch&port=$port&workerid=$id HTTP/1.0";
    ask($until, $server, "$head\r\nContent-Type: text/xml\r\nContent-Length: " . length($about), $about);
  }
}

sub host_arch {    # as the worker finds it
  my ($arch) = (option('--arch', @_), `uname -m`);
  chomp $arch;
  return $arch;
}

sub port {    # where one of these processes listens
  my %sockets = map { (readlink($_) // '') =~ /^socket:\[(\d+)\]$/ ? ($1 => 1) : () } map { glob "$_/fd/*" } @_;
  for my $line (split /\n/, (slurp('/proc/net/tcp') // '') . (slurp('/proc/net/tcp6') // '')) {
    my @fields = split ' ', $line;
    return hex $1 if $fields[3] eq '0A' && $sockets{$fields[9]} && $fields[1] =~ /:([0-9A-F]{4})$/;
  }
  return undef;
}

sub ask {    # ask(UNTIL, SERVER, HEAD, BODY): the answer, as far as it has come by then; undef where there is no server
  my ($until, $server, $head, $body) = @_;
  my ($host, $port) = $server =~ m{^http://([^/:]+)(?::(\d+))?} or return undef;
  my $left   = $until - time;
  my $socket = $left > 0 && IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port || 80, Timeout => $left) or return undef;
  print {$socket} "$head\r\nHost: $host\r\n\r\n", $body // '';
  $socket->flush;
  my $answer = '';
  while (length $answer < 1_000_000) {
    vec(my $ready = '', fileno $socket, 1) = 1;
    $left = $until - time;
    last unless $left > 0 && select($ready, undef, undef, $left) && sysread $socket, $answer, 10_000, length $answer;
  }
  return $answer;
}

# Never creates the file. At nlink 0 the worker has renamed a new one over it: that one is to be locked.
sub take_lock {
  my ($file) = @_;
  for (1 .. 60) {
    open(my $lock, '+<', $file) or die "cannot open state: $!\n";
    if (flock($lock, LOCK_EX | LOCK_NB)) {
      return $lock if (stat $lock)[3];
    } else {
      select(undef, undef, undef, 0.05);
    }
  }
  return undef;
}

sub word {
  my ($xml)  = @_;
  my ($now)  = $xml =~ /\sstate="([^"]*)"/ or die "no state in: $xml\n";
  my ($next) = $xml =~ /\snextstate="([^"]*)"/;
  return defined $next ? "$now+$next" : $now;
}

sub rewrite {    # every other attribute stays
  my ($xml, $after) = @_;
  my ($now, $next) = split /\+/, $after;
  $xml =~ s/\snextstate="[^"]*"//;
  my $text = $next ? qq( state="$now" nextstate="$next") : qq( state="$now");
  $xml =~ s/\sstate="[^"]*"/$text/;
  return $xml;
}

sub write_state {    # owner and mode stay: the worker must be able to open it
  my ($dir, $xml, @stat) = @_;
  open(my $out, '>', "$dir/state.new") or die "cannot write state.new: $!\n";
  print {$out} $xml or die "cannot write state.new: $!\n";
  chmod($stat[2] & 07777, $out) && chown($stat[4], $stat[5], $out) or die "cannot hand over state.new: $!\n";
  close $out or die "cannot write state.new: $!\n";
  rename("$dir/state.new", "$dir/state") or die "cannot rename state.new: $!\n";
}
# the end
