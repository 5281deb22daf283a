//! The patterns that come with staleproof, in the order in which they are listed.

use super::about::{About, Options};
use super::cache_aside::cache_aside;
use super::flawed::*;
use super::no_cache::no_cache;
use super::read_through::read_through;
use super::strategy::*;
use super::write_through::write_through;
use super::{Pattern, Registry, Settings, Traits, write_behind};
use crate::entity::Product;

const NO_CACHE: About = About {
    name: "no-cache",
    summary: "the control: every read asks the database",
    source: include_str!("no_cache.rs"),
    traits: Traits { caches: false, ..Traits::CACHING },
    settings: &[],
};

const READ_THROUGH: About = About {
    name: "read-through",
    summary: "get, on a miss select and set; writers only update the database",
    source: include_str!("read_through.rs"),
    ..NO_SETTINGS
};

const WRITE_THROUGH: About = About {
    name: "write-through",
    summary: "read-through; writers update the database, then set the cache",
    source: include_str!("write_through.rs"),
    ..NO_SETTINGS
};

const CACHE_ASIDE: About = About {
    name: "cache-aside",
    summary: "read-through; writers update the database, then delete from the cache",
    source: include_str!("cache_aside.rs"),
    ..NO_SETTINGS
};

const NO_SETTINGS: About =
    About { name: "", summary: "", source: "", traits: Traits::CACHING, settings: &[] };

impl Registry {
    /// The patterns and entities that come with staleproof.
    pub fn built_in() -> Registry {
        use delayed_double_delete::DelayedDoubleDelete;
        use generation_namespace::GenerationNamespace;
        use sync_invalidate_cdc::SyncInvalidateCdc;
        use write_through_cache_first::write_through_cache_first;
        let registry = Registry::empty()
            .entity(Product)
            .plain(&NO_CACHE, no_cache)
            .plain(&READ_THROUGH, read_through)
            .plain(&WRITE_THROUGH, write_through)
            .plain(&CACHE_ASIDE, cache_aside)
            .strategy(&write_behind::ABOUT, write_behind::WriteBehind::new)
            .plain(&ttl_only::ABOUT, ttl_only::ttl_only)
            .plain(&delete_before_write::ABOUT, delete_before_write::delete_before_write)
            .plain(&double_delete::ABOUT, double_delete::double_delete)
            .strategy(&delayed_double_delete::ABOUT, DelayedDoubleDelete::new)
            .plain(&write_through_cache_first::ABOUT, write_through_cache_first)
            .strategy(&singleflight::ABOUT, singleflight::Singleflight::new)
            .strategy(&add_lock::ABOUT, add_lock::AddLock::new)
            .strategy(&tombstone_add::ABOUT, tombstone_add::TombstoneAdd::new)
            .strategy(&tombstone_cas::ABOUT, tombstone_cas::TombstoneCas::new)
            .strategy(&lease::ABOUT, lease::Lease::new)
            .strategy(&stale_lease::ABOUT, stale_lease::StaleLease::new)
            .strategy(&q_lease::ABOUT, q_lease::QLease::new)
            .strategy(&iq_refresh::ABOUT, iq_refresh::IqRefresh::new)
            .plain(&versioned_set::ABOUT, versioned_set::versioned_set)
            .strategy(&remote_marker::ABOUT, remote_marker::RemoteMarker::new)
            .plain(&session_min_version::ABOUT, session_min_version::session_min_version)
            .plain(&validated_read::ABOUT, validated_read::validated_read)
            .plain(&version_in_key::ABOUT, version_in_key::version_in_key)
            .strategy(&generation_namespace::ABOUT, GenerationNamespace::new)
            .strategy(&key_lock::ABOUT, key_lock::KeyLock::new)
            .plain(&locked_fill::ABOUT, locked_fill::locked_fill)
            .strategy(&early_refresh::ABOUT, early_refresh::EarlyRefresh::new)
            .strategy(&gutter::ABOUT, gutter::Gutter::new)
            .plain(&epoch_key::ABOUT, epoch_key::epoch_key)
            .strategy(&outbox::ABOUT, outbox::Outbox::new)
            .strategy(&cdc_invalidate::ABOUT, cdc_invalidate::CdcInvalidate::new)
            .strategy(&cdc_update::ABOUT, cdc_update::CdcUpdate::new)
            .strategy(&sync_invalidate_cdc::ABOUT, SyncInvalidateCdc::new)
            .strategy(&scrubber::ABOUT, scrubber::Scrubber::new)
            .plain(&optimistic_modify::ABOUT, optimistic_modify::optimistic_modify);
        let sound = registry.patterns().len();
        registry.flawed().flawed_from(sound)
    }

    /// The patterns that are wrong on purpose.
    fn flawed(self) -> Registry {
        use invalidate_inside_txn::InvalidateInsideTxn;
        self.strategy(&invalidate_inside_txn::ABOUT, InvalidateInsideTxn::new)
            .plain(&set_inside_txn::ABOUT, set_inside_txn::set_inside_txn)
            .plain(&fill_inside_txn::ABOUT, fill_inside_txn::fill_inside_txn)
            .strategy(&snapshot_fill::ABOUT, snapshot_fill::SnapshotFill::new)
            .strategy(&negative_caching::ABOUT, negative_caching::NegativeCaching::new)
            .plain(&sliding_ttl::ABOUT, sliding_ttl::sliding_ttl)
            .plain(&cached_counter::ABOUT, cached_counter::cached_counter)
            .plain(&cas_after_read::ABOUT, cas_after_read::cas_after_read)
            .plain(&cas_or_add::ABOUT, cas_or_add::cas_or_add)
            .plain(&refresh_ahead::ABOUT, refresh_ahead::refresh_ahead)
            .strategy(&derived_key::ABOUT, derived_key::DerivedKey::new)
            .strategy(&secondary_key::ABOUT, secondary_key::SecondaryKey::new)
            .strategy(&pair_object::ABOUT, pair_object::PairObject::new)
            .plain(&local_cache::ABOUT, local_cache::local_cache)
            .plain(&nested_transaction::ABOUT, nested_transaction::nested_transaction)
            .plain(&failover::ABOUT, failover::failover)
            .plain(&noreply::ABOUT, noreply::noreply)
            .plain(&swallowed_errors::ABOUT, swallowed_errors::swallowed_errors)
            .plain(&retried_transaction::ABOUT, retried_transaction::retried_transaction)
            .plain(&replicated_cache::ABOUT, replicated_cache::replicated_cache)
            .strategy(&short_keys::ABOUT, short_keys::ShortKeys::new)
            .strategy(&oversize_store::ABOUT, oversize_store::OversizeStore::new)
            .strategy(&mixed_clients::ABOUT, mixed_clients::MixedClients::new)
    }

    /// A built-in pattern without settings.
    fn plain<P: Pattern + Clone + Send + Sync>(
        self,
        about: &'static About,
        pattern: P,
    ) -> Registry {
        self.strategy(about, none_of(about, move |()| pattern.clone()))
    }
}

/// A factory that refuses whatever setting it is given.
fn none_of<P>(
    about: &'static About,
    make: impl Fn(()) -> P + Send + Sync + 'static,
) -> impl Fn(&Settings) -> Result<P, String> + Send + Sync + 'static {
    move |settings| Options::new(settings, about.settings).map(|_| make(()))
}
