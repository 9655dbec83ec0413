//! A line of text that shows numbers over time.

/// Heights from the lowest above zero to the highest.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The same in ASCII.
const ASCII: [char; 8] = ['.', ':', '-', '=', '+', '*', '#', '@'];

/// A character for each number, relative to the highest; a space for zero.
pub(crate) fn sparkline(numbers: &[u64], unicode: bool) -> impl Iterator<Item = char> {
    let highest = numbers.iter().copied().max().unwrap_or(0).max(1);
    let heights = if unicode { BLOCKS } else { ASCII };
    numbers.iter().map(move |&number| {
        // The highest is 8 of 8; every number above zero at least 1.
        let height = (u128::from(number) * 8).div_ceil(u128::from(highest));
        usize::try_from(height)
            .ok()
            .and_then(|height| height.checked_sub(1))
            .map_or(' ', |it| heights[it.min(7)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights() {
        let line = |numbers: &[u64], unicode| sparkline(numbers, unicode).collect::<String>();
        assert_eq!(line(&[0, 1, 50, 100, 800, u64::MAX], true), " ▁▁▁▁█");
        assert_eq!(line(&[0, 1, 2, 3, 4, 5, 6, 7, 8], true), " ▁▂▃▄▅▆▇█");
        assert_eq!(line(&[0, 1, 2, 3, 4, 5, 6, 7, 8], false), " .:-=+*#@");
        assert_eq!(line(&[], true), "");
        assert_eq!(line(&[0, 0], true), "  ");
    }
}
