//! The body of an answer: whole in memory, handed to the connection in pieces.

use std::{
    convert::Infallible,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::Notify;

use super::{
    places::{Owner, Place, Places},
    receipt::{Counter, Receipt},
    renders::Page,
};

/// Largest piece, bytes: little enough that a client which does not read keeps most of the body
/// back, much enough that system calls do not show.
const PIECE: usize = 64 * 1024;

/// A body of known length.
pub(super) struct PageBody {
    rest: Bytes,
    /// Goes to the counter with the last piece; one that is dropped before is dropped too.
    receipt: Option<(Receipt, Counter)>,
    /// Among the answers in memory, where it has one already.
    place: Option<Arc<Place>>,
}

/// Bytes with their place among the answers in memory, kept for as long as any of their pieces is,
/// also those that wait in the connection's buffer.
struct Placed {
    bytes: Bytes,
    _owner: Owner,
}

impl AsRef<[u8]> for Placed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl PageBody {
    pub(super) fn new(text: impl Into<Bytes>) -> Self {
        Self { rest: text.into(), receipt: None, place: None }
    }

    /// A page of metrics whose delivery is told, through the counter of the connection it goes out
    /// on.
    pub(super) fn shared(page: Page, receipt: Receipt, counter: Counter) -> Self {
        Self { rest: page.body, receipt: Some((receipt, counter)), place: Some(page.place) }
    }

    /// Keeps a place among the answers for as long as something of it waits for the client, who gets
    /// notice when it is taken back.
    pub(super) fn hold(&mut self, answers: &Arc<Places>, notice: Arc<Notify>) {
        if self.rest.is_empty() {
            return;
        }
        let place = self.place.take();
        let place = place.unwrap_or_else(|| Arc::new(answers.take_anyhow(self.rest.len())));
        let bytes = mem::take(&mut self.rest);
        self.rest = Bytes::from_owner(Placed { bytes, _owner: place.own(notice) });
    }

    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }
}

impl Body for PageBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        if self.rest.is_empty()
            && let Some((receipt, counter)) = self.receipt.take()
        {
            counter.leave(receipt);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        // A length in memory fits.
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
