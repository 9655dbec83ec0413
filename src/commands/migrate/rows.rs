//! `migrate rows`: copies the rows of ulogd's database, with a progress bar.

use std::io::Read as _;

use anyhow::{Context as _, anyhow};
use indicatif::{ProgressBar, ProgressStyle};

use super::super::{check, hide_password::hide_password, print};
use crate::{
    cli::MigrateRows,
    config::Flags,
    geoip::GeoIp,
    mirror::{
        Target,
        import::{self, Import, ImportReport, Progress},
    },
    networks::Networks,
};

/// Template of the progress bar.
const BAR: &str = "{wide_bar} {percent}% {msg} rows copied, {eta} left";

/// Maximum length of a URL, bytes.
const MAX_URL: u64 = 4096;

/// Copies the rows, and prints their number.
pub(super) fn rows(MigrateRows { from, table }: &MigrateRows, flags: &Flags) -> anyhow::Result<()> {
    hide_password(flags)?;
    let config = check::load(flags)?;
    let url = match from.reveal() {
        "-" => {
            let mut url = String::new();
            std::io::stdin()
                .lock()
                .take(MAX_URL)
                .read_to_string(&mut url)
                .context("cannot read stdin")?;
            url.trim().to_owned()
        }
        url => url.to_owned(),
    };
    let from: Target = url.parse().context("invalid FROM-URL")?;
    let geoip = GeoIp::open_configured(&config.geoip)?;
    let networks = Networks::open(&config.networks, &config.list)?;
    let to = config.resolve_mirror()?;
    let to = to.ok_or_else(|| {
        anyhow!("no target: set mirror.url, the database that the exporter writes to")
    })?;
    let target = to.servers.to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template(BAR) {
        bar.set_style(style);
    }
    let mut show = |Progress { first, position, last, copied }: Progress| {
        bar.set_length(last.max(position).saturating_sub(first));
        bar.set_position(position.saturating_sub(first));
        bar.set_message(copied.to_string());
    };
    let import =
        Import { from: &from, table: table.as_deref(), to, geoip: &geoip, networks: &networks };
    let copied = runtime.block_on(import::copy(import, &mut show));
    bar.finish_and_clear();
    print(&text(&copied?, &from, &target))
}

/// The result as text.
fn text(report: &ImportReport, from: &Target, target: &str) -> String {
    let ImportReport { table, copied, skipped, shortened, expiring } = report;
    let mut lines = vec![format!("copied {copied} rows of {table} from {from} to {target}")];
    lines.extend(skipped.iter().map(|(reason, count)| format!("not copied: {count}: {reason}")));
    lines.extend(shortened.iter().map(|(reason, count)| format!("shortened: {count}: {reason}")));
    if *expiring > 0 {
        lines.push(format!(
            "{expiring} of the copied rows are older than mirror.retention, so the exporter will delete them; to \
             keep them, set mirror.retention = \"0s\""
        ));
    }
    lines.join("\n") + "\n"
}
