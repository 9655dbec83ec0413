//! What the HTTP server serves: the page, the live data, the metrics and their limits.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Parts, scrape::ScrapePage};
use crate::{
    cli,
    conditions::Conditions,
    config::Config,
    geoip::GeoIp,
    http::{Limits, Rejections, ReloadRequest, Site, WebConfigWatcher},
    mirror::{Mirror, config::MirrorConfig},
    system::Health,
    web::{DrilldownPages, LiveData, PageInfo, PageSources},
};

/// Creates the site of an exporter. `reload` receives the requests to reload the configuration.
pub(super) fn create(
    parts: &Parts,
    conditions: Option<Conditions>,
    web_config: &Arc<WebConfigWatcher>,
    health: &Health,
    reload: mpsc::Sender<ReloadRequest>,
) -> Site {
    let Parts {
        config,
        meters,
        lines,
        positions,
        route,
        history,
        geoip,
        networks,
        reloader,
        confinement,
        mirror,
        ..
    } = parts;
    let drilldown = drilldown(config, mirror.as_ref(), geoip);
    let page = PageInfo {
        telemetry_path: config.web.telemetry_path.clone(),
        version: cli::VERSION,
        sources: PageSources {
            groups: !config.nflog.groups.is_empty(),
            lines: config.kernel_log.has_source(),
        },
    };
    let history = history.as_ref().map(|(history, _)| history.clone());
    let live =
        LiveData::new(route, meters.clone(), geoip.clone(), networks, health.clone(), page.clone())
            .with_history(history.clone())
            .with_drilldown(drilldown.clone())
            .with_conditions(conditions);
    let rejections = Arc::<Rejections>::default();
    let scrape =
        ScrapePage::new(route, meters.clone(), geoip.clone(), networks.clone(), reloader.status())
            .with_lines(lines.clone())
            .with_positions(positions.clone())
            .with_history(history)
            .with_drilldown(mirror.as_ref().map(Mirror::drilldown))
            .confined(confinement.clone())
            .served(Arc::clone(&rejections), Arc::clone(web_config));
    Site {
        page,
        web_config: Arc::clone(web_config),
        rejections,
        limits: Limits::default(),
        enable_reload: config.web.enable_reload,
        metrics: Arc::new(scrape),
        live: Arc::new(move |resource, query, refusal| live.render(resource, query, refusal)),
        drilldown,
        health: health.clone(),
        reload,
    }
}

/// The drill-down, if the configuration allows it and there are rows.
fn drilldown(config: &Config, mirror: Option<&Mirror>, geoip: &GeoIp) -> DrilldownPages {
    match mirror {
        _ if !config.web.drilldown => DrilldownPages::off("web.drilldown is false"),
        None => DrilldownPages::off("there are no rows of packets: mirror.url is not set"),
        Some(mirror) => {
            let MirrorConfig { anonymize, sample, .. } = config.mirror;
            DrilldownPages::new(mirror.drilldown(), geoip.clone(), anonymize, sample)
        }
    }
}
