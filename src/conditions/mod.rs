//! Unusual conditions: those of the alerts, checked in the exporter itself, so that its page can show them to a user
//! without Prometheus.
//!
//! A condition here has no time for which it must hold before it is shown, unlike an alert.

mod alert;
mod samples;
mod thresholds;
mod traffic;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};

pub use alert::{Alert, Severity, Unit};

use self::{
    samples::{Counter, LONGEST, Sample, Samples},
    thresholds::{
        FOLDED_SHARE, LOST_SHARE, MIRROR_LAG_SECONDS, SCAN_PORTS, SCANNING_SOURCES, SPOOL_SHARE,
    },
    traffic::LastDay,
};
use crate::{
    event::CurrentNames,
    history::SharedHistory,
    metrics::SharedAggregate,
    mirror::Queue,
    output::Outputs,
    pipeline::{Clock, Route},
    recent::SharedRecent,
    sort::sort_by,
    source::{
        kernel_log::{Input, LineMeter},
        nflog::GroupMeter,
    },
    system::lock::lock,
};

/// Interval at which the conditions are checked.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// Interval at which the history is summed for comparison.
const HISTORY_INTERVAL: Duration = Duration::from_secs(60);

/// Maximum number of conditions of one alert; the others are counted.
const MAX_OF_ALERT: usize = 3;

const FIVE_MINUTES: Duration = Duration::from_secs(300);

/// An alert that would be pending or firing.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The alert.
    pub alert: Alert,
    /// What it is about, such as a prefix, if the text of the alert names it.
    pub subject: Option<String>,
    /// Its number, in the unit of the alert.
    pub value: f64,
    /// How many other subjects have the same condition, with lower values.
    pub more: usize,
}

impl Condition {
    fn new(alert: Alert, subject: Option<String>, value: f64) -> Self {
        Self { alert, subject, value, more: 0 }
    }
}

/// The conditions of a running exporter.
#[derive(Clone)]
pub struct Conditions(Arc<Shared>);

struct Shared {
    inputs: Inputs,
    state: Mutex<State>,
    current: Mutex<Arc<[Condition]>>,
}

/// What the conditions are computed from.
struct Inputs {
    meters: Vec<Arc<GroupMeter>>,
    lines: Option<Arc<LineMeter>>,
    aggregate: SharedAggregate,
    recent: SharedRecent,
    names: CurrentNames,
    clock: Clock,
    mirror: Option<Queue>,
    outputs: Option<Outputs>,
    history: Option<SharedHistory>,
}

#[derive(Default)]
struct State {
    samples: Samples,
    day: LastDay,
    /// When the history is summed next.
    next_day: Duration,
}

impl Conditions {
    /// The conditions of the packets of a route. They are checked by [`Self::check`] only.
    #[must_use]
    pub fn new(
        route: &Route,
        meters: Vec<Arc<GroupMeter>>,
        lines: Option<Arc<LineMeter>>,
        outputs: Option<Outputs>,
        history: Option<SharedHistory>,
    ) -> Self {
        let inputs = Inputs {
            meters,
            lines,
            aggregate: route.aggregate(),
            recent: route.recent(),
            names: route.current_names(),
            clock: route.clock(),
            mirror: route.mirror(),
            outputs,
            history,
        };
        let (state, current) = (Mutex::default(), Mutex::new([].into()));
        Self(Arc::new(Shared { inputs, state, current }))
    }

    /// The conditions at the last check, the most urgent first.
    #[must_use]
    pub fn current(&self) -> Arc<[Condition]> {
        Arc::clone(&lock(&self.0.current))
    }

    /// Checks all conditions. Called at each [`INTERVAL`]; needs some milliseconds of processor time once a minute.
    pub fn check(&self) {
        let Shared { inputs, state, current } = &*self.0;
        let now = inputs.clock.now();
        let mut state = lock(state);
        state.samples.push(now, inputs.sample());
        if let Some(history) = &inputs.history
            && state.next_day <= now
        {
            state.next_day = now + HISTORY_INTERVAL;
            state.day = LastDay::of(history);
        }
        let mut found = of_counters(&state.samples);
        found.extend(inputs.scans(now));
        found.extend(inputs.mirror.as_ref().into_iter().flat_map(of_mirror));
        found.extend(inputs.outputs.iter().flat_map(of_outputs));
        let recent = inputs.recent.lock();
        let (span, names) = (recent.span(now), inputs.names.get());
        drop(recent);
        let received = state.samples.covers(FIVE_MINUTES);
        let received = received.then(|| state.samples.increase(&Counter::Received, FIVE_MINUTES));
        found.extend(traffic::conditions(&span, &names, &state.day, received));
        drop(state);
        *lock(current) = in_order(found).into();
    }
}

impl Inputs {
    fn sample(&self) -> Sample {
        let mut sample = Sample::new();
        for meter in &self.meters {
            *sample.entry(Counter::Lost).or_default() += meter.lost_packets.load(Relaxed);
            let drops = meter.socket_drops.load(Relaxed);
            sample.insert(Counter::SocketDrops(meter.group), drops);
        }
        if let Some(lines) = &self.lines {
            for input in Input::ALL {
                let lost = lines.lost[input as usize].load(Relaxed);
                sample.insert(Counter::LostLines(input.name()), lost);
            }
        }
        let aggregate = self.aggregate.lock();
        sample.insert(Counter::Received, aggregate.received_packets());
        for (family, folded) in aggregate.folded_packets() {
            for (label, packets) in folded.iter().enumerate() {
                sample.insert(Counter::Folded(Arc::clone(family), label), *packets);
            }
        }
        drop(aggregate);
        if let Some(mirror) = &self.mirror {
            let status = mirror.status();
            sample.insert(Counter::MirrorDropped, status.account.dropped.iter().sum());
            sample.insert(Counter::MirrorReverted, status.reverted);
        }
        for output in self.outputs.iter().flat_map(Outputs::status) {
            let dropped = output.account.dropped.iter().sum();
            sample.insert(Counter::OutputDropped(output.name), dropped);
        }
        sample
    }

