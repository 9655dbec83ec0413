//! Pages rendered on threads that may block: a few at a time, each kind on its own, so that who looks
//! at the page keeps no scrape waiting.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flate2::Compression;
use hyper::body::Bytes;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinError,
};

use super::{
    Format, MetricsPage,
    gzip::compress,
    places::{Place, Places},
};

/// Why there is no page.
#[derive(Debug)]
pub(super) enum NoPage {
    /// Too many others wait.
    Busy,
    /// Rendering it panicked.
    Broken(JoinError),
    /// The server ends.
    Closing,
}

/// Pages that each request has for itself. Those beyond the ones under way wait in a bounded line.
pub(super) struct Renders {
    running: Arc<Semaphore>,
    /// Under way or waited for.
    line: Arc<Semaphore>,
}

impl Renders {
    pub(super) fn new(at_a_time: usize, waiting: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(at_a_time)),
            line: Arc::new(Semaphore::new(at_a_time + waiting)),
        }
    }

    /// Does the work when its turn comes.
    pub(super) async fn render<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoPage> {
        let _place = self.line.clone().try_acquire_owned().map_err(|_| NoPage::Busy)?;
        // Nobody closes the semaphore.
        let permit = self.running.clone().acquire_owned().await.map_err(|_| NoPage::Closing)?;
        let rendered = tokio::task::spawn_blocking(move || {
            // Held by the work itself: the client may be gone before it is done.
            let _permit = permit;
            work()
        });
        rendered.await.map_err(NoPage::Broken)
    }
}

/// A page of metrics that somebody has asked for.
#[derive(Clone)]
pub(super) struct Page {
    /// Who is told that it was delivered.
    pub(super) metrics: Arc<dyn MetricsPage>,
    pub(super) body: Bytes,
    /// Among the answers in memory.
    pub(super) place: Arc<Place>,
    pub(super) generation: u64,
}

/// Pages of metrics, which all who wait for the same one share: there is no line in which others
/// could be before a scrape.
pub(super) struct MetricsPages {
    metrics: Arc<dyn MetricsPage>,
    answers: Arc<Places>,
    running: Semaphore,
    /// The pages that are not begun yet: whoever asks now gets one that shows now.
    awaited: Mutex<Vec<(Kind, watch::Receiver<Option<Page>>)>>,
}

/// A format, and whether it is compressed.
type Kind = (Format, bool);

impl MetricsPages {
    pub(super) fn new(
        metrics: Arc<dyn MetricsPage>,
        answers: Arc<Places>,
        at_a_time: usize,
    ) -> Arc<Self> {
        let (running, awaited) = (Semaphore::new(at_a_time), Mutex::default());
        Arc::new(Self { metrics, answers, running, awaited })
    }

    /// The page of a kind; `None` when rendering it panicked.
    pub(super) async fn page(self: &Arc<Self>, kind: Kind) -> Option<Page> {
        let mut page = self.ask(kind);
        page.wait_for(Option::is_some).await.ok()?.clone()
    }

    fn ask(self: &Arc<Self>, kind: Kind) -> watch::Receiver<Option<Page>> {
        let mut awaited = self.awaited();
        if let Some((_, page)) = awaited.iter().find(|(other, _)| *other == kind) {
            return page.clone();
        }
        let (sender, page) = watch::channel(None);
        awaited.push((kind, page.clone()));
        // Apart from the request: its client may leave, and others wait for the same page.
        tokio::spawn(self.clone().render(kind, sender));
        page
    }

    async fn render(self: Arc<Self>, kind: Kind, sender: watch::Sender<Option<Page>>) {
        let permit = self.running.acquire().await;
        self.awaited().retain(|(other, _)| *other != kind);
        let metrics = self.metrics.clone();
        let rendered = tokio::task::spawn_blocking(move || {
            let (format, gzip) = kind;
            let page = metrics.render(format);
            (metrics, Bytes::from(encode(page.body, gzip)), page.generation)
        });
        match rendered.await {
            Ok((metrics, body, generation)) => {
                let place = Arc::new(self.answers.take_anyhow(body.len()));
                sender.send_replace(Some(Page { metrics, body, place, generation }));
            }
            Err(error) => told(&error),
        }
        drop(permit);
    }

    fn awaited(&self) -> MutexGuard<'_, Vec<(Kind, watch::Receiver<Option<Page>>)>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A page as it goes out, with no room left over behind it.
pub(super) fn encode(page: String, gzip: bool) -> Vec<u8> {
    let mut page = if gzip { compress(&page, Compression::fast()) } else { page.into_bytes() };
    page.shrink_to_fit();
    page
}

/// Tells the log that a render panicked.
pub(super) fn told(error: &JoinError) {
    tracing::error!(%error, "rendering a page failed; this is a bug");
}
