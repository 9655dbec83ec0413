//! `report`: counts the packets of a period in files or in the database, and writes a report.

use anyhow::{Context as _, anyhow};

use super::{
    UsageError, print,
    replay::{read_until_signal, recordings::Recordings},
    runtime::block_on,
    sandbox::confine_reader,
    terminal_style::{is_utf8, shows_colours},
};
use crate::{
    cli::Report as Arguments,
    config::Config,
    event::{Interner, Names},
    geoip::GeoIp,
    metrics::{Aggregate, SharedAggregate},
    mirror::{RowSelection, day::LATEST, read_rows},
    networks::Networks,
    pipeline::{Clock, Route},
    report::{SharedTally, Style, Tally},
    system::{
        logging,
        replace_file::{Readers, replace},
    },
};

/// Writes the report. If a file cannot be read to its end, the report on the others is written, and the command fails.
pub(super) fn report(arguments: &Arguments, config: &Config) -> anyhow::Result<()> {
    let _level = logging::start(config.log.level, config.log.format);
    let until = arguments.until.unwrap_or(LATEST + 1);
    let since = arguments.since.unwrap_or(0);
    if since >= until {
        return Err(UsageError("report: --since is not before --until: the period is empty").into());
    }
    let anonymizer = config.anonymizer(arguments.anonymize)?;
    let tally = Tally::new(since..=until - 1, anonymizer);
    if arguments.mirror {
        of_rows(arguments, config, tally)
    } else {
        of_files(arguments, config, tally)
    }
}

fn of_files(arguments: &Arguments, config: &Config, tally: Tally) -> anyhow::Result<()> {
    let geoip = GeoIp::open_configured(&config.geoip)?;
    let networks = Networks::open(&config.networks, &config.list)?;
    let files = Recordings::open("report", &arguments.files, &arguments.prefix);
    confine_reader(config, arguments.output.as_deref(), false)?;
    let clock = Clock::packets();
    let aggregate = SharedAggregate::new(Aggregate::new(&[], &[], 0, clock.now()));
    let mut route = Route::new(geoip.locator(), aggregate, clock);
    let tally = SharedTally::new(tally);
    route.look_up(networks.lookup());
    if !arguments.host.is_empty() {
        let hosts = arguments.host.iter().map(|host| route.host_id(host)).collect();
        tally.with(|tally| tally.only_hosts(hosts));
    }
    route.divert_to(Box::new(tally.clone()));
    let names = route.names();
    let failures = files.failures.clone();
    if block_on(|signals| read_until_signal(files, route, signals))? {
        return Err(anyhow!("a signal came before the end of the files: no report was written"));
    }
    tally.with(|tally| write(arguments, tally, &names))?;
    failures.result()
}

fn of_rows(arguments: &Arguments, config: &Config, mut tally: Tally) -> anyhow::Result<()> {
    let servers = config.mirror_servers()?.ok_or_else(|| {
        anyhow!("report --mirror: no database is configured; set mirror.url or --mirror.url")
    })?;
    let mut interner = Interner::new(Names::default());
    let period = tally.period();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let mut take = |row| tally.add_row(&row, &mut interner);
    let selection = RowSelection { period, hosts: &arguments.host };
    let read = read_rows(&servers, selection, &mut take);
    runtime.block_on(read).map_err(|error| anyhow!("report: {error}"))?;
    write(arguments, &tally, &interner.names())
}

/// Prints the report, or replaces the output file by it.
fn write(arguments: &Arguments, tally: &Tally, names: &Names) -> anyhow::Result<()> {
    let report = tally.report(usize::from(arguments.top), names);
    let Some(output) = &arguments.output else {
        let style = Style { colour: shows_colours(), unicode: is_utf8() };
        return print(&report.render(arguments.format, style));
    };
    let style = Style { colour: false, unicode: true };
    replace(output, report.render(arguments.format, style).as_bytes(), Readers::AsBefore)
        .with_context(|| {
            format!(
                "report: cannot write {}, which must belong to this user as its directory does",
                output.display()
            )
        })
}
