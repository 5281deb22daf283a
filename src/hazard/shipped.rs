//! The hazards' scenarios, as part of the program, so that it has them wherever it is installed.

macro_rules! shipped {
    ($($id:literal)*) => {
        /// By hazard, in the order of their files.
        pub const SHIPPED: &[(&str, &str)] =
            &[$(($id, include_str!(concat!("../../scenarios/hazards/", $id, ".toml")))),*];
    };
}

shipped! {
    "add-lock-expiry"
    "asymmetric-partition"
    "bypass-write"
    "cached-counter-double-apply"
    "cas-aba-restart"
    "cas-miss-fallback-set"
    "cas-token-laundering"
    "cdc-before-visible"
    "cdc-gap"
    "cdc-reorder"
    "cdc-replay"
    "commit-to-delete-window"
    "connection-desync"
    "crash-between"
    "db-fail-after-cache"
    "deadlock-retry-reorder"
    "delayed-request"
    "delete-before-write"
    "delete-fails"
    "derived-key-missed"
    "double-delete-gap"
    "eviction-mid-lease"
    "failover-split"
    "fill-vs-update-set"
    "flush-then-old-fill"
    "fresh-then-stale-inversion"
    "invalidate-inside-txn"
    "joined-old-load"
    "key-collision"
    "key-move-missed"
    "local-l1-stale"
    "lost-reply-cache"
    "lost-reply-db"
    "misreported-failure"
    "multiget-skew"
    "negative-cache-no-invalidate"
    "negative-cache-race"
    "no-invalidation"
    "noreply-loss"
    "old-snapshot-fill"
    "oom-store-fail"
    "outbox-relay-stall"
    "oversize-cas-keeps-old"
    "phantom-uncommitted-fill"
    "refresh-ahead-overwrite"
    "replica-lag-read"
    "replica-lag-refill"
    "replica-set-partial"
    "rmw-lost-update"
    "rollback-after-effect"
    "set-fails"
    "set-set-reorder"
    "set-vs-db-order-cache-first"
    "stale-flag-ignored"
    "stale-set-after-eviction"
    "stale-set"
    "stale-while-revalidate"
    "stub-read-as-value"
    "stuck-stale"
    "swallowed-error"
    "thundering-herd"
    "tombstone-expiry"
    "torn-multi-key"
    "touch-extends-stale"
    "ttl-30-day"
    "ttl-zero-forever"
    "warm-restart"
    "write-behind-loss"
    "write-behind-reorder"
}

/// A hazard's scenario, as text.
pub fn scenario(id: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(hazard, _)| *hazard == id).map(|(_, text)| *text)
}
