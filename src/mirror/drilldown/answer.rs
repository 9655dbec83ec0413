//! Answers a question: chooses the statements, and converts their results.

use crate::mirror::{
    rows_query::{
        Access, Dialect, PACKET_COLUMNS, Question, RowCondition, RowPosition, SOURCE_COLUMNS,
        Subject, packets, sources,
    },
    store::{AnyReader, StoreError},
    time_text::parse_time,
};

/// Number of the newest rows that are searched for packets, in the order of their times: some 10 ms.
const WINDOW: u32 = 20_000;

/// Number of rows of a period that are read by time, if it has fewer. They are grouped in less than a second; the index of
/// sources is scanned whole, and has the rows of other times too: of all days in SQLite, of whole days in MySQL.
pub(super) const FEW: u32 = 200_000;

/// A row of an answer: the values of its columns, and for packets its position.
pub(super) type Cells = (Vec<Option<String>>, Option<RowPosition>);

/// Answers a question; passes each row of the answer to `take`, in its order. A period with fewer rows than `few` is read by
/// time.
pub(super) async fn answer(
    reader: &mut dyn AnyReader,
    question: &Question,
    few: u32,
    take: &mut (dyn FnMut(Cells) + Send),
) -> Result<(), StoreError> {
    let dialect = reader.dialect();
    match &question.subject {
        Subject::Sources { order, skip } => {
            let access = access(reader, question, None, few).await?;
            let statement = sources::statement(dialect, question, *order, *skip, access);
            let mut pass = |texts: Vec<Option<String>>| {
                let columns = SOURCE_COLUMNS.into_iter();
                take((columns.zip(texts).map(|(column, text)| column.value(text)).collect(), None));
            };
            reader.select_any(&statement, &mut pass).await
        }
        Subject::Packets { before } => {
            packets_of(reader, question, before.as_ref(), few, take).await
        }
    }
}

async fn packets_of(
    reader: &mut dyn AnyReader,
    question: &Question,
    before: Option<&RowPosition>,
    few: u32,
    take: &mut (dyn FnMut(Cells) + Send),
) -> Result<(), StoreError> {
    let access = access(reader, question, before, few).await?;
    let is_page = question.limit < WINDOW / 10;
    if access == Access::BySource
        && has_hints(reader.dialect())
        && is_page
        && !has_sources(question)
    {
        let mut rows = Vec::new();
        let statement = packets::newest(reader.dialect(), question, before, WINDOW);
        reader.select_any(&statement, &mut |texts| rows.push(texts)).await?;
        if rows.len() as u64 >= u64::from(question.limit) {
            for texts in rows {
                take(packet(texts));
            }
            return Ok(());
        }
    }
    let statement = packets::statement(reader.dialect(), question, before, access);
    reader.select_any(&statement, &mut |texts| take(packet(texts))).await
}

/// How to find the rows. Only some databases choose well themselves.
async fn access(
    reader: &mut dyn AnyReader,
    question: &Question,
    before: Option<&RowPosition>,
    few: u32,
) -> Result<Access, StoreError> {
    if !has_hints(reader.dialect()) || has_sources(question) {
        return Ok(Access::BySource);
    }
    let mut rows = 0;
    let statement = packets::count(reader.dialect(), question, before, few);
    let mut read = |texts: Vec<Option<String>>| {
        rows = texts.first().and_then(|text| text.as_ref()?.parse().ok()).unwrap_or(few);
    };
    reader.select_any(&statement, &mut read).await?;
    Ok(if rows < few { Access::ByTime } else { Access::BySource })
}

/// Whether a statement has to name the index. The optimizers of PostgreSQL and ClickHouse do without.
fn has_hints(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::MySql | Dialect::Sqlite)
}

/// Whether the question is about a few sources, which one range of the index has.
fn has_sources(question: &Question) -> bool {
    question.conditions.iter().any(|condition| matches!(condition, RowCondition::Source(Some(_))))
}

/// The values of a packet, and its position.
fn packet(mut texts: Vec<Option<String>>) -> Cells {
    let position = texts.split_off(PACKET_COLUMNS.len().min(texts.len()));
    let mut position = position.into_iter().flatten();
    let number = position.next().and_then(|number| number.parse().ok());
    let writer = position.next().unwrap_or_default();
    let time = texts.first().and_then(|time| parse_time(time.as_deref()?));
    let position = time.zip(number).map(|(time, number)| RowPosition { time, number, writer });
    let columns = PACKET_COLUMNS.into_iter().zip(texts);
    (columns.map(|(column, text)| column.value(text)).collect(), position)
}
