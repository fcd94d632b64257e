#!/usr/bin/perl
# cordon.pl - tell the OBS worker instances of this machine to take no new job and to finish the one they have.
#
#   perl - [--undo] [STATE_DIR_GLOB...] < cordon.pl
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
# Exit code: 0 all are cordoned or gone (with --undo: idle, building or gone); 75 not yet, call again; 1 something
# could not be done, said on stderr. May be repeated at any time.
#
# The worker's own protocol: flock(2) on STATE_DIR/state, the next content in state.new, renamed over it (bs_worker of
# OBS 2.9.4: lockstate, commitstate, startbuild, periodic). "cordoned" is no word of OBS: a worker takes a job when its
# state is "idle" and acts on the words that it knows, so it stays as it is. OBS' own "exit" will not do: before it
# ends, the worker writes "idle" once more, and a request accepted just before gets its job then, and dies with it.
#
# --undo: OBS counts the instance as idle again at its next report, within 5 minutes.
use strict;
use warnings;
use Fcntl ':flock';
use IO::Socket::INET;

my %cordon   = ('idle' => 'cordoned', 'building' => 'building+cordoned');
my %uncordon = reverse %cordon;
my $undo     = @ARGV && $ARGV[0] eq '--undo' ? shift @ARGV : undef;
my %step     = $undo ? %uncordon : %cordon;
my %settled  = map { $_ => 1 } $undo ? ('gone', 'idle', 'building') : ('gone', 'cordoned');
my $code     = 0;

my %workers = workers();    # by state directory: command lines of its processes
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
    push @{$workers{$dir}}, \@words;
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
  write_state($dir, rewrite($xml, $after), stat $lock) if $after ne $before;
  close $lock;
  tell_down(@{$processes[0]}) if $before eq 'idle' && $after eq 'cordoned';
  $after = 'cordoned+child' if $after eq 'cordoned' && @processes > 1;
  return ($before, $after);
}

# What a worker says when it leaves: OBS lists it as down and sends no job. Only a courtesy, a job would be refused.
sub tell_down {
  my @words = @_;
  my ($id)   = option('--id', @words) or return;
  chomp(my ($arch) = (option('--arch', @words), `uname -m`));    # as the worker finds it
  for my $server (option('--reposerver', @words)) {
    my ($host) = $server =~ m{^http://([^/]+)} or next;
    my $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => 80, Timeout => 3) or next;
    print {$socket} "GET /worker?state=exit&arch=$arch&port=65535&workerid=$id HTTP/1.0\r\nHost: $host\r\n\r\n";
    my $answer = '';
    vec(my $ready = '', fileno $socket, 1) = 1;
    sysread $socket, $answer, 1000 if select($ready, undef, undef, 3);
    warn "$server: ", $answer =~ /\A([^\r\n]*)/, "\n" unless $answer =~ m{^HTTP/\S+ 200};
  }
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
