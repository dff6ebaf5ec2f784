//! What electronic health records have open when they launch apps.

use chrono::{DateTime, Utc};

use super::Store;
use crate::error::SmartError;
use crate::launch::Launch;

impl Store {
    /// Keeps a launch.
    pub(crate) async fn put_launch(
        &self,
        digest: &[u8],
        launch: &Launch,
        ends_at: DateTime<Utc>,
    ) -> Result<(), SmartError> {
        let said = serde_json::to_string(launch).map_err(|_| SmartError::Stored("a launch"))?;
        let client = self.get().await?;
        let statement = "INSERT INTO anamnesis.smart_launch (realm, digest, said, ends_at) VALUES ($1, $2, $3::text::jsonb, $4)";
        client.execute(statement, &[&self.realm, &digest, &said, &ends_at]).await?;
        Ok(())
    }

    /// A launch that was not used.
    pub(crate) async fn launch(&self, digest: &[u8]) -> Result<Option<Launch>, SmartError> {
        let client = self.get().await?;
        let query = "SELECT said::text FROM anamnesis.smart_launch WHERE realm = $1 AND digest = $2";
        let row = client.query_opt(query, &[&self.realm, &digest]).await?;
        row.map(|row| serde_json::from_str(row.try_get(0)?).map_err(|_| SmartError::Stored("a launch")))
            .transpose()
    }

    /// Uses a launch up; `false` where it was used before.
    pub(crate) async fn take_launch(&self, digest: &[u8]) -> Result<bool, SmartError> {
        let client = self.get().await?;
        let statement = "DELETE FROM anamnesis.smart_launch WHERE realm = $1 AND digest = $2";
        Ok(client.execute(statement, &[&self.realm, &digest]).await? == 1)
    }
}
