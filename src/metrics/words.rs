//! The closed sets of label values.

/// A closed set of label values, so that each exists from the start and none is mistyped.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$word_doc])* $word,)+ }

        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$word,)+];

            /// The word used in labels.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$word => $text,)+ }
            }
        }
    };
}

words! {
    /// What became of a notification.
    WebhookOutcome {
        /// Taken.
        Accepted = "accepted",
        /// Taken, and held already.
        Duplicate = "duplicate",
        /// Without a valid token.
        Unauthorized = "unauthorized",
        /// Not a notification that this program understands.
        Malformed = "malformed",
        /// Larger than the limit.
        TooLarge = "too_large",
        /// Not now: shutting down, or too many at once.
        Overloaded = "overloaded",
    }
}

words! {
    /// What became of one alert of a notification.
    AlertKind {
        /// A new alarm.
        Taken = "taken",
        /// An alarm held already, or older than the one held.
        Repeated = "repeated",
        /// A resolved alert that cleared its alarm.
        Cleared = "cleared",
        /// The dead man's switch.
        Watchdog = "watchdog",
        /// Not for this program.
        Ignored = "ignored",
        /// For this program, and not credible.
        Refused = "refused",
        /// Cut from the notification by Alertmanager.
        Truncated = "truncated",
    }
}

words! {
    /// Which way a decision goes.
    Direction {
        /// To buy.
        Apply = "apply",
        /// To give back.
        Release = "release",
        /// To do nothing.
        Hold = "hold",
    }
}

words! {
    /// How an ordered server ended its way into service.
    OrderEnd {
        /// In service.
        InService = "in_service",
        /// The cloud refused the order.
        Refused = "refused",
        /// Created with an error, or broken.
        CloudError = "cloud_error",
        /// Not `ACTIVE` within the create deadline.
        NotActive = "not_active",
        /// Not in service within the check deadline.
        NotInService = "not_in_service",
        /// Gone from the cloud without our doing.
        Vanished = "vanished",
        /// The cloud never answered the order.
        Unanswered = "unanswered",
    }
}

words! {
    /// How a release ended.
    ReleaseEnd {
        /// The cloud no longer has the server.
        Deleted = "deleted",
        /// Back in service.
        Returned = "returned",
        /// Gone from the cloud without our doing.
        Vanished = "vanished",
    }
}

words! {
    /// How freeing a ghost ended, once OBS was asked to.
    GhostEnd {
        /// Its job waits again.
        Freed = "freed",
        /// OBS refused, or did not answer; or it could not be looked at once more.
        Failed = "failed",
    }
}

words! {
    /// What a server that is gone left behind.
    Leftover {
        /// A volume, which costs money.
        Volume = "volume",
        /// A port, which uses up an address.
        Port = "port",
    }
}

words! {
    /// A span of a worker's life.
    Span {
        /// From the order to `ACTIVE`.
        Create = "create",
        /// From `ACTIVE` to the first ssh session.
        Boot = "boot",
        /// From there until every check on the machine passed.
        Check = "check",
        /// From there until every instance is registered.
        Join = "join",
        /// From cordoned to the last job's end.
        Drain = "drain",
        /// From there until the cloud no longer lists it.
        Delete = "delete",
    }
}

words! {
    /// What is polled.
    Poller {
        /// A backend's workers.
        Workers = "workers",
        /// A backend's results.
        Results = "results",
        /// A backend's job histories.
        History = "history",
        /// What a backend's jobs ask of workers.
        Constraints = "constraints",
        /// Which of a backend's builds are none.
        Ghosts = "ghosts",
        /// The cloud's list.
        Ecs = "ecs",
        /// The workers' resource use.
        Hosts = "hosts",
        /// What the cloud can give.
        Market = "market",
    }
}
