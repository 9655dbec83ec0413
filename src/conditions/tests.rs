//! Conditions from counters and their order.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn check(samples: &Samples, expected: &[(Alert, Option<&str>, f64)]) {
    let found = in_order(of_counters(samples));
    let row = |it: &Condition| (it.alert, it.subject.clone(), it.value);
    let expected =
        expected.iter().map(|&(alert, subject, value)| (alert, subject.map(str::to_owned), value));
    assert_eq!(found.iter().map(row).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

fn samples(first: &[(Counter, u64)], last: &[(Counter, u64)]) -> Samples {
    let mut samples = Samples::default();
    samples.push(Duration::ZERO, first.iter().cloned().collect());
    samples.push(20 * MINUTE, first.iter().cloned().collect());
    samples.push(22 * MINUTE, last.iter().cloned().collect());
    samples
}

#[test]
fn counters_without_losses_are_no_condition() {
    let counts = [(Counter::Received, 7), (Counter::Lost, 3), (Counter::MirrorDropped, 9)];
    check(&samples(&counts, &counts), &[]);
    check(&Samples::default(), &[]);
}

#[test]
fn losses_are_shares_of_what_was_logged() {
    let first = [(Counter::Received, 1000), (Counter::Lost, 50)];
    let few = [(Counter::Received, 11_000), (Counter::Lost, 60)];
    check(&samples(&first, &few), &[]);
    let many = [(Counter::Received, 1900), (Counter::Lost, 150)];
    check(&samples(&first, &many), &[(Alert::NflogPacketsLost, None, 0.1)]);
}

#[test]
fn increases_name_their_subject() {
    let traffic: Arc<str> = "traffic".into();
    let folded = |label| Counter::Folded(Arc::clone(&traffic), label);
    let first = [(Counter::Received, 0)];
    let last = [
        (Counter::Received, 100),
        (Counter::SocketDrops(7), 2),
        (Counter::LostLines("kmsg"), 3),
        (folded(0), 0),
        (folded(3), 75),
        (folded(2), 20),
        (Counter::MirrorDropped, 4),
        (Counter::MirrorReverted, 5),
        (Counter::OutputDropped("siem".into()), 6),
    ];
    check(
        &samples(&first, &last),
        &[
            (Alert::NflogMirrorDroppingRows, None, 4.0),
            (Alert::NflogReaderFallingBehind, Some("7"), 2.0),
            (Alert::NflogLogLinesLost, Some("kmsg"), 3.0),
            (Alert::NflogMirrorRowsReverted, None, 5.0),
            (Alert::NflogOutputDroppingRows, Some("siem"), 6.0),
            (Alert::NflogFoldedShareHigh, Some("traffic"), 0.75),
        ],
    );
}

#[test]
fn the_most_urgent_are_first_and_many_of_one_alert_are_counted() {
    let surge = |country: &str, value| {
        Condition::new(Alert::NflogSurgeFromCountry, Some(country.to_owned()), value)
    };
    let all = vec![
        surge("AA", 10.0),
        Condition::new(Alert::NflogNewCountry, Some("BB".into()), 90.0),
        surge("CC", 30.0),
        surge("DD", 20.0),
        surge("EE", 5.0),
        surge("FF", 20.0),
        Condition::new(Alert::NflogPacketsLost, None, 0.5),
    ];
    let kept = in_order(all);
    let row = |it: &Condition| (it.subject.clone().unwrap_or_default(), it.more);
    let rows: Vec<_> = kept.iter().map(row).collect();
    let expected = [("", 0), ("CC", 0), ("DD", 0), ("FF", 2), ("BB", 0)];
    assert_eq!(rows, expected.map(|(subject, more)| (subject.to_owned(), more)));
}
