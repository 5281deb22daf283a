//! The strategies that people use or propose, a file each; the head of each file says what it
//! promises and what it does not, and `staleproof explain NAME` prints it.
//!
//! Two of the literature are not here, because no stock memcached can carry them: Gumball
//! (the server stamps each miss and each delete and compares the two when a fill arrives) and
//! TxCache (entries with intervals of validity, filled from database snapshots that are named
//! by a timestamp). Reader leases after Gray and Cheriton are not here either: an entry would
//! have to end at a time fixed *before* its fill, and an expiry of memcached counts from the
//! arrival of the set, however late that is.

pub(super) mod add_lock;
pub(super) mod cdc_invalidate;
pub(super) mod cdc_update;
pub(super) mod delayed_double_delete;
pub(super) mod delete_before_write;
pub(super) mod double_delete;
pub(super) mod early_refresh;
pub(super) mod epoch_key;
pub(super) mod generation_namespace;
pub(super) mod gutter;
pub(super) mod iq_refresh;
pub(super) mod key_lock;
pub(super) mod lease;
pub(super) mod locked_fill;
pub(super) mod optimistic_modify;
pub(super) mod outbox;
pub(super) mod q_lease;
pub(super) mod remote_marker;
pub(super) mod scrubber;
pub(super) mod session_min_version;
pub(super) mod singleflight;
pub(super) mod stale_lease;
pub(super) mod sync_invalidate_cdc;
pub(super) mod tombstone_add;
pub(super) mod tombstone_cas;
pub(super) mod ttl_only;
pub(super) mod validated_read;
pub(super) mod version_in_key;
pub(super) mod versioned_set;
pub(super) mod write_through_cache_first;
