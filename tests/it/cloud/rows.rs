//! What is promised of each class of error at each place.

/// When the cloud goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// While a worker is bought.
    In,
    /// While a worker is given back.
    Out,
}

/// An error, and what is promised.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) place: &'static str,
    pub(super) class: &'static str,
    pub(super) such_as: &'static str,
    pub(super) times: u32,
    pub(super) way: Way,
    /// What the simulated cloud is told.
    pub(super) fault: &'static str,
    /// The reaction, for the page.
    pub(super) does: &'static str,
    /// Words of the log that show it.
    pub(super) says: &'static [&'static str],
    /// Words that the log must not have.
    pub(super) never: &'static [&'static str],
    /// When the program goes on at the earliest, in seconds; `None` where the test does not wait for it.
    pub(super) after: Option<u64>,
    /// The servers that come to be.
    pub(super) bought: usize,
    /// The most that is billed for others than the worker, in server seconds.
    pub(super) wasted: i64,
    /// The zone of the worker.
    pub(super) zone: &'static str,
    /// Disks and ports that nobody has in the end.
    pub(super) leaked: usize,
    /// The most that is billed for disks without a server until they are swept, in seconds of one.
    pub(super) disks: i64,
}

/// As long as it lasts.
pub(super) const ALWAYS: u32 = u32::MAX;

const A: &str = "cn-north-4a";
const B: &str = "cn-north-4b";

const fn way_in(
    place: &'static str,
    class: &'static str,
    such_as: &'static str,
    times: u32,
) -> Row {
    Row {
        place,
        class,
        such_as,
        times,
        way: Way::In,
        fault: "{}",
        does: "",
        says: &[],
        never: &[],
        after: Some(0),
        bought: 1,
        wasted: 0,
        zone: A,
        leaked: 0,
        disks: 0,
    }
}

const fn way_out(
    place: &'static str,
    class: &'static str,
    such_as: &'static str,
    times: u32,
) -> Row {
    Row {
        way: Way::Out,
        ..way_in(place, class, such_as, times)
    }
}

const CREATE: &str = "create call";
const PART: &str = "create sub job";
const JOB: &str = "job poll";
const LIST: &str = "list";
const STOCK: &str = "stock";
const LIMITS: &str = "limits";
const SHOW: &str = "look before a deletion";
const DELETE: &str = "delete call";
const END: &str = "delete sub job";

const NEXT: &str =
    "leaves that flavor alone in that zone for a minute, and orders in the next zone";
const HOLD_POOL: &str = "holds the pool: it orders nothing for 5 min";
const HOLD_ALL: &str = "holds everything, and says so: nothing is ordered or deleted for 5 min";
const NEVER: &str = "never makes that call again; the pool orders nothing for 15 min";
const SAME: &str = "makes the same call again under the same client token, after 1 s to 5 s, then up to twice as long each time, at most 61 s";
const LATER: &str = "leaves the server alone for a minute, and asks again";

const OFFER_SAID: &str = "orders of c7.8xlarge.4 in cn-north-4a: left alone until";
const POOL_SAID: &str = "orders of pool x86-l1: left alone until";
const ALL_SAID: &str = "every order and release: left alone until";
const AGAIN_SAID: &str = "not answered: asking again under the same token";

