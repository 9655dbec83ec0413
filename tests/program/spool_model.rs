//! The spool against a simple model and a database that remembers positions: any sequence of appends, deliveries,
//! kills and damage keeps the order, returns no row twice, and counts each row once.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use nflog_exporter::mirror::spool::{AppendError, Portion, Spool};
use proptest::prelude::*;

use crate::support::spool::{open, plan, rows, segments};

/// One step of a test.
#[derive(Clone, Debug)]
enum Step {
    /// Appends rows until this many, or until the spool is full.
    Append(u32),
    /// Reads about this many rows without delivering them.
    Look(usize),
    /// Delivers about this many rows, with or without an acknowledgement.
    Deliver(usize, Answer),
    /// The database has this many more rows than the spool knows.
    KnowsMore(u64),
    /// kill -9 and a restart.
    Kill,
    /// kill -9, damage in the directory, and a restart.
    Damage(Damage, usize, u64),
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Whole,
    /// Only the first part was committed and acknowledged.
    Part(u64),
    /// Committed, but not acknowledged.
    Missing,
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Flip,
    Truncate,
    Zero,
    ZeroAll,
    Grow,
    Swap,
    Duplicate,
    Delete,
    Noise,
    Position,
}

fn steps(damage: bool) -> impl Strategy<Value = Vec<Step>> {
    let answer = prop_oneof![
        3 => Just(Answer::Whole),
        1 => (0..40u64).prop_map(Answer::Part),
        1 => Just(Answer::Missing),
    ];
    let kind = prop::sample::select(vec![
        Damage::Flip,
        Damage::Truncate,
        Damage::Zero,
        Damage::ZeroAll,
        Damage::Grow,
        Damage::Swap,
        Damage::Duplicate,
        Damage::Delete,
        Damage::Noise,
        Damage::Position,
    ]);
    let step = prop_oneof![
        8 => (1..40u32).prop_map(Step::Append),
        1 => (40..2000u32).prop_map(Step::Append),
        2 => (1..60usize).prop_map(Step::Look),
        6 => ((1..60usize), answer).prop_map(|(most, answer)| Step::Deliver(most, answer)),
        1 => (1..30u64).prop_map(Step::KnowsMore),
        2 => Just(Step::Kill),
        if damage { 3 } else { 0 } => (kind, any::<usize>(), any::<u64>())
            .prop_map(|(kind, file, at)| Step::Damage(kind, file, at)),
    ];
    prop::collection::vec(step, 1..60)
}

struct Model {
    directory: tempfile::TempDir,
    max_size: u64,
    spool: Spool,
    /// Marks of the rows of each session, in the order of appends.
    lives: HashMap<[u8; 16], Vec<u32>>,
    /// Writers in the order of their sessions.
    order: Vec<[u8; 16]>,
    /// The position of each writer in the database.
    database: HashMap<[u8; 16], u64>,
    /// Marks in the database's table.
    table: Vec<u32>,
    next_mark: u32,
    damaged: bool,
    /// Of this run of the spool: rows appended, delivered, lost.
    account: [u64; 3],
    /// The portion that must be returned again.
    given: Option<Portion>,
    /// The last portion: its writer, its end, and the number of rows it declared lost.
    declared: Option<([u8; 16], u64, u64)>,
}

impl Model {
    fn new(max_size: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let spool = open(directory.path(), max_size);
        let mut model = Self {
            directory,
            max_size,
            spool,
            lives: HashMap::new(),
            order: Vec::new(),
            database: HashMap::new(),
            table: Vec::new(),
            next_mark: 0,
            damaged: false,
            account: [0; 3],
            given: None,
            declared: None,
        };
        model.begin();
        model
    }

    /// Records the present session, whose writer is known once all others are delivered.
    fn begin(&mut self) {
        self.account = [self.spool.take_recovered(), 0, 0];
        self.given = None;
        self.declared = None;
    }

    fn reopen(&mut self, damage: impl FnOnce(&[PathBuf])) {
        let waiting = self.spool.waiting();
        // Dropping the spool releases the lock, and does nothing else.
        let none = Spool::open(plan(self.directory.path(), 0)).unwrap();
        drop(std::mem::replace(&mut self.spool, none));
        let mut files = segments(self.directory.path());
        files.push(self.directory.path().join("position"));
        damage(&files);
        self.spool = open(self.directory.path(), self.max_size);
        self.begin();
        if !self.damaged {
            assert_eq!(self.account[0], waiting, "all waiting rows are found");
        }
    }

