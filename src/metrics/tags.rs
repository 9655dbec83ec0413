//! The search for a tag in a bucket of tags.

/// The place of a tag that is in the bucket at most once.
#[inline]
pub(super) fn find<const WAYS: usize>(tags: &[u32; WAYS], tag: u32) -> Option<usize> {
    let mut found = 0_u32;
    // Without branches, which would often be predicted wrongly.
    for (way, other) in tags.iter().enumerate() {
        found |= u32::from(*other == tag) << way;
    }
    // The minimum changes nothing; with it, the compiler omits bounds checks.
    (found != 0).then(|| (found.trailing_zeros() as usize).min(WAYS - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_found() {
        let tags = [3, 1, 4, 9, 5];
        for (way, tag) in tags.into_iter().enumerate() {
            assert_eq!(find(&tags, tag), Some(way));
        }
        assert_eq!(find(&tags, 7), None);
    }
}
