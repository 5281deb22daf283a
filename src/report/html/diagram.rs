//! The space-time diagram of a finding: a lane for each client, cache node and the database,
//! time downwards, a row for each step.
//!
//! Rows are evenly spaced, whatever the time between them: what counts is the order. Points
//! in between (a request sent, a reply seen) are placed in proportion.

use std::fmt::Write;

use super::escape;
use super::explain;
use crate::run::timeline::{Freshness, Timeline, TimelineStep};
use crate::time::human;

const GUTTER: f64 = 78.0;
/// Wide enough for "get → nothing there" beside the next lane's operation.
const PITCH: f64 = 186.0;
const HEAD: f64 = 44.0;
const ROW: f64 = 40.0;

struct Diagram<'a> {
    timeline: &'a Timeline,
    lanes: Vec<String>,
}

/// The diagram with its explanations and the same steps as a list.
pub(super) fn figure(out: &mut String, timeline: &Timeline, label: &str) {
    if timeline.steps.is_empty() {
        out.push_str(
            "<p class=\"soft\">Steps were not recorded (<code>record = \"operations\"</code>), \
             so there is no diagram.</p>\n",
        );
        return;
    }
    let diagram = Diagram { timeline, lanes: lanes(timeline) };
    out.push_str("<figure data-lanes>\n");
    if timeline.left_out > 0 {
        let _ =
            write!(out, "<p class=\"soft\">{} earlier steps are not shown.</p>", timeline.left_out);
    }
    out.push_str(
        "<div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"diagram, scrolls\">\n",
    );
    diagram.svg(out, label);
    out.push_str(
        "</div>\n<div class=\"explain\" aria-live=\"polite\">Point at a step, or move to it with \
         Tab and the arrow keys: it is explained here.</div>\n<figcaption>Time runs downwards; \
         each row is a step, in the order in which steps took effect. A solid line is the \
         request, a dashed one the reply. On the cache's lane a green bar is a value that agrees \
         with the database, a red one a value that does not.</figcaption>\n",
    );
    out.push_str("<details><summary>The same as a list</summary><ol class=\"steps\">\n");
    for number in 0..timeline.steps.len() {
        let text = explain::step(timeline, number);
        let text = text.split_once(", ").map_or(text.as_str(), |(_, rest)| rest);
        let class = if diagram.is_stale(&timeline.steps[number]) { " class=\"bad\"" } else { "" };
        let _ = writeln!(out, "<li{class}>{}</li>", escape(text));
    }
    out.push_str("</ol></details>\n</figure>\n");
}

/// Clients first, then the memory of processes, the cache nodes and the database.
fn lanes(timeline: &Timeline) -> Vec<String> {
    let mut lanes: Vec<String> = timeline.clients().into_iter().map(str::to_owned).collect();
    let clients = timeline.steps.iter().map(|step| &step.client).filter(|c| *c != "server");
    for client in clients {
        if !lanes.contains(client) {
            lanes.push(client.clone());
        }
    }
    let mut servers: Vec<&String> = timeline.steps.iter().map(|step| &step.lane).collect();
    let rank = |lane: &str| match lane {
        "process" => 0,
        "database" => 2,
        _ => 1,
    };
    servers.sort_by_key(|lane| (rank(lane), lane.len(), *lane));
    servers.dedup();
    lanes.extend(servers.into_iter().cloned());
    lanes
}

