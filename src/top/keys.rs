//! The keys, and what they mean.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::history::Range;

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// Selects the previous entry.
    Up,
    /// Selects the next entry.
    Down,
    /// Selects the entry a page before.
    PageUp,
    /// Selects the entry a page after.
    PageDown,
    /// Selects the first entry.
    First,
    /// Selects the last entry.
    Last,
    /// Shows the next list.
    NextList,
    /// Shows the previous list.
    PreviousList,
    /// Filters by the selected entry, or removes that filter.
    ToggleFilter,
    /// Removes the last filter.
    RemoveFilter,
    /// Removes all filters.
    ClearFilters,
    /// Sorts by the next column.
    NextSort,
    /// Sorts by the previous column.
    PreviousSort,
    /// Stops to update the figures, or continues.
    Pause,
    /// Shows this range of time.
    Range(Range),
    /// Explains the keys.
    Help,
    /// Draws the whole screen.
    Repaint,
    /// Suspends the program.
    Suspend,
    /// Ends the program.
    Quit,
}

/// The keys and what they do, for the page of help.
pub const HELP: [(&str, &str); 11] = [
    ("Up Down, j k", "select a row (also PgUp PgDn Home End)"),
    ("Tab, Shift-Tab", "show the next or previous list (also Left Right)"),
    ("Enter", "show only packets of the selected row, or undo"),
    ("Backspace", "remove the last filter"),
    ("Esc", "remove all filters"),
    ("s, S", "sort by packets, rate, change or name"),
    ("1 2 3 4 5", "show 10 minutes, 1 h, 24 h, 7 d or 30 d"),
    ("Space", "pause, or continue"),
    ("Ctrl-L, Ctrl-Z", "draw the screen again; suspend"),
    ("?", "show or hide this help"),
    ("q, Ctrl-C", "quit"),
];

/// The meaning of an event; `None` if it has none.
#[must_use]
pub fn action(event: &Event) -> Option<KeyAction> {
    let Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else { return None };
    if *kind == KeyEventKind::Release {
        return None;
    }
    if modifiers.contains(KeyModifiers::CONTROL) {
        return match code {
            KeyCode::Char('c') => Some(KeyAction::Quit),
            KeyCode::Char('z') => Some(KeyAction::Suspend),
            KeyCode::Char('l') => Some(KeyAction::Repaint),
            // Some terminals send it for Backspace.
            KeyCode::Char('h') => Some(KeyAction::RemoveFilter),
            _ => None,
        };
    }
    Some(match code {
        KeyCode::Up | KeyCode::Char('k') => KeyAction::Up,
        KeyCode::Down | KeyCode::Char('j') => KeyAction::Down,
        KeyCode::PageUp => KeyAction::PageUp,
        KeyCode::PageDown => KeyAction::PageDown,
        KeyCode::Home | KeyCode::Char('g') => KeyAction::First,
        KeyCode::End | KeyCode::Char('G') => KeyAction::Last,
        KeyCode::Tab | KeyCode::Right => KeyAction::NextList,
        KeyCode::BackTab | KeyCode::Left => KeyAction::PreviousList,
        KeyCode::Enter => KeyAction::ToggleFilter,
        KeyCode::Backspace => KeyAction::RemoveFilter,
        KeyCode::Esc => KeyAction::ClearFilters,
        KeyCode::Char('s') => KeyAction::NextSort,
        KeyCode::Char('S') => KeyAction::PreviousSort,
        KeyCode::Char(' ') => KeyAction::Pause,
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => KeyAction::Help,
        KeyCode::Char('q') => KeyAction::Quit,
        KeyCode::Char(digit @ '1'..='5') => {
            KeyAction::Range(*Range::ALL.get(*digit as usize - '1' as usize)?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Option<KeyAction> {
        action(&Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn keys_have_their_meanings() {
        let none = KeyModifiers::NONE;
        assert_eq!(key(KeyCode::Char('1'), none), Some(KeyAction::Range(Range::TenMinutes)));
        assert_eq!(key(KeyCode::Char('5'), none), Some(KeyAction::Range(Range::Month)));
        assert_eq!(key(KeyCode::Char('G'), KeyModifiers::SHIFT), Some(KeyAction::Last));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(KeyAction::Quit));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::CONTROL), None);
        assert_eq!(key(KeyCode::Char('x'), none), None);
        assert_eq!(action(&Event::Resize(1, 1)), None);
        let mut released = KeyEvent::new(KeyCode::Char('q'), none);
        released.kind = KeyEventKind::Release;
        assert_eq!(action(&Event::Key(released)), None);
    }
}
