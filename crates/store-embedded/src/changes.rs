//! Changes made by others: there are none, one process has the file open.

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use store::{ChangeFeed, StoreChanges, StoreError};

use crate::Database;

#[async_trait]
impl ChangeFeed for Database {
    async fn watch(&self) -> Result<StoreChanges, StoreError> {
        Ok(stream::pending().boxed())
    }
}
