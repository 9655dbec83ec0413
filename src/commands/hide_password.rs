//! Takes a password off the command line, where `ps` shows it to everybody.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    process::Command,
};

use anyhow::anyhow;

use crate::{config::Flags, mirror::config::URL_VARIABLE};

/// The flag that may carry a password.
const FLAG: &str = "--mirror.url";

/// If the mirror's URL was given as a flag and holds a password, executes this program again in the
/// same process, with the URL in its environment, which only its own user and root can read.
///
/// # Errors
/// The program cannot be executed again: failing is better than showing the password for days.
pub(super) fn hide_password(flags: &Flags) -> anyhow::Result<()> {
    let arguments: Vec<_> = env::args_os().collect();
    let Some(url) = flags.mirror_url.as_ref().filter(|url| url.has_password()) else {
        return Ok(());
    };
    let Some(others) = without_url(&arguments) else { return Ok(()) };
    let program = env::current_exe()
        .map_err(|error| anyhow!("cannot find this program: {error}; {}", advice()))?;
    let mut command = Command::new(program);
    command.args(&others[1..]).arg0(&others[0]).env(URL_VARIABLE, url.reveal());
    let error = command.exec();
    Err(anyhow!("cannot execute this program again to hide a password: {error}; {}", advice()))
}

fn advice() -> String {
    format!("give the URL by {URL_VARIABLE} or mirror.url_file instead of {FLAG}")
}

/// The arguments without the flag and its value; `None` when it is not among them.
pub(super) fn without_url(arguments: &[OsString]) -> Option<Vec<OsString>> {
    let mut others = Vec::with_capacity(arguments.len());
    let mut given = arguments.iter();
    while let Some(argument) = given.next() {
        if argument == FLAG {
            given.next();
        } else if !joined(argument) {
            others.push(argument.clone());
        }
    }
    (others.len() < arguments.len()).then_some(others)
}

/// Whether this is the flag with its value behind an equals sign.
fn joined(argument: &OsStr) -> bool {
    argument.as_bytes().strip_prefix(FLAG.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_url_goes() {
        let check = |line: &str, expect: Option<&str>| {
            let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
            assert_eq!(without_url(&words(line)), expect.map(words));
        };
        check("exporter run", None);
        check("exporter --mirror.url mysql://a:b@c/d run", Some("exporter run"));
        check("exporter run --mirror.url=mysql://a:b@c/d", Some("exporter run"));
        check(
            "exporter --mirror.url x --mirror.url=y --log.level debug",
            Some("exporter --log.level debug"),
        );
        check("exporter --mirror.urls x", None);
    }
}
