//! The figures beside the diagram: staleness over time, its distribution, visibility,
//! latencies, and hits against staleness.

use std::fmt::Write;

use super::escape;
use super::plot::{self, Plot, Scale, duration, number, percent};
use crate::run::ScenarioResult;
use crate::run::metrics::value;
use crate::run::series::{Latency, Series};
use crate::time::human;

/// Reads and stale reads over the shown run's time, with the faults.
pub(super) fn over_time(out: &mut String, result: &ScenarioResult) {
    let shown = &result.series.shown;
    let length = shown.bucket_nanos as f64;
    let end = length * shown.over_time.len() as f64;
    let most = shown.over_time.iter().map(|bucket| bucket.reads.max(bucket.differing)).max();
    let stale: u64 = shown.over_time.iter().map(|bucket| bucket.stale).sum();
    let oldest = shown.over_time.iter().map(|bucket| bucket.age_nanos).max().unwrap_or(0);
    let label = format!(
        "Staleness over time in the run with seed {}: {stale} stale reads, the stalest {} old, \
         {} spans of faults",
        shown.seed,
        human(oldest),
        shown.faults.len()
    );
    let top = most.unwrap_or(0).max(1) as f64;
    let mut plot = Plot::new(
        &label,
        (Scale::Linear(end), duration, "time of the run"),
        (Scale::Linear(top.max(4.0)), number, "per part of the time"),
    );
    for band in &shown.faults {
        let title = format!(
            "{}: {} times from {} to {}",
            band.fault,
            band.struck,
            human(band.from_nanos),
            human(band.until_nanos)
        );
        plot.band(band.from_nanos as f64, band.until_nanos as f64, &title);
    }
    for (place, bucket) in shown.over_time.iter().enumerate() {
        let from = place as f64 * length;
        plot.bar("bar", from, from + length, bucket.reads as f64);
        plot.bar("bar-bad", from, from + length, bucket.stale as f64);
    }
    if shown.over_time.iter().any(|bucket| bucket.differing > 0) {
        let middle = |place: usize| (place as f64 + 0.5) * length;
        let points = shown.over_time.iter().enumerate();
        plot.curve("curve-bad", points.map(|(p, bucket)| (middle(p), bucket.differing as f64)));
    }
    let _ = write!(
        out,
        "<figure>\n{}<figcaption>Run with seed {}: pale bars are reads, red bars stale reads, the \
         red line keys whose entry differed from its row. Amber bands are faults{}.</figcaption>\n\
         </figure>\n",
        plot.finish(),
        shown.seed,
        if shown.faults.is_empty() { " (none struck)" } else { "" }
    );
}

/// The complementary distribution of the ages of reads.
pub(super) fn ccdf(out: &mut String, result: &ScenarioResult) {
    let points = &result.series.staleness;
    let reads = metric(result, "reads");
    if points.is_empty() || reads == 0.0 {
        out.push_str("<p>No read was stale.</p>\n");
        return;
    }
    let share = |reads_at_least: u64| reads_at_least as f64 / reads;
    let ages = points.iter().map(|point| point.age_nanos.max(1) as f64);
    let shares = points.iter().map(|point| share(point.reads));
    let oldest = points.last().map_or(0, |point| point.age_nanos);
    let label = format!(
        "Share of reads at least so stale: {} of all reads are stale, the stalest is {} old",
        percent(share(points[0].reads)),
        human(oldest)
    );
    let mut plot = Plot::new(
        &label,
        (Scale::log(ages), duration, "at least so stale"),
        (Scale::log(shares), percent, "share of reads"),
    );
    let curve = points.iter().map(|p| (p.age_nanos.max(1) as f64, share(p.reads)));
    plot.curve("curve-bad", curve);
    if let [point] = points.as_slice() {
        let title = format!("one read, {} old", human(point.age_nanos));
        plot.dot("dot-bad", point.age_nanos.max(1) as f64, share(point.reads), &title);
    }
    let _ = write!(
        out,
        "<figure>\n{}<figcaption>CCDF of staleness over all runs, both axes logarithmic: the age \
         of a read counts from the commit that superseded its value to the read's \
         start.</figcaption>\n</figure>\n",
        plot.finish()
    );
}

