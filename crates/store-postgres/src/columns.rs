//! Values that a column holds in another form: numbers without a sign, addresses, JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sip_types::AddressOfRecord;
use sqlx::Row;
use sqlx::postgres::PgRow;
use store::StoreError;

use crate::error::driver;

/// A number as the database has it, which counts up to 2^63 - 1.
pub(crate) fn to_number(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number)
        .map_err(|_| StoreError::InvalidRequest(format!("the number {number} can not be stored")))
}

/// A number of the program's type.
pub(crate) fn number<T: TryFrom<i64>>(row: &PgRow, column: &str) -> Result<T, StoreError> {
    let stored: i64 = row.try_get(column).map_err(driver)?;
    T::try_from(stored)
        .map_err(|_| StoreError::Inconsistent(format!("{stored} is out of range as a {column}")))
}

/// An address in its canonical form.
pub(crate) fn address(row: &PgRow, column: &str) -> Result<AddressOfRecord, StoreError> {
    let text: &str = row.try_get(column).map_err(driver)?;
    let parsed = AddressOfRecord::parse(text)
        .ok()
        .filter(|parsed| parsed.as_str() == text);
    parsed.ok_or_else(|| StoreError::Inconsistent(format!("`{text}` is not an address of record")))
}

/// A value as JSON.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::InvalidRequest(error.to_string()))
}

/// A value that was written as JSON.
pub(crate) fn json<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<T, StoreError> {
    let text: &str = row.try_get(column).map_err(driver)?;
    serde_json::from_str(text).map_err(|error| StoreError::Inconsistent(format!("{column}: {error}")))
}
