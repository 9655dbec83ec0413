//! Reads values of a server's answer. An unexpected value is an error, where the driver's own conversions panic.

use mysql_async::{
    Conn, Error, Row, Value,
    prelude::{FromValue, Queryable},
};

use super::StoreError;

/// The first row of a query's result.
pub(super) async fn first(connection: &mut Conn, query: &str) -> Result<Option<Row>, Error> {
    connection.query_first::<Row, _>(query).await
}

/// The value of a column; `doing` names the purpose.
pub(in crate::mirror) fn value<T: FromValue>(
    row: &Row,
    column: usize,
    doing: &str,
) -> Result<T, StoreError> {
    let given = row.as_ref(column).cloned().unwrap_or(Value::NULL);
    T::from_value_opt(given).map_err(|error| {
        StoreError::Denied(format!("MySQL: cannot {doing}: column {column} of the answer: {error}"))
    })
}