/// How likely a read is fresh, by the time since the last write to its key.
pub(super) fn visibility(out: &mut String, series: &Series) {
    let points = &series.visibility;
    if points.is_empty() {
        out.push_str("<p>No read followed a write to its key, so visibility says nothing.</p>\n");
        return;
    }
    let times = points.iter().map(|point| point.since_nanos as f64);
    let mut plot = Plot::new(
        "t-visibility: the share of fresh reads by the time since the last commit to the key",
        (Scale::log(times), duration, "since the last commit"),
        (Scale::Linear(1.0), percent, "fresh reads"),
    );
    let share = |fresh: u64, reads: u64| fresh as f64 / reads as f64;
    plot.curve("curve", points.iter().map(|p| (p.since_nanos as f64, share(p.fresh, p.reads))));
    for point in points {
        let fresh = share(point.fresh, point.reads);
        let title = format!(
            "{} or more after a commit: {} of {} reads fresh",
            human(point.since_nanos),
            point.fresh,
            point.reads
        );
        let class = if point.fresh == point.reads { "dot" } else { "dot-bad" };
        plot.dot(class, point.since_nanos as f64, fresh, &title);
    }
    let _ = write!(
        out,
        "<figure>\n{}<figcaption>t-visibility: of the reads that began so long after the last \
         commit to their key, how many returned it.</figcaption>\n</figure>\n<ul class=\"facts\">",
        plot.finish()
    );
    for nines in &series.nines {
        let after = match nines.after_nanos {
            Some(nanos) => format!("from {} on", human(nanos)),
            None => "at no time in this sample".to_owned(),
        };
        let _ = write!(out, "<li>{} fresh: <b>{}</b></li>", escape(&nines.share), escape(&after));
    }
    out.push_str("</ul>\n");
}

/// Latencies of hit, miss and write on one axis.
pub(super) fn latencies(out: &mut String, series: &Series) {
    let shown: Vec<&Latency> = series.latencies.iter().filter(|l| l.count > 0).collect();
    if shown.is_empty() {
        out.push_str("<p>Nothing returned, so there are no latencies.</p>\n");
        return;
    }
    let scale = Scale::log(shown.iter().flat_map(|l| &l.nanos).map(|nanos| (*nanos).max(1) as f64));
    let rows = shown.len() as f64;
    let medians: Vec<String> =
        shown.iter().map(|l| format!("{} {}", l.of, human(l.nanos[2]))).collect();
    let label = format!("Median latencies: {}", medians.join(", "));
    let mut plot = Plot::new(
        &label,
        (scale, duration, "latency"),
        (Scale::Linear(rows), |_| String::new(), ""),
    );
    for (row, latency) in shown.iter().enumerate() {
        let y = plot.y(rows - row as f64 - 0.5);
        let at: Vec<f64> =
            latency.nanos.iter().map(|nanos| plot.x((*nanos).max(1) as f64)).collect();
        let _ = writeln!(
            plot.out,
            "<text x=\"56\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <line class=\"axis\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <rect class=\"bar\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"16\" rx=\"3\"/>\
             <line class=\"curve\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
            y + 4.0,
            escape(&latency.of),
            at[0],
            at[7],
            at[1],
            y - 8.0,
            (at[5] - at[1]).max(2.0),
            at[2],
            at[2],
            y - 10.0,
            y + 10.0
        );
    }
    let _ = write!(
        out,
        "<figure>\n{}<figcaption>Latencies over all runs: a box from the 25th to the 99th \
         percentile, the median as a line, the whole range as a thin line. In a simulation they \
         are what the scenario puts in: compare round trips, not milliseconds.</figcaption>\n\
         </figure>\n",
        plot.finish()
    );
}

/// One dot per scenario: hit ratio against P(stale).
pub(super) fn comparison(out: &mut String, results: &[ScenarioResult]) {
    let points: Vec<(String, f64, f64)> = results
        .iter()
        .filter_map(|result| {
            let hits = (*result.metrics.get("hit_ratio")?)?;
            let stale = (*result.metrics.get("p_stale")?)?;
            Some((format!("{} ({})", result.claim, result.pattern), hits, stale))
        })
        .collect();
    scatter(out, &points, "a dot per scenario");
}

/// One dot per run of a scenario.
pub(super) fn runs(out: &mut String, series: &Series) {
    let points: Vec<(String, f64, f64)> = series
        .runs
        .iter()
        .filter_map(|run| {
            let (hits, stale) = (value("hit_ratio", run)?, value("p_stale", run)?);
            Some((format!("seed {}", run.seed), hits, stale))
        })
        .collect();
    scatter(out, &points, "a dot per run");
}

fn scatter(out: &mut String, points: &[(String, f64, f64)], what: &str) {
    if points.is_empty() {
        out.push_str("<p>No hit ratio was measured, so there is nothing to compare.</p>\n");
        return;
    }
    let most = points.iter().map(|point| point.2).fold(0.0, f64::max);
    let top = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0].into_iter().find(|top| most <= *top);
    let mut plot = Plot::new(
        &format!("Hit ratio against the probability of a stale read, {what}"),
        (Scale::Linear(1.0), percent, "hit ratio"),
        (Scale::Linear(top.unwrap_or(1.0)), plot::percent, "P(stale)"),
    );
    for (name, hits, stale) in points {
        let title = format!("{name}: hit ratio {}, P(stale) {}", percent(*hits), percent(*stale));
        plot.dot(if *stale > 0.0 { "dot-bad" } else { "dot" }, *hits, *stale, &title);
    }
    let _ = write!(
        out,
        "<figure>\n{}<figcaption>Hit ratio against P(stale), {what}: to the right is cheap, \
         upwards is wrong.</figcaption>\n</figure>\n",
        plot.finish()
    );
}

fn metric(result: &ScenarioResult, name: &str) -> f64 {
    result.metrics.get(name).copied().flatten().unwrap_or(0.0)
}
