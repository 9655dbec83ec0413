//! Pages of metrics. Clients that wait for the same page share it, so a scrape waits for at most one other page of
//! each variant.

use std::sync::{Arc, Mutex, MutexGuard};

use hyper::body::Bytes;
use tokio::sync::{Semaphore, watch};

use super::{
    Format, MetricsPage,
    compression::encode,
    render_queue::run_blocking,
    slot_pool::{Slot, SlotPool},
};
use crate::system::lock::lock;

/// A rendered page of metrics.
#[derive(Clone)]
pub(super) struct SharedPage {
    pub(super) metrics: Arc<dyn MetricsPage>,
    pub(super) body: Bytes,
    /// In the pool of responses in memory.
    pub(super) slot: Arc<Slot>,
    pub(super) generation: u64,
}

/// A format, and whether the page is compressed.
type Variant = (Format, bool);

/// A page that is not finished; the sender is dropped if rendering panics.
type PendingPage = watch::Receiver<Option<SharedPage>>;

/// Renders pages of metrics.
pub(super) struct SharedMetrics {
    metrics: Arc<dyn MetricsPage>,
    responses: Arc<SlotPool>,
    running: Semaphore,
    /// Requested pages whose rendering has not begun. New requests share them, because they will show the state
    /// after the request.
    requested: Mutex<Vec<(Variant, PendingPage)>>,
}

impl SharedMetrics {
    pub(super) fn new(
        metrics: Arc<dyn MetricsPage>,
        responses: Arc<SlotPool>,
        concurrent: usize,
    ) -> Arc<Self> {
        let (running, requested) = (Semaphore::new(concurrent), Mutex::default());
        Arc::new(Self { metrics, responses, running, requested })
    }

    /// The page of a variant; `None` if rendering it panicked.
    pub(super) async fn page(self: &Arc<Self>, variant: Variant) -> Option<SharedPage> {
        let mut page = self.request(variant);
        page.wait_for(Option::is_some).await.ok()?.clone()
    }

    fn request(self: &Arc<Self>, variant: Variant) -> PendingPage {
        let mut requested = self.requested();
        if let Some((_, page)) = requested.iter().find(|(other, _)| *other == variant) {
            return page.clone();
        }
        let (sender, page) = watch::channel(None);
        requested.push((variant, page.clone()));
        // A task of its own: the client may disconnect while others wait for the same page.
        tokio::spawn(self.clone().render(variant, sender));
        page
    }

    async fn render(self: Arc<Self>, variant: Variant, sender: watch::Sender<Option<SharedPage>>) {
        let permit = self.running.acquire().await;
        self.requested().retain(|(other, _)| *other != variant);
        let metrics = self.metrics.clone();
        let rendered = run_blocking(move || {
            let (format, compress) = variant;
            let page = metrics.render(format);
            (metrics, Bytes::from(encode(page.body, compress)), page.generation)
        });
        if let Some((metrics, body, generation)) = rendered.await {
            let slot = Arc::new(self.responses.acquire_always(body.len()));
            sender.send_replace(Some(SharedPage { metrics, body, slot, generation }));
        }
        drop(permit);
    }

    fn requested(&self) -> MutexGuard<'_, Vec<(Variant, PendingPage)>> {
        lock(&self.requested)
    }
}