    fn append(&mut self, count: u32) {
        let mut left = count;
        while left > 0 {
            let some = left.min(700);
            let marks = self.next_mark..self.next_mark + some;
            match self.spool.append(&rows(marks.clone()), 1) {
                Ok(()) => {
                    self.account[0] += u64::from(some);
                    // Rows of this session appear under its writer only when it is first.
                    self.pending().extend(marks);
                }
                Err(refusal) => {
                    assert!(matches!(refusal, AppendError::Full), "{refusal}");
                    assert!(self.spool.size() + u64::from(some) * 200 + 400 > self.max_size);
                }
            }
            self.next_mark += some;
            left -= some;
        }
    }

    /// The rows of the present session.
    fn pending(&mut self) -> &mut Vec<u32> {
        let id = present(&self.spool);
        if !self.lives.contains_key(&id) {
            self.order.push(id);
        }
        self.lives.entry(id).or_default()
    }

    /// As the delivery thread does: the greater of both positions is right, for each writer.
    fn agree(&mut self) {
        loop {
            let (writer, known) = self.spool.position();
            let database = self.database.entry(writer.id).or_default();
            *database = known.max(*database);
            let to = *database;
            self.acknowledge(&writer, to);
            if self.spool.position().0 == writer {
                return;
            }
        }
    }

    fn acknowledge(&mut self, writer: &nflog_exporter::mirror::store::Writer, to: u64) {
        let before = self.spool.waiting();
        let gone = self.spool.delivered(writer, to);
        let passed = before - self.spool.waiting();
        if passed == 0 {
            assert_eq!(gone, 0);
            return;
        }
        // By contract, lost rows of a portion count when it is passed.
        let declared = self.declared.take().filter(|(id, end, _)| *id == writer.id && to >= *end);
        let lost = declared.map_or(0, |(_, _, lost)| lost);
        assert_eq!(passed, gone + lost);
        self.account[1] += gone;
        self.account[2] += lost;
        self.given = None;
    }

    fn read(&mut self, most: usize) -> Option<Portion> {
        self.agree();
        let waiting = self.spool.waiting();
        let (writer, from) = self.spool.position();
        let Some(portion) = self.spool.next(most) else {
            assert_eq!(waiting, 0);
            return None;
        };
        assert_eq!((portion.writer.id, portion.from), (writer.id, from));
        assert!(portion.to > from && portion.to - from <= waiting);
        let marks: Vec<u32> = portion.rows.iter().map(|row| row.mark).collect();
        if portion.lost == 0 {
            let range = usize::try_from(from).unwrap()..usize::try_from(portion.to).unwrap();
            assert_eq!(self.lives[&writer.id][range], marks);
        } else {
            assert!(self.damaged && marks.is_empty());
            assert_eq!(portion.lost, portion.to - from);
        }
        if let Some(given) = &self.given {
            assert_eq!(&portion, given);
        }
        self.declared = Some((portion.writer.id, portion.to, portion.lost));
        Some(portion)
    }

    fn deliver(&mut self, most: usize, answer: Answer) {
        let Some(portion) = self.read(most) else { return };
        let to = match answer {
            Answer::Part(rows) if portion.lost == 0 => (portion.from + rows).min(portion.to),
            _ => portion.to,
        };
        let committed = usize::try_from(to - portion.from).unwrap().min(portion.rows.len());
        self.table.extend(portion.rows[..committed].iter().map(|row| row.mark));
        let database = self.database.entry(portion.writer.id).or_default();
        assert_eq!(*database, portion.from, "compare and swap");
        *database = to;
        if matches!(answer, Answer::Missing) {
            self.given = None;
        } else {
            self.acknowledge(&portion.writer, to);
        }
    }

