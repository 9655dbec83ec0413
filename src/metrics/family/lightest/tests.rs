//! No search is left out that would find a series to replace, and few are made that find none.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    event::fixture::tcp,
    metrics::{Dimension, FamilyConfig, FamilyConfigs, family::Family},
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Packets {
        country: usize,
        port: u16,
        number: u8,
    },
    Wait {
        seconds: u16,
    },
    /// So long that all weights are rescaled.
    Pause,
    Tick,
    Scrape,
    Reload {
        max_series: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let packets = (0..3_usize, 0..40_u16, 1..9_u8);
    prop_oneof![
        40 => packets.prop_map(|(country, port, number)| Step::Packets { country, port, number }),
        10 => (1..600_u16).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Pause),
        5 => Just(Step::Tick),
        10 => Just(Step::Scrape),
        1 => (8..24_usize).prop_map(|max_series| Step::Reload { max_series }),
    ]
}

fn config() -> FamilyConfig {
    let mut config = FamilyConfigs::default()[0].clone();
    config.labels = vec![Dimension::Port, Dimension::Country];
    config.max_series = 16;
    config
}

proptest! {
    /// No search is left out that would find a series to replace.
    #[test]
    fn known_weights_are_at_most_those_of_the_series(
        steps in prop::collection::vec(step(), 1..400),
        at_once in any::<bool>(),
        hold in 0..60_u64,
    ) {
        let mut config = config();
        config.newborn_hold = Duration::from_secs(hold);
        let mut now = Duration::ZERO;
        let mut family = Family::new(&config, 1, 0, 0, now);
        if at_once {
            family.show_at_once();
        }
        let mut generation = 0;
        for step in steps {
            match step {
                Step::Packets { country, port, number } => {
                    let event = tcp(["DE", "FR", "NL"][country], 1, port);
                    for _ in 0..number {
                        now += Duration::from_millis(20);
                        family.drop_due(now);
                        family.record(&[event], now);
                    }
                }
                Step::Wait { seconds } => now += Duration::from_secs(seconds.into()),
                Step::Pause => {
                    now += Duration::from_secs(200 * 86_400);
                    family.tick(now);
                }
                Step::Tick => family.tick(now),
                Step::Scrape => {
                    generation += 1;
                    family.snapshot(generation, now, Vec::new());
                    family.delivered(generation, now);
                }
                Step::Reload { max_series } => {
                    config.max_series = max_series;
                    prop_assert!(family.adopt(&config, now));
                }
            }
            for rung in 0..=config.labels.len() {
                let known = family.lightest.replaceable(rung);
                let found = search(family.table.all(), config.labels.len(), rung).1;
                let lightest = found.map_or(f64::INFINITY, |(_, weight)| weight);
                prop_assert!(known <= lightest, "{known} > {lightest} on rung {rung}");
            }
        }
    }
}

/// Series of a less detailed rung are lighter, but cannot be replaced by a full key.
#[test]
fn a_key_that_is_too_light_needs_no_second_search() {
    let mut now = Duration::ZERO;
    let mut family = Family::new(&config(), 1, 0, 0, now);
    family.show_at_once();
    let mut searches = 0;
    for round in 0..400_u16 {
        for port in 0..20 {
            now += Duration::from_secs(1);
            // The first ports are heavy, and the others have one packet each.
            let port = if round < 20 { port } else { 100 + 20 * round + port };
            let before = family.lightest.failed_search;
            family.record(&[tcp("DE", 1, port)], now);
            searches += u32::from(round >= 20 && family.lightest.failed_search != before);
        }
    }
    assert!(family.full[0]);
    assert!(searches < 10, "{searches}");
}
