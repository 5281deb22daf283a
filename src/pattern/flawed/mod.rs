//! Patterns that are known to be wrong, each in one way: what people write by mistake, or what
//! a framework does behind their back. They are here so that a hazard can be shown, and its
//! defence be compared with it; nobody should choose them.

pub(super) mod cached_counter;
pub(super) mod cas_after_read;
pub(super) mod cas_or_add;
pub(super) mod derived_key;
pub(super) mod failover;
pub(super) mod fill_inside_txn;
pub(super) mod invalidate_inside_txn;
pub(super) mod local_cache;
pub(super) mod mixed_clients;
pub(super) mod negative_caching;
pub(super) mod nested_transaction;
pub(super) mod noreply;
pub(super) mod oversize_store;
pub(super) mod pair_object;
pub(super) mod refresh_ahead;
pub(super) mod replicated_cache;
pub(super) mod retried_transaction;
pub(super) mod secondary_key;
pub(super) mod set_inside_txn;
pub(super) mod short_keys;
pub(super) mod sliding_ttl;
pub(super) mod snapshot_fill;
pub(super) mod swallowed_errors;