    fn learn(&mut self, rows: u64) {
        self.agree();
        let (writer, from) = self.spool.position();
        let life = self.lives.get(&writer.id).map_or(0, Vec::len);
        let to = (from + rows).min(life as u64);
        let range = usize::try_from(from).unwrap().min(life)..usize::try_from(to).unwrap();
        if !range.is_empty() {
            self.table.extend(self.lives[&writer.id][range].to_vec());
            self.database.insert(writer.id, to);
        }
        // Perhaps beyond a truncated end.
        self.agree();
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Append(count) => self.append(count),
            Step::Look(most) => self.given = self.read(most),
            Step::Deliver(most, answer) => self.deliver(most, answer),
            Step::KnowsMore(rows) => self.learn(rows),
            Step::Kill => self.reopen(|_| ()),
            Step::Damage(damage, file, at) => {
                self.damaged = true;
                self.reopen(|files| harm(damage, files, file, at));
            }
        }
        let [come, delivered, lost] = self.account;
        assert_eq!(come, delivered + lost + self.spool.waiting());
        assert!(self.damaged || self.spool.size() <= self.max_size);
        if !self.damaged {
            let files = segments(self.directory.path());
            let sizes: u64 = files.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
            assert_eq!(sizes, self.spool.size());
        }
    }

    fn end(mut self) {
        self.reopen(|_| ());
        while self.spool.waiting() > 0 {
            self.deliver(1000, Answer::Whole);
        }
        assert_eq!((self.spool.next(10), self.spool.oldest()), (None, None));
        let mut all = self.table.clone();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), self.table.len(), "no row is written twice");
        if !self.damaged {
            let appended: Vec<u32> =
                self.order.iter().flat_map(|id| self.lives[id].clone()).collect();
            assert_eq!(self.table, appended, "all rows, in their order");
        }
    }
}

/// The writer of the present session, which has no public name while earlier ones come before it.
fn present(spool: &Spool) -> [u8; 16] {
    let text = format!("{spool:?}");
    let present = text.split_once("present: Session {").unwrap().1;
    let id = present.split_once("id: [").unwrap().1.split_once(']').unwrap().0;
    let bytes: Vec<u8> = id.split(", ").map(|byte| byte.trim().parse().unwrap()).collect();
    bytes.try_into().unwrap()
}

fn harm(damage: Damage, files: &[PathBuf], file: usize, at: u64) {
    let path = &files[file % files.len()];
    let other = &files[(file / 7) % files.len()];
    let Ok(mut bytes) = fs::read(path) else { return };
    let length = bytes.len() as u64;
    let at = if length == 0 { 0 } else { at % length };
    let open = || OpenOptions::new().write(true).open(path).unwrap();
    match damage {
        Damage::Flip if length > 0 => {
            bytes[usize::try_from(at).unwrap()] ^= 1 << (file % 8);
            fs::write(path, bytes).unwrap();
        }
        Damage::Truncate => open().set_len(at).unwrap(),
        Damage::Zero => open().write_all_at(&[0; 64][..64.min(bytes.len())], at).unwrap(),
        Damage::ZeroAll => fs::write(path, vec![0; bytes.len()]).unwrap(),
        Damage::Grow => open().set_len(length + at).unwrap(),
        Damage::Swap => {
            let Ok(others) = fs::read(other) else { return };
            fs::write(other, bytes).unwrap();
            fs::write(path, others).unwrap();
        }
        Damage::Duplicate => {
            fs::write(path.with_file_name(format!("{at:010}-{file:020}.seg")), bytes).unwrap();
        }
        Damage::Delete => fs::remove_file(path).unwrap(),
        Damage::Noise => {
            let noise: Vec<u8> =
                (0..at).map(|byte| byte.wrapping_mul(at).to_le_bytes()[1]).collect();
            fs::write(path.with_file_name("noise.seg"), noise).unwrap();
        }
        Damage::Flip | Damage::Position => {
            fs::write(files.last().unwrap(), &bytes[..bytes.len().min(36)]).unwrap();
        }
    }
}

fn run(max_size: u64, steps: &[Step]) {
    let mut model = Model::new(max_size);
    for step in steps {
        model.step(step);
    }
    model.end();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_or_duplicated(size in 4_000u64..400_000, steps in steps(false)) {
        run(size, &steps);
    }

    #[test]
    fn damage_loses_rows_but_keeps_the_account(size in 4_000u64..400_000, steps in steps(true)) {
        run(size, &steps);
    }
}
