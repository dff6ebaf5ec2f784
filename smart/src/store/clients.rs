//! The table of apps that were registered over the API.

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;

use super::Store;
use crate::client::Client;
use crate::error::SmartError;

/// A registration as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Registered {
    pub(crate) client: Client,
    /// SHA-256 of the token that manages it.
    pub(crate) management: Option<Vec<u8>>,
    /// Whether an operator has registered it.
    pub(crate) by_operator: bool,
    pub(crate) made_at: DateTime<Utc>,
}

/// The registration of an id.
pub(crate) async fn find(store: &Store, id: &str) -> Result<Option<Registered>, SmartError> {
    let client = store.get().await?;
    let query = "SELECT said::text, management, by_operator, made_at FROM anamnesis.smart_client
         WHERE realm = $1 AND id = $2";
    let Some(row) = client.query_opt(query, &[&store.realm, &id]).await? else { return Ok(None) };
    let said: String = row.try_get(0)?;
    Ok(Some(Registered {
        client: serde_json::from_str(&said).map_err(|_| SmartError::Stored("a client"))?,
        management: row.try_get(1)?,
        by_operator: row.try_get(2)?,
        made_at: row.try_get(3)?,
    }))
}

/// Stores a new registration; `false` where there are `count_max` of its kind already. Several at once may exceed that by
/// as many.
pub(crate) async fn insert(
    transaction: &Transaction<'_>,
    realm: i16,
    registered: &Registered,
    count_max: i64,
) -> Result<bool, SmartError> {
    let said = written(&registered.client)?;
    let statement = "INSERT INTO anamnesis.smart_client (realm, id, said, management, by_operator, made_at)
         SELECT $1, $2, $3::text::jsonb, $4, $5, $6
         WHERE (SELECT count(*) FROM anamnesis.smart_client WHERE realm = $1 AND by_operator = $5) < $7";
    let inserted = transaction
        .execute(
            statement,
            &[
                &realm,
                &registered.client.id,
                &said,
                &registered.management,
                &registered.by_operator,
                &registered.made_at,
                &count_max,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Puts another description in the place of one; `false` where that is not there any more as it was read.
pub(crate) async fn update(
    transaction: &Transaction<'_>,
    realm: i16,
    (before, after): (&Client, &Client),
) -> Result<bool, SmartError> {
    let statement = "UPDATE anamnesis.smart_client SET said = $4::text::jsonb
         WHERE realm = $1 AND id = $2 AND said = $3::text::jsonb";
    let updated =
        transaction.execute(statement, &[&realm, &after.id, &written(before)?, &written(after)?]).await?;
    Ok(updated == 1)
}

/// Removes a registration, and ends all tokens of its client.
pub(crate) async fn remove(transaction: &Transaction<'_>, realm: i16, id: &str) -> Result<bool, SmartError> {
    let statement = "DELETE FROM anamnesis.smart_client WHERE realm = $1 AND id = $2";
    let removed = transaction.execute(statement, &[&realm, &id]).await? == 1;
    super::families::revoke_of_client(transaction, realm, id).await?;
    Ok(removed)
}

fn written(client: &Client) -> Result<String, SmartError> {
    serde_json::to_string(client).map_err(|_| SmartError::Stored("a client"))
}