    fn scans(&self, now: Duration) -> Vec<Condition> {
        let mut aggregate = self.aggregate.lock();
        let (scans, names) = (aggregate.scans(now), self.names.get());
        drop(aggregate);
        let mut found = Vec::new();
        for scan in scans {
            let prefix = || Some(names.text(scan.prefix).to_string());
            let sources = f64::from(scan.sources);
            if scan.most_ports > SCAN_PORTS {
                found.push(Condition::new(Alert::NflogPortSweep, prefix(), scan.most_ports));
            }
            if sources > SCANNING_SOURCES {
                found.push(Condition::new(Alert::NflogManyScanningSources, prefix(), sources));
            }
        }
        found
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of minutes are below 2^52")]
fn of_counters(samples: &Samples) -> Vec<Condition> {
    let mut found = Vec::new();
    let received = samples.increase(&Counter::Received, FIVE_MINUTES) as f64;
    let lost = samples.increase(&Counter::Lost, FIVE_MINUTES) as f64;
    if lost > 0.0 && lost / (received + lost) > LOST_SHARE {
        found.push(Condition::new(Alert::NflogPacketsLost, None, lost / (received + lost)));
    }
    for (counter, increase) in samples.increases(FIVE_MINUTES) {
        if let Counter::SocketDrops(group) = counter
            && increase > 0
        {
            let group = Some(group.to_string());
            found.push(Condition::new(Alert::NflogReaderFallingBehind, group, increase as f64));
        }
    }
    let received = samples.increase(&Counter::Received, LONGEST) as f64;
    let mut folded: BTreeMap<&str, u64> = BTreeMap::new();
    for (counter, increase) in samples.increases(LONGEST).filter(|(_, increase)| *increase > 0) {
        let (alert, subject) = match counter {
            Counter::Folded(family, _) => {
                let most = folded.entry(family).or_default();
                *most = increase.max(*most);
                continue;
            }
            Counter::LostLines(source) => (Alert::NflogLogLinesLost, Some((*source).to_owned())),
            Counter::MirrorDropped => (Alert::NflogMirrorDroppingRows, None),
            Counter::MirrorReverted => (Alert::NflogMirrorRowsReverted, None),
            Counter::OutputDropped(output) => {
                (Alert::NflogOutputDroppingRows, Some(output.clone()))
            }
            Counter::Received | Counter::Lost | Counter::SocketDrops(_) => continue,
        };
        found.push(Condition::new(alert, subject, increase as f64));
    }
    for (family, packets) in folded {
        let share = packets as f64 / received.max(1.0);
        if share > FOLDED_SHARE {
            let family = Some(family.to_owned());
            found.push(Condition::new(Alert::NflogFoldedShareHigh, family, share));
        }
    }
    found
}

#[expect(clippy::cast_precision_loss, reason = "numbers of rows and bytes are below 2^52")]
fn of_mirror(mirror: &Queue) -> Vec<Condition> {
    let status = mirror.status();
    let mut found = Vec::new();
    if !status.up {
        let waiting = (status.account.queued + status.account.spooled) as f64;
        found.push(Condition::new(Alert::NflogMirrorDown, None, waiting));
    }
    let lag = status.lag.as_secs_f64();
    if lag > MIRROR_LAG_SECONDS {
        found.push(Condition::new(Alert::NflogMirrorLagging, None, lag));
    }
    let share = status.spool_size as f64 / status.spool_limit.max(1) as f64;
    if status.spool_limit > 0 && share > SPOOL_SHARE {
        found.push(Condition::new(Alert::NflogMirrorSpoolFilling, None, share));
    }
    found
}

#[expect(clippy::cast_precision_loss, reason = "a queue has fewer than 2^52 rows")]
fn of_outputs(outputs: &Outputs) -> Vec<Condition> {
    let down = outputs.status().into_iter().filter(|output| !output.is_up);
    down.map(|output| {
        let waiting = output.account.queued as f64;
        Condition::new(Alert::NflogOutputDown, Some(output.name), waiting)
    })
    .collect()
}

/// The most urgent alerts first, each with its highest values only.
fn in_order(mut found: Vec<Condition>) -> Vec<Condition> {
    sort_by(&mut found, |one, other| {
        let order = one.alert.cmp(&other.alert).then(other.value.total_cmp(&one.value));
        order.then_with(|| one.subject.cmp(&other.subject))
    });
    let all: Vec<Alert> = found.iter().map(|condition| condition.alert).collect();
    let position =
        |index: usize| all[..index].iter().rev().take_while(|it| **it == all[index]).count();
    let mut kept = Vec::new();
    for (index, mut condition) in found.into_iter().enumerate() {
        let position = position(index);
        if position < MAX_OF_ALERT {
            let of_alert = all.iter().filter(|alert| **alert == condition.alert).count();
            condition.more = if position + 1 == MAX_OF_ALERT { of_alert - MAX_OF_ALERT } else { 0 };
            kept.push(condition);
        }
    }
    kept
}

#[cfg(test)]
mod tests;
