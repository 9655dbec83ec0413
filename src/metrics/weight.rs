//! The weight of a key: its packets, decayed over a horizon that suits the rate.

use std::{collections::VecDeque, time::Duration};

/// Half-life of a weight while places are contested by few packets.
const HALF_LIFE: Duration = Duration::from_secs(72 * 3600);

/// Shortest half-life, reached in a flood.
const SHORTEST_HALF_LIFE: Duration = Duration::from_secs(60);

/// Weights decay faster while the lightest series weighs more than this many packets: then even the lightest has a
/// rate that is known well enough.
const ENOUGH: f64 = 10.0;

const HOUR: Duration = Duration::from_secs(3600);

/// The unit at which all weights are scaled down, long before a number overflows.
const LARGEST_UNIT: f64 = 1e18;

/// What one packet weighs now.
///
/// Forward decay (Cormode, Shkapenyuk, Srivastava, Xu 2009): instead of all weights shrinking, the weight of a new
/// packet grows, so that nothing is touched as time passes.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    unit: f64,
    since: Duration,
}

impl Unit {
    /// Starts at 1.
    pub fn new(now: Duration) -> Self {
        Self { unit: 1.0, since: now }
    }

    /// The weight of one packet.
    pub fn get(self) -> f64 {
        self.unit
    }

    /// A weight in packets of now.
    pub fn packets(self, weight: f64) -> f64 {
        weight / self.unit
    }

    /// Decays all weights for the time since the last call. `lightest` is the lowest weight of a series if all places
    /// are taken.
    pub fn decay(&mut self, lightest: Option<f64>, now: Duration) {
        let passed = now.saturating_sub(self.since);
        self.since = self.since.max(now);
        let mut decay = halved(passed, HALF_LIFE);
        if let Some(lightest) = lightest {
            let lightest = self.packets(lightest) * decay;
            if lightest > ENOUGH {
                decay *= (ENOUGH / lightest).max(halved(passed, SHORTEST_HALF_LIFE));
            }
        }
        // A pause of years must not make the unit infinite.
        self.unit /= decay.max(1.0 / LARGEST_UNIT);
    }

    /// The factor by which all weights must be scaled, if the unit has grown too large.
    pub fn rescale(&mut self) -> Option<f64> {
        (self.unit > LARGEST_UNIT).then(|| 1.0 / std::mem::replace(&mut self.unit, 1.0))
    }
}

/// How many packets a family received lately.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Packets received.
    packets: u64,
    /// Packets at the start and at each tick of the last hour.
    ticks: VecDeque<(Duration, u64)>,
    /// The weight of all packets up to the last tick.
    weight: f64,
}

impl Volume {
    /// Starts with no packets.
    pub fn new(now: Duration) -> Self {
        Self { packets: 0, ticks: [(now, 0)].into(), weight: 0.0 }
    }

    /// Counts one packet.
    pub fn count(&mut self) {
        self.packets += 1;
    }

    /// Packets received.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Called once a minute, before the weights decay.
    #[expect(clippy::cast_precision_loss, reason = "the packets of one minute are below 2^52")]
    pub fn tick(&mut self, unit: Unit, now: Duration) {
        self.weight += self.since_tick() as f64 * unit.get();
        self.ticks.push_back((now, self.packets));
        // The newest tick that is at least an hour ago stays.
        while self.ticks.get(1).is_some_and(|&(tick, _)| tick + HOUR <= now) {
            self.ticks.pop_front();
        }
    }

    /// Packets of the last hour, or of the horizon of the weights, whichever are fewer.
    #[expect(clippy::cast_precision_loss, reason = "the packets of one hour are below 2^52")]
    pub fn recent(&self, unit: Unit) -> f64 {
        let before = self.ticks.front().map_or(0, |&(_, packets)| packets);
        let hour = (self.packets - before) as f64;
        hour.min(unit.packets(self.weight) + self.since_tick() as f64)
    }

    /// Multiplies the weight by this factor.
    pub fn scale(&mut self, factor: f64) {
        self.weight *= factor;
    }

    fn since_tick(&self) -> u64 {
        self.packets - self.ticks.back().map_or(0, |&(_, packets)| packets)
    }
}

/// What is left of 1 after this time.
fn halved(passed: Duration, half_life: Duration) -> f64 {
    (-passed.as_secs_f64() / half_life.as_secs_f64()).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_halve_in_three_days_of_quiet() {
        let mut unit = Unit::new(Duration::ZERO);
        let weight = unit.get();
        unit.decay(Some(weight), HALF_LIFE);
        assert!((unit.packets(weight) - 0.5).abs() < 1e-9);
        unit.decay(None, 2 * HALF_LIFE);
        assert!((unit.packets(weight) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn weights_halve_within_a_minute_while_the_lightest_series_is_heavy() {
        let mut unit = Unit::new(Duration::ZERO);
        let weight = 1000.0 * unit.get();
        for minute in 1..=3 {
            unit.decay(Some(weight), Duration::from_secs(60 * minute));
        }
        assert!((unit.packets(weight) - 125.0).abs() < 1.0);
        for minute in 4..=10 {
            unit.decay(Some(weight), Duration::from_secs(60 * minute));
        }
        assert!((unit.packets(weight) - ENOUGH).abs() < 0.1);
    }

    #[test]
    fn the_volume_is_that_of_the_last_hour_or_of_the_horizon() {
        let (mut unit, mut volume) = (Unit::new(Duration::ZERO), Volume::new(Duration::ZERO));
        let minute = |minute: u64| Duration::from_secs(60 * minute);
        for tick in 1..=100 {
            (0..5).for_each(|_| volume.count());
            volume.tick(unit, minute(tick));
            unit.decay(None, minute(tick));
        }
        assert!((volume.recent(unit) - 300.0).abs() < 6.0, "{}", volume.recent(unit));
        // A flood's horizon is a minute.
        for tick in 101..=110 {
            (0..5).for_each(|_| volume.count());
            volume.tick(unit, minute(tick));
            unit.decay(Some(1e9 * unit.get()), minute(tick));
        }
        assert!((volume.recent(unit) - 5.0).abs() < 1.0, "{}", volume.recent(unit));
    }

    #[test]
    fn the_unit_stays_finite() {
        let mut unit = Unit::new(Duration::ZERO);
        unit.decay(None, Duration::MAX);
        assert!(unit.get().is_finite());
        unit.decay(None, Duration::MAX);
        unit.decay(None, Duration::ZERO);
        let mut weight = unit.get();
        for day in 0..4000 {
            let mut unit_of_day = unit;
            unit_of_day.since = Duration::ZERO;
            unit_of_day.decay(None, Duration::from_secs(86_400 * (1 + day % 2)));
            unit = unit_of_day;
            if let Some(factor) = unit.rescale() {
                weight *= factor;
            }
        }
        assert!(weight.is_finite() && unit.get().is_finite());
    }
}
