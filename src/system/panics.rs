//! Panics that end one piece of work and not the thread.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The result of `work`, or the message of its panic. The state that `work` changes must be consistent after a panic, or be
/// dropped.
///
/// # Errors
/// The message of the panic.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| message(panic.as_ref()))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "without a message".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_panic_is_returned() {
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(caught(|| panic!("asked to")), Err::<(), _>("asked to".into()));
        assert_eq!(caught(|| panic!("asked {}", "to")), Err::<(), _>("asked to".into()));
        let other = caught(|| std::panic::panic_any(7));
        assert_eq!(other, Err::<(), _>("without a message".into()));
    }
}
