//! The name of this host.

use super::untrusted_text::one_line;

/// Maximum length of a name, bytes: that of the column `host`, and more than the kernel's.
const MAX_NAME: usize = 255;

/// The name of this host as the kernel has it (`uname(2)`). Whoever may set it can use any bytes, so it is one line of text
/// that is safe to show.
#[must_use]
pub(crate) fn host_name() -> String {
    one_line(&rustix::system::uname().nodename().to_string_lossy(), MAX_NAME).into_string()
}
