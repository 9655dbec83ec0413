//! Where figures come from, and the task that fetches them again and again.

use std::time::Duration;

use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::{client::ExporterClient, figures::Figures, view::ReadProgress};
use crate::history::Range;

/// Time between two looks at a recording that is being read.
const READING: Duration = Duration::from_millis(500);

/// Maximum time until a failed request is repeated.
const RETRY: Duration = Duration::from_secs(5);

/// Makes the overview for a query, or says why the query is invalid.
pub type OverviewOf = Box<dyn Fn(&str) -> Result<String, String> + Send>;

/// The source of figures.
pub enum FigureSource {
    /// A running exporter.
    Exporter(Box<ExporterClient>),
    /// Recorded packets that this process counts.
    Recording(CountedRecording),
}

/// Recorded packets that this process counts.
pub struct CountedRecording {
    /// How far the files were read.
    pub progress: Box<dyn Fn() -> ReadProgress + Send>,
    /// The overview for a query, as an exporter responds to it.
    pub overview: OverviewOf,
}

/// Figures, or why there are none.
#[derive(Debug)]
pub struct Answer {
    /// The request that it answers.
    pub number: u64,
    /// The figures.
    pub figures: Result<Figures, String>,
    /// How far a recording was read.
    pub progress: Option<ReadProgress>,
}

/// The figures that the view needs.
#[derive(Clone, Debug, Default)]
pub struct FigureRequest {
    /// Increases with each change of the selection.
    pub number: u64,
    /// The query.
    pub query: String,
    /// The range of time, which decides how often figures change.
    pub range: Range,
    /// Whether the figures are fetched only once.
    pub is_paused: bool,
}

impl FigureSource {
    /// Its name, for the title; `None` for a recording.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Exporter(client) => Some(client.name()),
            Self::Recording(_) => None,
        }
    }

    /// Fetches the figures for a query once.
    pub async fn fetch(&mut self, request: &FigureRequest) -> Answer {
        let number = request.number;
        match self {
            Self::Exporter(client) => {
                let figures = client.figures(&request.query).await;
                let figures = figures.map_err(|error| error.to_string());
                Answer { number, figures, progress: None }
            }
            Self::Recording(recording) => {
                // Before the figures: after the end, they are those of all packets.
                let progress = (recording.progress)();
                let text = (recording.overview)(&request.query);
                let figures =
                    text.and_then(|text| Figures::parse(&text).map_err(|error| error.to_string()));
                Answer { number, figures, progress: Some(progress) }
            }
        }
    }

    /// Fetches figures until the receiver of answers is dropped. A changed request replaces the current one.
    pub(super) async fn run(
        mut self,
        mut requests: watch::Receiver<FigureRequest>,
        answers: mpsc::Sender<Answer>,
    ) {
        loop {
            let request = requests.borrow_and_update().clone();
            let answer = tokio::select! {
                answer = self.fetch(&request) => answer,
                changed = requests.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            let pause = pause(&request, &answer);
            if answers.send(answer).await.is_err() {
                return;
            }
            let changed = match pause {
                Some(pause) => tokio::select! {
                    changed = requests.changed() => changed,
                    () = sleep(pause) => Ok(()),
                },
                None => requests.changed().await,
            };
            if changed.is_err() {
                return;
            }
        }
    }
}

/// Time until the next request; `None` if the figures stay as they are.
fn pause(request: &FigureRequest, answer: &Answer) -> Option<Duration> {
    if request.is_paused {
        return None;
    }
    match &answer.progress {
        Some(ReadProgress::Reading(_)) => Some(READING),
        Some(_) => None,
        None => {
            // As the built-in page.
            let seconds = match request.range {
                Range::TenMinutes => 2,
                Range::Hour => 5,
                Range::Day => 10,
                Range::Week | Range::Month => 30,
            };
            let pause = Duration::from_secs(seconds);
            Some(if answer.figures.is_err() { pause.min(RETRY) } else { pause })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERVIEW: &str =
        r#"{"window":{"seconds":600,"slices":60,"running":4},"received":7,"timeline":[]}"#;

    fn recording(progress: ReadProgress) -> FigureSource {
        FigureSource::Recording(CountedRecording {
            progress: Box::new(move || progress.clone()),
            overview: Box::new(|query| match query {
                "" => Ok(OVERVIEW.into()),
                query => Err(format!("no {query}")),
            }),
        })
    }

    /// Time passes only while every task waits.
    #[tokio::test(start_paused = true)]
    async fn figures_are_fetched_until_a_recording_is_complete() {
        for (progress, is_repeated) in [
            (ReadProgress::Reading("x".into()), true),
            (ReadProgress::Complete, false),
            (ReadProgress::Failed("y".into()), false),
        ] {
            let (requests, receiver) = watch::channel(FigureRequest::default());
            let (sender, mut answers) = mpsc::channel(1);
            let task = tokio::spawn(recording(progress.clone()).run(receiver, sender));
            let answer = answers.recv().await.unwrap();
            assert_eq!((answer.figures.unwrap().received, answer.progress), (7, Some(progress)));
            let next = tokio::time::timeout(Duration::from_secs(60), answers.recv()).await;
            assert_eq!(next.is_ok(), is_repeated);
            // A change is answered in each state.
            let query = "range=1h".to_owned();
            requests.send_replace(FigureRequest { number: 5, query, ..FigureRequest::default() });
            let answer = loop {
                let answer = answers.recv().await.unwrap();
                if answer.number == 5 {
                    break answer;
                }
            };
            assert_eq!(answer.figures.unwrap_err(), "no range=1h");
            drop(requests);
            while answers.recv().await.is_some() {}
            task.await.unwrap();
        }
    }

    #[test]
    fn failed_requests_are_repeated_sooner() {
        let answer = |figures| Answer { number: 0, figures, progress: None };
        let request =
            |range, is_paused| FigureRequest { range, is_paused, ..FigureRequest::default() };
        let failed = answer(Err(String::new()));
        let fine = answer(Ok(Figures::parse(OVERVIEW).unwrap()));
        assert_eq!(pause(&request(Range::Month, false), &failed), Some(RETRY));
        assert_eq!(pause(&request(Range::Month, false), &fine), Some(Duration::from_secs(30)));
        assert_eq!(
            pause(&request(Range::TenMinutes, false), &failed),
            Some(Duration::from_secs(2))
        );
        assert_eq!(pause(&request(Range::TenMinutes, true), &failed), None);
    }
}
