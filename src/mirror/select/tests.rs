//! Filters, their order, and samples.

use super::*;
use crate::{
    event::{Interner, NameField},
    geoip::{GeoIp, Place},
    mirror::row_builder::tests::event,
};

fn selection(prefixes: &[&str], countries: &[&str], sample: u32) -> Selection {
    let own = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    Selection { prefixes: own(prefixes), countries: own(countries), sample }
}

/// Checks the outcome for a packet with this prefix and country.
fn check(selection: &Selection, prefix: &[u8], country: &str, expect: Result<(), Filtered>) {
    let mut interner = Interner::new(Names::default());
    let mut selector = Selector::new(selection, interner.names()).unwrap();
    let country = Country::from_code(country).unwrap();
    let event = Event {
        prefix: interner.intern(NameField::Prefix, prefix),
        place: Place { country, asn: 0 },
        ..event(&[], &GeoIp::open(&[]).unwrap())
    };
    for _ in 0..3 {
        assert_eq!(selector.pick(&event), expect, "{selection:?} {prefix:?} {country:?}");
    }
}

#[test]
fn prefixes_are_compared_as_the_label_shows_them() {
    let not = Err(Filtered::Prefix);
    check(&selection(&[], &[], 1), b"drop: ", "GB", Ok(()));
    check(&selection(&["drop:"], &[], 1), b"drop: ", "GB", Ok(()));
    check(&selection(&["drop: "], &[], 1), b"drop:", "GB", Ok(()));
    check(&selection(&["drop"], &[], 1), b"drop: ", "GB", not);
    check(&selection(&["DROP:"], &[], 1), b"drop: ", "GB", not);
    check(&selection(&["accept", "drop:"], &[], 1), b"drop: ", "GB", Ok(()));
    check(&selection(&["a\tb"], &[], 1), b"a\x01b", "GB", Ok(()));
    check(&selection(&[&"x".repeat(200)], &[], 1), &[b'x'; 128], "GB", Ok(()));
    check(&selection(&["drop:"], &[], 1), b"", "GB", not);
    check(&selection(&[""], &[], 1), b"", "GB", Ok(()));
    check(&selection(&[""], &[], 1), b"drop:", "GB", not);
}

#[test]
fn countries_are_checked_after_prefixes() {
    let not = Err(Filtered::Country);
    check(&selection(&[], &["GB"], 1), b"", "GB", Ok(()));
    check(&selection(&[], &[" gb "], 1), b"", "GB", Ok(()));
    check(&selection(&[], &["DE", "GB"], 1), b"", "GB", Ok(()));
    check(&selection(&[], &["DE"], 1), b"", "GB", not);
    check(&selection(&[], &["DE"], 1), b"", "private", not);
    check(&selection(&[], &["DE"], 1), b"", "unknown", not);
    check(&selection(&[], &["private"], 1), b"", "private", Ok(()));
    check(&selection(&[], &["Unknown"], 1), b"", "unknown", Ok(()));
    check(&selection(&["x"], &["DE"], 1), b"", "GB", Err(Filtered::Prefix));
    check(&selection(&["x"], &["DE"], 1), b"x", "GB", not);
    check(&selection(&["x"], &["DE"], u32::MAX), b"x", "GB", not);
    // Three of four billion packets: practically none is kept.
    check(&selection(&["x"], &["GB"], u32::MAX), b"x", "GB", Err(Filtered::Sample));
}

#[test]
fn invalid_selections_are_explained() {
    let rejected = |selection: &Selection| {
        Selector::new(selection, Names::default()).err().map(|error| error.to_string())
    };
    assert_eq!(rejected(&selection(&[], &["GB"], 1)), None);
    assert!(
        rejected(&selection(&[], &["GB", "UK"], 1)).unwrap().starts_with("unknown country \"UK\"")
    );
    assert!(rejected(&selection(&[], &[""], 1)).is_some());
    assert!(rejected(&selection(&[], &[], 0)).unwrap().contains("use 1 to keep every packet"));
}

#[test]
fn names_of_the_reasons() {
    assert_eq!(Filtered::ALL.map(Filtered::name), ["prefix", "country", "sample"]);
    assert_eq!(Filtered::ALL.map(|reason| reason as usize), [0, 1, 2]);
}

/// The kept positions of this many blocks.
fn kept(size: u32, blocks: u32) -> Vec<u32> {
    let mut sample = Sample::new(size);
    (0..blocks)
        .map(|_| {
            let kept: Vec<_> = (0..size).filter(|_| sample.take()).collect();
            assert_eq!(kept.len(), 1, "of a block of {size}");
            kept[0]
        })
        .collect()
}

#[test]
fn a_sample_keeps_one_of_each_block() {
    for size in [1, 2, 3, 7, 10, 100, 1_000] {
        kept(size, 1_000);
    }
}

#[test]
fn kept_positions_are_uniform() {
    // 10,000 blocks of 10: each position about 1,000 times; 300 is ten standard deviations.
    let mut times = [0_i32; 10];
    for place in kept(10, 10_000) {
        times[place as usize] += 1;
    }
    assert!(times.iter().all(|times| (times - 1_000).abs() < 300), "{times:?}");
    // Neither periodic, nor the same each time.
    assert_ne!(kept(1_000, 20), kept(1_000, 20));
}

#[test]
fn only_packets_that_pass_the_filters_are_sampled() {
    let mut interner = Interner::new(Names::default());
    let mut selector = Selector::new(&selection(&["yes"], &[], 10), interner.names()).unwrap();
    assert_eq!(selector.weight(), 10);
    let base = event(&[], &GeoIp::open(&[]).unwrap());
    let yes = Event { prefix: interner.intern(NameField::Prefix, b"yes"), ..base };
    let no = Event { prefix: interner.intern(NameField::Prefix, b"no"), ..base };
    let mut picked = 0;
    for _ in 0..1_000 {
        assert_eq!(selector.pick(&no), Err(Filtered::Prefix));
        picked += u32::from(selector.pick(&yes).is_ok());
    }
    assert_eq!(picked, 100);
}
