//! Removes a password from the command line, where every user can read it with `ps`.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    process::Command,
};

use anyhow::{Context as _, anyhow};

use crate::{config::Flags, mirror::config::URL_VARIABLE, top::URL_VARIABLE as TOP_URL_VARIABLE};

/// The flag whose value can contain a password.
const FLAG: &str = "--mirror.url";

/// If the flag has a URL with a password, executes this program again in the same process, with the URL in its
/// environment, which only its user and root can read.
///
/// # Errors
/// The program cannot be executed again. It must not continue, because the password would stay visible.
pub(super) fn hide_password(flags: &Flags) -> anyhow::Result<()> {
    let arguments: Vec<_> = env::args_os().collect();
    let Some(url) = flags.mirror_url.as_ref().filter(|url| url.has_password()) else {
        return Ok(());
    };
    let Some(others) = without_url(&arguments) else { return Ok(()) };
    let advice = format!("set the URL by {URL_VARIABLE} or mirror.url_file instead of {FLAG}");
    execute_again(&others, (URL_VARIABLE, url.reveal()), &advice)
}

/// As [`hide_password`], for the URL of an exporter, which is an argument of `top`.
///
/// # Errors
/// As [`hide_password`].
pub(super) fn hide_top_password(url: &str) -> anyhow::Result<()> {
    if url::Url::parse(url).is_ok_and(|url| url.password().is_none()) {
        return Ok(());
    }
    let others: Vec<_> = env::args_os().filter(|argument| argument != url).collect();
    let advice = format!("set the URL by {TOP_URL_VARIABLE}, or use --password-file");
    execute_again(&others, (TOP_URL_VARIABLE, url), &advice)
}

/// Executes this program with these arguments and a variable of the environment; returns only an error.
fn execute_again(
    arguments: &[OsString],
    (variable, value): (&str, &str),
    advice: &str,
) -> anyhow::Result<()> {
    let program = env::current_exe()
        .map_err(|error| anyhow!("cannot find this program: {error}; {advice}"))?;
    let mut command = Command::new(program);
    let (name, arguments) = arguments.split_first().context("the program has no name")?;
    let error = command.args(arguments).arg0(name).env(variable, value).exec();
    Err(anyhow!("cannot execute this program again to hide a password: {error}; {advice}"))
}

/// The arguments without the flag and its value; `None` if they do not have the flag.
pub(super) fn without_url(arguments: &[OsString]) -> Option<Vec<OsString>> {
    let mut others = Vec::with_capacity(arguments.len());
    let mut given = arguments.iter();
    while let Some(argument) = given.next() {
        if argument == FLAG {
            given.next();
        } else if !is_flag_with_value(argument) {
            others.push(argument.clone());
        }
    }
    (others.len() < arguments.len()).then_some(others)
}

/// Whether this argument is the flag with its value after an equals sign.
fn is_flag_with_value(argument: &OsStr) -> bool {
    argument.as_bytes().strip_prefix(FLAG.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_url_is_removed() {
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
