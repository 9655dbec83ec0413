//! Builds seccomp filters from rules on system calls and their arguments.

use libc::{c_int, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// The rules for each system call; a call without rules always matches.
pub(super) type CallRules = std::collections::BTreeMap<c_long, Vec<SeccompRule>>;

/// Compiles a filter with one action for the listed calls and another for all others.
pub(super) fn compile(
    calls: CallRules,
    other: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let arch = std::env::consts::ARCH.try_into().map_err(|error| failed(&error))?;
    let filter = SeccompFilter::new(calls, other, listed, arch).map_err(|error| failed(&error))?;
    filter.try_into().map_err(|error| failed(&error))
}

/// A rule that matches if all conditions hold.
pub(super) fn rule(
    conditions: impl IntoIterator<Item = Result<SeccompCondition, String>>,
) -> Result<Vec<SeccompRule>, String> {
    let conditions = conditions.into_iter().collect::<Result<_, _>>()?;
    Ok(vec![SeccompRule::new(conditions).map_err(|error| error.to_string())?])
}

/// A condition on the lower 32 bits of an argument.
pub(super) fn condition(
    argument: u8,
    compare: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, String> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)
        .map_err(|error| error.to_string())
}

/// Converts a constant of the C library, which is never negative, to the type that a filter requires.
pub(super) fn number<T: TryFrom<c_int>>(value: c_int) -> Result<T, String>
where
    T::Error: ToString,
{
    T::try_from(value).map_err(|error| error.to_string())
}
