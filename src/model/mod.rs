//! The nouns of the farm, each valid by construction. Pure: no IO, no clock, no logging.

mod alarm;
mod arch;
mod bill;
mod build_times;
mod farm;
mod fleet;
mod host;
mod lease;
mod ledger;
mod market;
mod names;
mod needs;
mod numbering;
mod offer;
mod reading;
mod record;
mod refusal;
mod setup;
mod snapshot;
mod trail;

pub use alarm::{Action, Alarm, Alarms};
pub use arch::{Arch, Level, UnknownWord};
pub use bill::{Amount, Bill, Cost, Disk, End, Rate};
pub use build_times::{BuildTimes, Expected};
pub use farm::{
    Build, Daemon, DaemonState, Ghosts, Instance, InstanceCounts, InstanceId, InstanceState, Job,
    JobState, PackageKey, Results, Start, Workers,
};
pub use fleet::{Fleet, Server, ServerStatus, TAG_ORDER, TAG_OWNER, TAG_POOL, TAG_PROTECTED, Tags};
pub use host::{CpuTime, HostCounters, HostUse, InOut, PastUse, USE_KEPT, UseOver};
pub use lease::{LeaseTag, OwnLease, Scaler, ScalerId};
pub use ledger::{Gap, IdleStreak, Ledger, Member, Order, Stage, Supply, TurnedBack, Why};
pub use market::{
    Availability, Flavor, FlavorStock, Limit, Market, Price, PriceList, Quota, Stock,
};
pub use names::{
    BackendName, FlavorName, HostName, InvalidName, OrderId, PoolName, ServerId, Vcpus, ZoneName,
};
pub use needs::{
    Capabilities, Constraints, Hardware, Overwrite, PackageConstraints, Requirements, TargetKey,
    Wanted, WantedHardware, WantedLinux,
};
pub use numbering::Numbering;
pub use offer::{Allowed, Offer, Scope, Setback, Setbacks};
pub use reading::{Fresh, Observed, Reading, Unknown, elapsed};
pub use record::{BuildEnd, Came, Record};
pub use refusal::{Class, Reaction, Retry, pause};
pub use setup::{Exclusive, Overrides, Setup};
pub use snapshot::{BackendView, Snapshot};
pub use trail::Trail;
