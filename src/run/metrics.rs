//! The metrics that scenarios may name.

use crate::metric::{self, Evidence, Metric, Source};
use crate::scenario::{MetricKind, MetricSpec, Number};

/// The metric that says whether the claim stands; computed from `broken-if`.
pub const CLAIM: &str = "claim";

/// What scenarios may name.
pub fn specs() -> Vec<MetricSpec> {
    metric::of(Source::Run).iter().map(|metric| metric.spec(Source::Run)).collect()
}

/// What scenarios may know of the metric of this name.
pub(crate) fn spec(name: &str) -> Option<MetricSpec> {
    find(name).map(|metric| metric.spec(Source::Run))
}

/// What kind of value stands under this name in a result: a metric's, or, for a hazard among
/// accepted findings, how long its longest finding lasted.
pub(crate) fn kind(name: &str) -> Option<MetricKind> {
    let metric = find(name).map(|metric| metric.kind);
    metric.or_else(|| crate::hazard::find(name).map(|_| MetricKind::Duration))
}

/// The metric of this name.
pub(crate) fn find(name: &str) -> Option<&'static Metric> {
    metric::find(Source::Run, name)
}

/// What some evidence says of the metric of this name.
pub(crate) fn value(name: &str, evidence: &dyn Evidence) -> Option<f64> {
    (find(name)?.value)(evidence).map(Number::as_f64)
}
