//! Values out of a server's answer. A value that it should not give is an error, not a panic: the
//! driver's own conversions panic.

use mysql_async::{
    Conn, Error, Row, Value,
    prelude::{FromValue, Queryable},
};

use super::StoreError;

/// The first row that a query gives.
pub(super) async fn first(connection: &mut Conn, query: &str) -> Result<Option<Row>, Error> {
    connection.query_first::<Row, _>(query).await
}

/// The value of a column; `doing` is what it is for.
pub(super) fn value<T: FromValue>(row: &Row, column: usize, doing: &str) -> Result<T, StoreError> {
    let given = row.as_ref(column).cloned().unwrap_or(Value::NULL);
    T::from_value_opt(given).map_err(|error| {
        StoreError::Denied(format!("MySQL: cannot {doing}: column {column} of the answer: {error}"))
    })
}
