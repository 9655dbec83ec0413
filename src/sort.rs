//! Sorts lists of any type with code that exists once. The methods of slices are compiled for each type and order, about
//! 6 KB each time, so they are for the lists of packets and series only.

use std::cmp::Ordering;

/// Sorts a list. Equal elements keep their order.
pub fn sort<T: Ord>(list: &mut [T]) {
    sort_by(list, T::cmp);
}

/// Sorts a list by a key. Elements with equal keys keep their order.
pub fn sort_by_key<T, K: Ord>(list: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(list, |one, other| key(one).cmp(&key(other)));
}

/// Sorts a list by a comparison. Equal elements keep their order.
pub fn sort_by<T>(list: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let mut order = order(list.len(), &|one, other| compare(&list[one], &list[other]));
    // Each cycle of positions that exchange their elements.
    for start in 0..order.len() {
        let mut position = start;
        while order[position] != start {
            let from = std::mem::replace(&mut order[position], position);
            list.swap(position, from);
            position = from;
        }
        order[position] = position;
    }
}

/// The positions of elements in their order.
fn order(length: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<_> = (0..length).collect();
    order.sort_by(|&one, &other| compare(one, other));
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_are_sorted_as_by_the_methods_of_slices(list: Vec<(u8, u64)>) {
            let mut expected = list.clone();
            let mut found = list.clone();
            expected.sort_by_key(|(key, _)| *key);
            sort_by_key(&mut found, |(key, _)| *key);
            prop_assert_eq!(&found, &expected);
            let mut expected = list.clone();
            let mut found = list;
            expected.sort_unstable();
            sort(&mut found);
            prop_assert_eq!(found, expected);
        }
    }
}
