//! What the HTTP server serves: the page, the live data, the metrics and their limits.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Parts, scrape::ScrapePage};
use crate::{
    cli,
    conditions::Conditions,
    http::{Limits, Rejections, ReloadRequest, Site, WebConfigWatcher},
    system::Health,
    web::{LiveData, PageInfo, PageSources},
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
        ..
    } = parts;
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
            .with_conditions(conditions);
    let rejections = Arc::<Rejections>::default();
    let scrape =
        ScrapePage::new(route, meters.clone(), geoip.clone(), networks.clone(), reloader.status())
            .with_lines(lines.clone())
            .with_positions(positions.clone())
            .with_history(history)
            .confined(confinement.clone())
            .served(Arc::clone(&rejections), Arc::clone(web_config));
    Site {
        page,
        web_config: Arc::clone(web_config),
        rejections,
        limits: Limits::default(),
        enable_reload: config.web.enable_reload,
        metrics: Arc::new(scrape),
        live: Arc::new(move |resource, query| live.render(resource, query)),
        health: health.clone(),
        reload,
    }
}
