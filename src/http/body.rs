//! The body of an answer: whole in memory, handed to the connection in pieces.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::{
    places::Place,
    receipt::{Counter, Receipt},
};

/// Largest piece, bytes: little enough that a client which does not read keeps most of the body
/// back, much enough that system calls do not show.
const PIECE: usize = 64 * 1024;

/// A body of known length.
pub(super) struct PageBody {
    rest: Bytes,
    /// Goes to the counter with the last piece; one that is dropped before is dropped too.
    receipt: Option<(Receipt, Counter)>,
    /// Among the answers in memory, while it is there.
    place: Option<Place>,
}

impl PageBody {
    pub(super) fn new(text: impl Into<Bytes>) -> Self {
        Self { rest: text.into(), receipt: None, place: None }
    }

    /// A body whose delivery is told, through the counter of the connection it goes out on.
    pub(super) fn with_receipt(text: impl Into<Bytes>, receipt: Receipt, counter: Counter) -> Self {
        Self { rest: text.into(), receipt: Some((receipt, counter)), place: None }
    }

    /// Keeps this place for as long as something of it waits for the client.
    pub(super) fn hold(&mut self, place: Place) {
        self.place = Some(place);
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
