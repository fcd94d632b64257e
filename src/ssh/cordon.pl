#!/usr/bin/perl
# cordon.pl - tell the OBS worker instances of this machine to take no new job, finish the one they have, and leave.
#
#   perl - [--undo] [STATE_DIR_GLOB...] < cordon.pl
#
# Prints one line per instance, "N BEFORE AFTER", with these words:
#   idle building      as OBS writes them
#   exit               leaves within 10 s, refuses jobs
#   building+exit      finishes its job, delivers it, leaves
#   gone               no process has this state directory
#   starting           a process, and no state file yet
#   locked             the worker held its lock all the time (it accepts a job, or uploads one)
#   rebooting killed discarded   on their way to idle; not ours to change
# Exit code: 0 every instance is gone, exit or building+exit (with --undo: none is left on its way out that could be kept);
# 75 look again, some instance is in between; 1 something could not be done, said on stderr.
# May be repeated at any time. The worker's own protocol: flock(2) on STATE_DIR/state, the next content in state.new,
# renamed over it (bs_worker of OBS 2.9.4: lockstate, commitstate, periodic).
use strict;
use warnings;
use Fcntl ':flock';

my %cordon   = ('idle' => 'exit', 'building' => 'building+exit');
my %uncordon = reverse %cordon;
my $undo     = @ARGV && $ARGV[0] eq '--undo' ? shift @ARGV : undef;
my %step     = $undo ? %uncordon : %cordon;
my %settled  = map { $_ => 1 } ('gone', values %step);
my $code     = 0;

my %process = workers();    # state directories that running workers name
for my $dir (@ARGV ? (map { glob } @ARGV) : state_dirs()) {
  my ($name) = $dir =~ m{([^/]+)/*$};
  next unless $process{$dir} || -e "$dir/state";
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
  my %seen = map { $_ => 1 } keys %process;
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
  my %dirs;
  for my $proc (glob('/proc/[0-9]*')) {
    next unless (slurp("$proc/comm") // '') eq "bs_worker\n";
    my @words = split /\0/, slurp("$proc/cmdline") // '';
    for my $i (0 .. $#words - 1) {
      $dirs{$words[$i + 1]} = 1 if $words[$i] eq '--statedir';
    }
  }
  return %dirs;
}

sub slurp {
  open(my $in, '<', $_[0]) or return undef;
  local $/;
  return scalar <$in>;
}

sub turn {    # one instance: (before, after)
  my ($dir) = @_;
  return ('gone', 'gone') unless $process{$dir};
  return ('starting', 'starting') unless -e "$dir/state";
  my $lock = take_lock("$dir/state") or return ('locked', 'locked');
  my $xml    = slurp("$dir/state") // die "cannot read state: $!\n";
  my $before = word($xml);
  my $after  = $step{$before} or return ($before, $before);
  write_state($dir, rewrite($xml, $after), stat $lock);
  return ($before, $after);
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