impl Diagram<'_> {
    fn svg(&self, out: &mut String, label: &str) {
        let width = GUTTER + PITCH * self.lanes.len() as f64;
        let height = HEAD + ROW * (self.timeline.steps.len() as f64 + 0.9);
        let _ = writeln!(
            out,
            "<svg class=\"lanes\" role=\"group\" aria-label=\"{}\" width=\"{width}\" \
             height=\"{height}\" viewBox=\"0 0 {width} {height}\">",
            escape(label)
        );
        for (number, lane) in self.lanes.iter().enumerate() {
            let x = self.x(number);
            let name = if lane.starts_with("cache") { explain::place(lane) } else { lane.clone() };
            let _ = writeln!(
                out,
                "<text class=\"name\" x=\"{x}\" y=\"22\">{}</text>\
                 <line class=\"lane\" x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\"/>",
                escape(&name),
                HEAD - 8.0,
                height - 6.0
            );
        }
        self.operations(out);
        self.contents(out, height - 6.0);
        self.world(out, width);
        for number in 0..self.timeline.steps.len() {
            self.step(out, number, width);
        }
        out.push_str("</svg>\n");
    }

    fn x(&self, lane: usize) -> f64 {
        GUTTER + PITCH * (lane as f64 + 0.5)
    }

    fn lane(&self, name: &str) -> Option<f64> {
        self.lanes.iter().position(|lane| lane == name).map(|lane| self.x(lane))
    }

    fn row(number: usize) -> f64 {
        HEAD + ROW * (number as f64 + 0.7)
    }

    /// The height of a point in time: in proportion between the rows around it.
    fn y(&self, nanos: u64) -> f64 {
        let steps = &self.timeline.steps;
        let after = steps.partition_point(|step| step.at_nanos <= nanos);
        let Some(before) = after.checked_sub(1) else { return Self::row(0) - ROW * 0.5 };
        let Some(next) = steps.get(after) else { return Self::row(before) + ROW * 0.4 };
        let from = steps[before].at_nanos;
        let part = (nanos - from) as f64 / (next.at_nanos - from) as f64;
        Self::row(before) + ROW * part * (after - before) as f64
    }

    /// A bar on the client's lane from invocation to return.
    fn operations(&self, out: &mut String) {
        for op in &self.timeline.operations {
            let Some(x) = self.lane(&op.client) else { continue };
            let own = self.timeline.steps.iter().position(|step| step.actor == op.id);
            let first = own.map_or(f64::MAX, Self::row);
            let from = self.y(op.start_nanos).min(first - 6.0) - 7.0;
            let to = op.end_nanos.map_or_else(
                || Self::row(self.timeline.steps.len()) - ROW * 0.4,
                |end| self.y(end),
            ) + 7.0;
            let class = if op.outcome == "ok" { "" } else { " operation-unknown" };
            let _ = writeln!(
                out,
                "<rect class=\"operation{class}\" x=\"{}\" y=\"{from:.1}\" width=\"12\" \
                 height=\"{:.1}\" rx=\"4\"><title>{}</title></rect>\
                 <text class=\"tick label\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                x - 6.0,
                (to - from).max(14.0),
                escape(&format!(
                    "{} {}: reported {}, outcome {}",
                    op.id, op.kind, op.reported, op.outcome
                )),
                x - 10.0,
                from + 10.0,
                escape(&op.kind)
            );
        }
    }

    /// Bars on the cache lanes: what the node holds, and whether that is the committed row.
    fn contents(&self, out: &mut String, bottom: f64) {
        for lane in self.lanes.iter().filter(|lane| lane.starts_with("cache")) {
            let Some(x) = self.lane(lane) else { continue };
            for (from, to, stale) in self.held(lane, bottom) {
                let class = if stale { "holds-stale" } else { "holds" };
                let _ = writeln!(
                    out,
                    "<rect class=\"{class}\" x=\"{}\" y=\"{from:.1}\" width=\"8\" \
                     height=\"{:.1}\" rx=\"3\"/>",
                    x - 4.0,
                    (to - from).max(3.0)
                );
            }
        }
    }

    /// The spans in which a node holds a value, as far as the shown steps tell.
    fn held(&self, lane: &str, bottom: f64) -> Vec<(f64, f64, bool)> {
        let mut spans = Vec::new();
        let (mut value, mut committed): (Option<&str>, Option<&str>) = (None, None);
        let mut open: Option<(f64, bool)> = None;
        for (number, step) in self.timeline.steps.iter().enumerate() {
            if !step.executed {
                continue;
            }
            let name = step.kind.split_once('.').map_or("", |(_, name)| name);
            let done = matches!(step.result.as_str(), "done" | "found");
            match (step.lane.as_str(), name) {
                ("database", "update" | "insert" | "delete" | "select") if done => {
                    committed = step.value.as_deref();
                }
                (own, "set" | "add" | "replace" | "cas" | "meta-set" | "get" | "meta-get")
                    if own == lane && done =>
                {
                    value = step.value.as_deref();
                }
                (own, "delete" | "meta-delete" | "evict" | "restart" | "flush-all")
                    if own == lane =>
                {
                    value = None;
                }
                _ => continue,
            }
            let at = Self::row(number);
            let now = value.map(|value| match committed {
                Some(committed) => committed != value,
                None => step.freshness == Some(Freshness::Stale),
            });
            if let Some((from, stale)) = open.take_if(|(_, stale)| now != Some(*stale)) {
                spans.push((from, at, stale));
            }
            if let (None, Some(stale)) = (open, now) {
                open = Some((at, stale));
            }
        }
        spans.extend(open.map(|(from, stale)| (from, bottom, stale)));
        spans
    }

    fn is_stale(&self, step: &TimelineStep) -> bool {
        matches!(step.freshness, Some(Freshness::Stale | Freshness::Ahead))
    }

    fn step(&self, out: &mut String, number: usize, width: f64) {
        let step = &self.timeline.steps[number];
        let y = Self::row(number);
        let class = if self.is_stale(step) { "step stale" } else { "step" };
        let _ = writeln!(
            out,
            "<g class=\"{class}\" tabindex=\"0\" role=\"img\" aria-label=\"{}\">\
             <rect class=\"hit-area\" x=\"2\" y=\"{:.1}\" width=\"{}\" height=\"{}\" rx=\"4\"/>\
             <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            escape(&explain::step(self.timeline, number)),
            y - ROW * 0.58,
            width - 4.0,
            ROW - 2.0,
            GUTTER - 8.0,
            y + 4.0,
            human(step.at_nanos)
        );
        let server = self.lane(&step.lane).unwrap_or(GUTTER);
        match self.lane(&step.client) {
            Some(client) => self.arrows(out, step, y, client, server),
            None => {
                let _ = writeln!(
                    out,
                    "<circle class=\"mark\" cx=\"{server}\" cy=\"{y:.1}\" r=\"5\"/>\
                     <text class=\"mark-text\" x=\"{}\" y=\"{:.1}\">{}</text>",
                    server + 9.0,
                    y + 4.0,
                    escape(&words(step))
                );
            }
        }
        out.push_str("</g>\n");
    }

    fn arrows(&self, out: &mut String, step: &TimelineStep, y: f64, client: f64, server: f64) {
        let start = client + 6.0;
        let sent = self.y(step.sent_nanos).min(y - 3.0).max(y - ROW * 6.0);
        // A request that was never executed ends on its way.
        let end = if step.executed { server - 5.0 } else { start + (server - start) * 0.72 };
        let _ = writeln!(
            out,
            "<line class=\"send\" x1=\"{start:.1}\" y1=\"{sent:.1}\" x2=\"{end:.1}\" \
             y2=\"{y:.1}\"/>"
        );
        if step.executed {
            let _ = writeln!(
                out,
                "<path class=\"head\" d=\"M{:.1} {y:.1}l-9 -4.5v9z\"/>",
                server - 4.0
            );
        } else {
            cross(out, end, y);
        }
        if let Some(answered) = step.answered_nanos.filter(|_| step.executed) {
            let seen = self.y(answered).max(y + 3.0).min(y + ROW * 6.0);
            let lost = step.note.is_some();
            let back = if lost { server - (server - start) * 0.4 } else { start };
            let at = if lost { y + 5.0 } else { seen };
            let _ = writeln!(
                out,
                "<line class=\"reply\" x1=\"{:.1}\" y1=\"{y:.1}\" x2=\"{back:.1}\" \
                 y2=\"{at:.1}\"/>",
                server - 5.0
            );
            if lost {
                cross(out, back, at);
            }
        }
        // A steep line leaves room beneath it, a flat one above.
        let base = if y - sent > 24.0 { y - 5.0 } else { sent - 5.0 };
        let _ = writeln!(
            out,
            "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            start + 8.0,
            base,
            escape(&words(step))
        );
        if let Some(fault) = &step.fault {
            let name = fault.split(' ').next().unwrap_or(fault);
            let _ = writeln!(
                out,
                "<text class=\"mark-text\" x=\"{:.1}\" y=\"{:.1}\">⚡ {}</text>",
                start + 8.0,
                y + 12.0,
                escape(name)
            );
        }
    }

    /// Faults of the world: a line across all lanes.
    fn world(&self, out: &mut String, width: f64) {
        for fault in self.timeline.faults.iter().filter(|fault| fault.step.is_none()) {
            let y = self.y(fault.at_nanos);
            let _ = writeln!(
                out,
                "<line class=\"world\" x1=\"{GUTTER}\" x2=\"{width}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"mark-text\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">⚡ {}</text>",
                width - 6.0,
                y - 4.0,
                escape(&fault.fault)
            );
        }
    }
}

fn cross(out: &mut String, x: f64, y: f64) {
    let _ = writeln!(
        out,
        "<path class=\"mark-cross\" d=\"M{:.1} {:.1}l10 10m0 -10l-10 10\"/>",
        x - 5.0,
        y - 5.0
    );
}

/// What stands above a step's line.
fn words(step: &TimelineStep) -> String {
    let name = step.kind.split_once('.').map_or(step.kind.as_str(), |(_, name)| name);
    match (&step.value, step.result.as_str(), &step.note) {
        (Some(value), "found", _) => format!("{name} → {value}"),
        (Some(value), "done", _) => format!("{name} = {value}"),
        (_, "done", _) => name.to_owned(),
        (_, "not executed", Some(note)) => format!("{name}: {note}"),
        (_, result, _) => format!("{name} → {result}"),
    }
}
