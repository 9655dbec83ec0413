//! The queue is bounded, and shares the reader fairly.

use super::*;

fn chunk(length: usize) -> Chunk {
    Chunk {
        lines: vec![b'x'; length],
        input: Input::Syslog,
        stream: 0,
        sender: None,
        checkpoint: None,
    }
}

fn from(sender: u8, length: usize) -> Chunk {
    Chunk { sender: Some(IpAddr::from([192, 0, 2, sender])), ..chunk(length) }
}

/// Reads a chunk, for which the reader works so much. Returns its length.
fn read(queue: &ChunkQueue, work: u64) -> Option<usize> {
    let mut chunk = queue.pop()?;
    let length = chunk.chunk.lines.len();
    chunk.done = length;
    queue.worked(chunk, work);
    Some(length)
}

#[test]
fn the_queue_is_bounded_and_signals_its_chunks() {
    let queue = ChunkQueue::new().unwrap();
    assert!(!is_readable(queue.filled()));
    let mut added = 0_usize;
    while queue.try_push(chunk(1 << 20)).is_ok() {
        added += 1;
    }
    assert_eq!(added, 7);
    assert!(is_readable(queue.filled()));
    // Whatever one lane has, another one has room, and all together are bounded.
    let file = || Chunk { input: Input::File, ..chunk(1 << 16) };
    while queue.try_push(file()).is_ok() {
        added += 1;
    }
    assert!(lock(&queue.contents).bytes <= CAPACITY);
    let kmsg = || Chunk { input: Input::Kmsg, ..chunk(1 << 16) };
    while queue.try_push(kmsg()).is_ok() {
        added += 1;
    }
    assert!(lock(&queue.contents).bytes <= CAPACITY + LANES * RESERVED);
    assert_eq!(std::iter::from_fn(|| read(&queue, 1)).count(), added);
    assert!(!is_readable(queue.filled()) && queue.is_empty());
    // A chunk that is larger than the queue does not wait forever.
    assert!(queue.try_push(chunk(CAPACITY)).is_ok() && queue.try_push(chunk(1)).is_err());
}

#[test]
fn a_full_queue_makes_the_input_wait_until_there_is_room_or_it_must_stop() {
    let queue = ChunkQueue::new().unwrap();
    assert!(queue.push(chunk(CAPACITY)));
    std::thread::scope(|scope| {
        let pushing = scope.spawn(|| queue.push(chunk(1)));
        while read(&queue, 1).is_none_or(|length| length > 1) {
            std::thread::yield_now();
        }
        assert!(pushing.join().unwrap());
        assert!(queue.push(chunk(CAPACITY)));
        let pushing = scope.spawn(|| queue.push(chunk(1)));
        queue.stop();
        assert!(!pushing.join().unwrap());
    });
    assert!(!queue.wait(None, None).unwrap());
    // The lines that were not read, and the one that was not added.
    assert_eq!(queue.clear()[Input::Syslog as usize], 2);
}

/// A flood of one sender, of which each line is as much work as 10,000 lines of others.
#[test]
fn a_flood_of_one_sender_delays_the_others_by_its_share() {
    let queue = ChunkQueue::new().unwrap();
    while queue.try_push(from(1, 100)).is_ok() {}
    let lane = |sender: u8| queue.queued(from(sender, 1)).lane;
    let other = (2..=u8::MAX).find(|other| lane(*other) != lane(1)).unwrap();
    let mut others = 0;
    for _ in 0..100 {
        queue.try_push(from(other, 200)).unwrap();
        queue.try_push(Chunk { input: Input::Kmsg, ..chunk(300) }).unwrap();
        others += 2;
    }
    let mut work_of_flood = 0;
    while others > 0 {
        let mut chunk = queue.pop().unwrap();
        chunk.done = chunk.chunk.lines.len();
        let work = if chunk.done == 100 { 10_000 } else { 1 };
        queue.worked(chunk, work);
        if work == 1 {
            others -= 1;
        } else {
            work_of_flood += work;
        }
    }
    assert!(work_of_flood <= 20_000, "{work_of_flood}");
}

/// A lane without chunks saves up nothing for later.
#[test]
fn a_quiet_lane_does_not_hold_up_the_others_later() {
    let queue = ChunkQueue::new().unwrap();
    for _ in 0..1000 {
        queue.try_push(from(1, 100)).unwrap();
        read(&queue, 100).unwrap();
    }
    for _ in 0..100 {
        queue.try_push(Chunk { input: Input::Kmsg, ..chunk(300) }).unwrap();
        queue.try_push(from(1, 100)).unwrap();
    }
    let first: Vec<_> = (0..20).map(|_| read(&queue, 100).unwrap()).collect();
    assert!(first.iter().filter(|length| **length == 100).count() >= 9, "{first:?}");
}

#[test]
fn a_chunk_that_is_not_done_stays_the_first_of_its_lane() {
    let queue = ChunkQueue::new().unwrap();
    for length in [10, 20] {
        queue.try_push(from(1, length)).unwrap();
    }
    let mut chunk = queue.pop().unwrap();
    chunk.done = 4;
    queue.worked(chunk, 1);
    let chunk = queue.pop().unwrap();
    assert_eq!((chunk.done, chunk.chunk.lines.len()), (4, 10));
    queue.worked(chunk, 1);
    assert_eq!(queue.clear()[Input::Syslog as usize], 2);
    assert_eq!(lock(&queue.contents).bytes, 0);
}
