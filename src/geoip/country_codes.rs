//! Finds the row of a country by its two-letter code.

use super::country_table::COUNTRIES;

/// Marks a pair of letters without a row.
const NO_ROW: u8 = u8::MAX;

/// Row by two upper-case letters, `26 * first + second`.
#[expect(clippy::cast_possible_truncation, reason = "fewer rows than a byte has values, see below")]
const BY_LETTERS: [u8; 26 * 26] = {
    let mut rows = [NO_ROW; 26 * 26];
    let mut row = 0;
    while row < COUNTRIES.len() {
        match letters_index(COUNTRIES[row].code.as_bytes()) {
            Some(index) => rows[index] = row as u8,
            None => panic!("a code of the country table is not two upper-case letters"),
        }
        row += 1;
    }
    rows
};

// `row as u8` above and `CountryId` rely on it.
const _: () = assert!(COUNTRIES.len() < NO_ROW as usize);

/// The index of the row with these two letters, in either case.
pub(super) fn find(code: &[u8]) -> Option<u8> {
    let &[first, second] = code else { return None };
    let index = letters_index(&[first.to_ascii_uppercase(), second.to_ascii_uppercase()])?;
    let row = BY_LETTERS[index];
    (row != NO_ROW).then_some(row)
}

/// Index of two upper-case letters in [`BY_LETTERS`].
const fn letters_index(code: &[u8]) -> Option<usize> {
    match code {
        &[first @ b'A'..=b'Z', second @ b'A'..=b'Z'] => {
            Some(26 * (first - b'A') as usize + (second - b'A') as usize)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::geoip::{Continent, CountryInfo};

    #[test]
    fn the_table_is_complete() {
        assert_eq!(COUNTRIES.len(), 250);
        assert!(COUNTRIES.is_sorted_by(|a, b| a.code < b.code));
        for column in [|row: &CountryInfo| row.iso3, |row: &CountryInfo| row.name] {
            assert_eq!(COUNTRIES.iter().map(column).collect::<HashSet<_>>().len(), 250);
        }
        for row in &COUNTRIES {
            assert!(row.iso3.len() == 3 && row.iso3.bytes().all(|c| c.is_ascii_uppercase()));
            assert!((-90.0..=90.0).contains(&row.latitude), "{row:?}");
            assert!((-180.0..=180.0).contains(&row.longitude), "{row:?}");
        }
        for continent in Continent::ALL {
            assert!(COUNTRIES.iter().any(|row| row.continent == continent), "{continent:?}");
        }
    }

    #[test]
    fn each_code_finds_its_country() {
        for (index, row) in COUNTRIES.iter().enumerate() {
            assert_eq!(find(row.code.as_bytes()).map(usize::from), Some(index), "{}", row.code);
        }
        assert_eq!(find(b"gb"), find(b"GB"));
        for nonsense in ["", "G", "GBR", "ZZ", "AA", "T1", "A2", "--", "<b", "é", "\0\0"] {
            assert_eq!(find(nonsense.as_bytes()), None, "{nonsense:?}");
        }
    }

    /// The country's row, and that its point lies in a box of south, west, north, east.
    fn check(code: &str, iso3: &str, name: &str, continent: Continent, area: [f64; 4]) {
        let row = COUNTRIES[usize::from(find(code.as_bytes()).unwrap())];
        assert_eq!((row.code, row.iso3, row.name, row.continent), (code, iso3, name, continent));
        let [south, west, north, east] = area;
        assert!((south..=north).contains(&row.latitude), "{row:?}");
        assert!((west..=east).contains(&row.longitude), "{row:?}");
    }

    #[test]
    fn points_lie_in_the_largest_part() {
        use Continent::{AF, AN, AS, EU, NA, OC, SA};
        check("GB", "GBR", "United Kingdom", EU, [50.0, -6.0, 59.0, 2.0]);
        // The contiguous states, not between them and Alaska.
        check("US", "USA", "United States", NA, [30.0, -115.0, 45.0, -80.0]);
        // Metropolitan France, not on the way to Guiana.
        check("FR", "FRA", "France", EU, [43.0, -2.0, 50.0, 7.0]);
        // The mainland, not Svalbard; and not in Sweden.
        check("NO", "NOR", "Norway", EU, [58.0, 5.0, 66.0, 12.5]);
        check("SG", "SGP", "Singapore", AS, [1.1, 103.5, 1.5, 104.1]);
        check("NZ", "NZL", "New Zealand", OC, [-47.5, 166.0, -40.0, 175.0]);
        check("XK", "XKX", "Kosovo", EU, [41.8, 20.0, 43.3, 21.8]);
        check("RU", "RUS", "Russia", EU, [55.0, 80.0, 65.0, 120.0]);
        // Its islands lie on both sides of the antimeridian.
        check("FJ", "FJI", "Fiji", OC, [-18.5, 177.0, -16.0, 180.0]);
        check("KR", "KOR", "South Korea", AS, [34.0, 126.0, 38.5, 130.0]);
        check("BR", "BRA", "Brazil", SA, [-20.0, -60.0, -5.0, -45.0]);
        check("ZA", "ZAF", "South Africa", AF, [-34.0, 18.0, -25.0, 31.0]);
        check("AQ", "ATA", "Antarctica", AN, [-85.0, -180.0, -70.0, 180.0]);
        // A centroid would lie in Bosnia and Herzegovina.
        check("HR", "HRV", "Croatia", EU, [44.5, 14.0, 46.5, 19.0]);
    }
}
