//! Rules for ufw: a script that puts lines into its files.

use super::{NOT_DROPPED, RulesPlan, Wanted};

pub(super) fn text(plan: &RulesPlan) -> String {
    let (file, chains, place, dropped) = match plan.wanted {
        Wanted::All | Wanted::New => (
            "before",
            "before-input before-forward",
            "first of all, so that they see what ufw's own rules decide on",
            String::new(),
        ),
        Wanted::Dropped => (
            "after",
            "after-input after-forward",
            "behind your own rules, so that they see what none of them decides on",
            format!(
                "{NOT_DROPPED}\
                 # Here: ufw deny, reject and limit, and invalid packets. Run it again after `ufw default`.\n"
            ),
        ),
    };
    format!(
        "#!/bin/sh\n\
         {title}\
         {dropped}\
         {usage}\
         # The lines go behind \"# End required lines\" of /etc/ufw/{file}.rules and {file}6.rules: {place}.\n\
         # Not needed any more, its lines go to the kernel's log: ufw logging off\n\
         set -e\n\
         file={file}\n\
         chains='{chains}'\n\
         rule='! -i lo {rule}'\n\
         {body}",
        title = plan.title(plan.xtables_limit()),
        usage = plan.usage("ufw"),
        rule = plan.xtables_rule(),
        body = include_str!("ufw.sh"),
    )
}
