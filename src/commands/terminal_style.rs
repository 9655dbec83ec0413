//! What the terminal can show, according to the environment.

use std::{env, io::IsTerminal as _};

/// Whether standard output is a terminal with colours (<https://no-color.org>).
pub(super) fn shows_colours() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
    std::io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

/// Whether the locale's characters are UTF-8 (POSIX, section 8.2). Under cron, a mail has the characters of the locale.
pub(super) fn is_utf8() -> bool {
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(env::var_os).find(|it| !it.is_empty());
    let locale = locale.unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
