//! The words of texts, for `_text` and `_content`: whether the index is to have them, and having it built with them.

use std::sync::atomic::Ordering;

use anamnesis_projections::search::{CustomParameters, ParametersError, SearchIndex};
use anamnesis_projections::{Inputs, State};

use super::keeper::{Keeper, KeeperError};

/// What the configuration says of the words of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FullText {
    /// Nothing: what the index in use has, the next one has.
    #[default]
    Kept,
    /// An index that lacks them is built again with them.
    Wanted,
    /// The next `$reindex` leaves them out.
    Unwanted,
}

impl From<Option<bool>> for FullText {
    fn from(setting: Option<bool>) -> Self {
        match setting {
            None => Self::Kept,
            Some(true) => Self::Wanted,
            Some(false) => Self::Unwanted,
        }
    }
}

impl FullText {
    /// What the first index of a store is made from.
    ///
    /// # Errors
    /// None that could happen: there are no search parameters yet that could be too many.
    pub fn first(self) -> Result<Inputs, ParametersError> {
        Ok(CustomParameters::none().with_full_text(self == Self::Wanted)?.to_inputs())
    }
}

impl Keeper {
    /// Has a version with the words of texts built beside the one in use, where the configuration wants them and that one has
    /// none; it has the same search parameters. Once in the life of a process: who gives that version up, or has one built
    /// without words later, means it, and nodes that are configured differently do not build against each other.
    pub(super) async fn have_words(&self) -> Result<(), KeeperError> {
        if self.full_text != FullText::Wanted || self.has_had_words.load(Ordering::Relaxed) {
            return Ok(());
        }
        if self.index.parameters().has_full_text() || self.builds_words() {
            self.has_had_words.store(true, Ordering::Relaxed);
            return Ok(());
        }
        if self.projection.building().now().is_some() {
            // One at a time. This one may be what was asked for before the configuration changed.
            return Ok(());
        }
        if let Some(version) = self.projection.rebuild_changed(with_words).await? {
            self.has_had_words.store(true, Ordering::Relaxed);
            tracing::info!(
                version,
                "the words of texts are to be indexed (search.full_text); the index is built again"
            );
        }
        Ok(())
    }

    /// Whether the version that a `$reindex` builds now has the words of texts.
    pub(super) async fn next_has_words(&self) -> Result<bool, KeeperError> {
        match self.full_text {
            FullText::Wanted => Ok(true),
            FullText::Unwanted => Ok(false),
            // As the database says: this process may not have noticed a switch yet.
            FullText::Kept => {
                let versions = self.projection.versions().list().await?;
                let active = versions.iter().find(|version| version.state == State::Active);
                let active = active.map(|active| CustomParameters::from_inputs(&active.inputs));
                Ok(active.transpose()?.is_some_and(|active| active.has_full_text()))
            }
        }
    }

    /// Why the words of texts cannot be asked for; `None` where they can.
    pub(crate) fn lacks_words(&self) -> Option<&'static str> {
        if self.index.parameters().has_full_text() {
            return None;
        }
        Some(match self.full_text {
            _ if self.builds_words() => "an index that has them is being built",
            FullText::Kept | FullText::Unwanted => {
                "search.full_text = true in the configuration has them indexed"
            }
            FullText::Wanted if self.has_had_words.load(Ordering::Relaxed) => {
                "the index that was to have them was given up; a restart of the server begins it again"
            }
            FullText::Wanted => "an index that has them is going to be built",
        })
    }

    /// Whether the version that is being built has the words of texts.
    pub(crate) fn builds_words(&self) -> bool {
        self.index.partial().as_ref().map(SearchIndex::parameters).is_some_and(|built| built.has_full_text())
    }
}

/// The same search parameters with the words of texts. `None` where they are there, or where these are no search parameters
/// that this program can read.
fn with_words(inputs: &Inputs) -> Option<Inputs> {
    let parameters = CustomParameters::from_inputs(inputs).ok()?;
    let with_words = parameters.with_full_text(true).ok()?;
    (!parameters.has_full_text()).then(|| with_words.to_inputs())
}
