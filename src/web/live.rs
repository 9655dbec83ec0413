//! The bodies of live resources: from resource and query to text.

use super::{
    BadQuery, LiveResource,
    live_data::LiveData,
    markers::{MarkerList, MarkerQuery, geojson, xml},
    overview::{self, OverviewQuery},
};
use crate::{recent::WindowMode, system::clock::unix_micros};

impl LiveData {
    /// The body of a resource for a query, which is the part of the URL after its `?`. Needs some milliseconds of
    /// processor time. `refusal` is why the client gets no rows of the drill-down.
    ///
    /// # Errors
    /// The query is invalid.
    pub fn render(
        &self,
        resource: LiveResource,
        query: &str,
        refusal: Option<&'static str>,
    ) -> Result<String, BadQuery> {
        match resource {
            LiveResource::Overview => {
                Ok(overview::render(self, &OverviewQuery::parse(query)?, refusal))
            }
            LiveResource::MarkersXml => Ok(xml::write(&self.markers(query)?)),
            LiveResource::MarkersGeoJson => Ok(geojson::write(&self.markers(query)?)),
        }
    }

    fn markers(&self, query: &str) -> Result<MarkerList, BadQuery> {
        let query = MarkerQuery::parse(query)?;
        let recent = self.recent.lock();
        let (mode, observations) = (recent.mode(), recent.observations());
        // Under the same lock: the names of the observations.
        let names = self.names.get();
        drop(recent);
        let now = matches!(mode, WindowMode::Live).then(unix_micros);
        Ok(self.with_locations(|location| {
            let mut none = |_| None;
            query.find(&observations, now, &names, location.unwrap_or(&mut none))
        }))
    }
}