pub(super) const ROWS: &[Row] = &[
    Row {
        fault: r#"{"refuse":[{"operation":"create","code":"Ecs.0319","times":1}]}"#,
        does: NEXT,
        says: &[OFFER_SAID],
        zone: B,
        ..way_in(CREATE, "capacity", "`Ecs.0319` insufficient capacity", 1)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"create","code":"Ecs.0001","times":1}]}"#,
        does: HOLD_POOL,
        says: &[POOL_SAID],
        after: Some(300),
        ..way_in(CREATE, "quota", "`Ecs.0001` quota exceeded", 1)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"create","code":"Ecs.0067","times":1}]}"#,
        does: HOLD_ALL,
        says: &[ALL_SAID],
        after: Some(300),
        ..way_in(CREATE, "account", "`Ecs.0067` no money (403)", 1)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"create","code":"Ecs.0110","times":1}]}"#,
        does: HOLD_ALL,
        says: &[ALL_SAID],
        after: Some(300),
        ..way_in(CREATE, "permission", "`Ecs.0110` no right (403)", 1)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"create","code":"Ecs.0029","times":1}]}"#,
        does: NEVER,
        says: &[POOL_SAID],
        after: Some(900),
        ..way_in(CREATE, "request", "`Ecs.0029` no such flavor", 1)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"create","code":"Common.0001","times":3}]}"#,
        does: SAME,
        says: &[AGAIN_SAID],
        after: Some(3),
        ..way_in(CREATE, "transient", "500 `Common.0001`, without effect", 3)
    },
    Row {
        fault: r#"{"spoil":[{"operation":"create","how":"server_error","times":3}]}"#,
        does: SAME,
        says: &[AGAIN_SAID],
        ..way_in(
            CREATE,
            "transient",
            "500 `Common.0001`, after the effect",
            3,
        )
    },
    Row {
        fault: r#"{"refuse":[{"operation":"create","code":"APIGW.0308","times":1}]}"#,
        does: "makes no call at all for some seconds, then the same one again, under the same client token",
        says: &[AGAIN_SAID],
        ..way_in(CREATE, "throttled", "429 `APIGW.0308`", 1)
    },
    Row {
        fault: r#"{"spoil":[{"operation":"create","how":"busy","times":1}]}"#,
        does: SAME,
        says: &[AGAIN_SAID],
        ..way_in(
            CREATE,
            "throttled",
            "202 `Common.0024`, after the effect",
            1,
        )
    },
    Row {
        fault: r#"{"spoil":[{"operation":"create","how":"drop","times":3}]}"#,
        does: SAME,
        says: &[AGAIN_SAID],
        ..way_in(CREATE, "unknown", "no answer, after the effect", 3)
    },
    Row {
        fault: r#"{"spoil":[{"operation":"create","how":"garbage","times":3}]}"#,
        does: SAME,
        says: &[AGAIN_SAID],
        ..way_in(CREATE, "unknown", "200 and no JSON, after the effect", 3)
    },
    Row {
        fault: r#"{"fail_subs":[{"code":"Ecs.0219","times":1}]}"#,
        does: NEXT,
        says: &[OFFER_SAID],
        zone: B,
        ..way_in(PART, "capacity", "`Ecs.0219` no valid host", 1)
    },
    Row {
        fault: r#"{"fail_subs":[{"code":"Ecs.0204","leaves":["error_server"],"times":1}]}"#,
        does: "the same, and sweeps the server that is left in ERROR",
        says: &[OFFER_SAID, "withdrawn"],
        zone: B,
        bought: 2,
        wasted: 400,
        ..way_in(
            PART,
            "capacity",
            "`Ecs.0204`, with a server left in ERROR",
            1,
        )
    },
    Row {
        fault: r#"{"fail_subs":[{"code":"Ecs.0402","times":1}]}"#,
        does: NEXT,
        says: &[OFFER_SAID],
        zone: B,
        disks: 400,
        ..way_in(
            PART,
            "unknown",
            "`Ecs.0402`: a system disk is left behind, and swept",
            1,
        )
    },
    Row {
        fault: r#"{"fail_subs":[{"code":"Ecs.0401","times":1}]}"#,
        does: NEXT,
        says: &[OFFER_SAID],
        zone: B,
        ..way_in(
            PART,
            "unknown",
            "`Ecs.0401`: a port is left behind, and swept",
            1,
        )
    },
    Row {
        fault: r#"{"fail_subs":[{"code":"Ecs.0001","times":1}]}"#,
        does: HOLD_POOL,
        says: &[POOL_SAID],
        after: Some(300),
        ..way_in(PART, "quota", "`Ecs.0001` quota exceeded", 1)
    },
    Row {
        fault: r#"{"fail_subs":[{"code":"Ecs.0067","times":1}]}"#,
        does: HOLD_ALL,
        says: &[ALL_SAID],
        after: Some(300),
        ..way_in(PART, "account", "`Ecs.0067` no money", 1)
    },
    Row {
        fault: r#"{"fail_subs":[{"code":"Ecs.1000","times":1}]}"#,
        does: NEXT,
        says: &[OFFER_SAID],
        zone: B,
        ..way_in(PART, "transient", "`Ecs.1000` system error", 1)
    },
    Row {
        fault: r#"{"fail_subs":[{"code":"Ecs.9999","times":1}]}"#,
        does: NEXT,
        says: &[OFFER_SAID],
        zone: B,
        ..way_in(PART, "unknown", "a code that nobody knows", 1)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"job","code":"Ecs.0110","times":5}]}"#,
        does: "finds the server by the list; asks for the job again every 4 s",
        says: &["its job can not be read"],
        ..way_in(JOB, "permission", "`Ecs.0110` no right (403)", 5)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"job","code":"Common.0011","times":1}]}"#,
        does: "finds the server by the list",
        says: &["the cloud no longer knows the job"],
        ..way_in(JOB, "gone", "`Common.0011` no such job", 1)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"job","code":"Common.0001","times":5}]}"#,
        does: "asks again after 4 s",
        says: &["its job can not be read"],
        ..way_in(JOB, "transient", "500 `Common.0001`", 5)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"job","code":"APIGW.0308","times":1}]}"#,
        does: "asks again after 4 s",
        says: &["its job can not be read"],
        ..way_in(JOB, "throttled", "429 `APIGW.0308`", 1)
    },
    Row {
        fault: r#"{"spoil":[{"operation":"job","how":"garbage","times":5}]}"#,
        does: "asks again after 4 s",
        says: &["its job can not be read"],
        ..way_in(JOB, "unknown", "200 and no JSON", 5)
    },
    Row {
        fault: r#"{"disabled_keys":["AKWALK"]}"#,
        does: "holds everything, and makes no call for 5 min: bad signatures lock the key",
        after: None,
        bought: 0,
        ..way_in(
            LIST,
            "permission",
            "401 `APIGW.0301`, as every call",
            ALWAYS,
        )
    },
    Row {
        fault: r#"{"refuse":[{"operation":"list","code":"Ecs.0110","times":3}]}"#,
        does: "lists again at the next poll; nothing is ordered without a list",
        ..way_in(LIST, "permission", "`Ecs.0110` no right (403)", 3)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"list","code":"Common.0001","times":3}]}"#,
        does: "the same",
        ..way_in(LIST, "transient", "500 `Common.0001`", 3)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"list","code":"APIGW.0308","times":1}]}"#,
        does: "the same",
        ..way_in(LIST, "throttled", "429 `APIGW.0308`", 1)
    },
    Row {
        fault: r#"{"spoil":[{"operation":"list","how":"truncated","times":3}]}"#,
        does: "the same: half a list is none",
        ..way_in(LIST, "unknown", "an answer that is cut off", 3)
    },
    Row {
        fault: r#"{"zone_status":{"c7.8xlarge.4@cn-north-4a":"sellout"}}"#,
        does: "does not ask there: it orders in the next zone",
        never: &["the cloud refuses the order"],
        zone: B,
        ..way_in(
            STOCK,
            "capacity",
            "`cond:operation:az` says `sellout`",
            ALWAYS,
        )
    },
    Row {
        fault: r#"{"refuse":[{"operation":"flavors","code":"Ecs.0110"}]}"#,
        does: "orders all the same: stock is only what the cloud announces",
        ..way_in(STOCK, "permission", "`Ecs.0110` no right (403)", ALWAYS)
    },
    Row {
        fault: r#"{"spoil":[{"operation":"flavors","how":"html"}]}"#,
        does: "the same",
        ..way_in(STOCK, "unknown", "502 and a page of HTML", ALWAYS)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"limits","code":"Common.0001"}]}"#,
        does: "the same: the quota is only shown",
        ..way_in(LIMITS, "transient", "500 `Common.0001`", ALWAYS)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"show","code":"Common.0001","times":1}]}"#,
        does: LATER,
        says: &["the deletion failed"],
        after: Some(60),
        ..way_out(SHOW, "transient", "500 `Common.0001`", 1)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"delete","code":"Ecs.0067","times":1}]}"#,
        does: HOLD_ALL,
        says: &["the deletion failed"],
        after: Some(300),
        ..way_out(DELETE, "account", "`Ecs.0067` no money (403)", 1)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"delete","code":"Ecs.0110","times":1}]}"#,
        does: HOLD_ALL,
        says: &["the deletion failed"],
        after: Some(300),
        ..way_out(DELETE, "permission", "`Ecs.0110` no right (403)", 1)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"delete","code":"Ecs.0005","times":1}]}"#,
        does: "leaves the server alone for 15 min, and asks again",
        says: &["the deletion failed"],
        after: Some(900),
        ..way_out(DELETE, "request", "`Ecs.0005` a wrong request", 1)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"delete","code":"Ecs.0605","times":1}]}"#,
        does: LATER,
        says: &["the deletion failed"],
        after: Some(60),
        ..way_out(DELETE, "state", "`Ecs.0605` locked", 1)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"delete","code":"Ecs.0114","times":1}]}"#,
        does: "takes it as done; the list shows otherwise after 30 s, and it asks again",
        says: &["the cloud deletes it"],
        after: Some(30),
        ..way_out(
            DELETE,
            "gone",
            "`Ecs.0114` no such server (which is not true)",
            1,
        )
    },
    Row {
        fault: r#"{"refuse":[{"operation":"delete","code":"Common.0001","times":1}]}"#,
        does: LATER,
        says: &["the deletion failed"],
        after: Some(60),
        ..way_out(DELETE, "transient", "500 `Common.0001`, without effect", 1)
    },
    Row {
        fault: r#"{"refuse":[{"operation":"delete","code":"APIGW.0308","times":1}]}"#,
        does: LATER,
        says: &["the deletion failed"],
        after: Some(60),
        ..way_out(DELETE, "throttled", "429 `APIGW.0308`", 1)
    },
    Row {
        fault: r#"{"spoil":[{"operation":"delete","how":"drop","times":1}]}"#,
        does: "sees in the list that it is done",
        says: &["the deletion failed"],
        ..way_out(DELETE, "unknown", "no answer, after the effect", 1)
    },
    Row {
        fault: r#"{"fail_next_deletes":1}"#,
        does: "sees in the list that it is not done, and asks again",
        says: &["the cloud did not take up the deletion, cordoned again"],
        ..way_out(END, "job", "`Ecs.0501` delete failed", 1)
    },
    Row {
        fault: r#"{"stall_next_deletes":1}"#,
        does: "the same",
        says: &["the cloud did not take up the deletion, cordoned again"],
        ..way_out(END, "job", "a job that never ends", 1)
    },
];
