//! What a database folder says about its own state: the beginning of the file that Postgres keeps for that.

use std::path::Path;

/// Where the state stands in `global/pg_control`: behind the system's identifier (8 bytes), the version of the file
/// and that of the catalogue (4 each). The same in all versions that are run here (`catalog/pg_control.h`).
const STATE_AT: usize = 16;
/// `DB_SHUTDOWNING`: a fast shutdown has ended all sessions and writes its checkpoint.
const SHUTTING_DOWN: u32 = 3;

/// Whether the Postgres on this folder writes the checkpoint that ends it.
pub(super) fn is_shutting_down(folder: &Path) -> bool {
    state(folder) == Some(SHUTTING_DOWN)
}

fn state(folder: &Path) -> Option<u32> {
    let bytes = std::fs::read(folder.join("global/pg_control")).ok()?;
    let state = bytes.get(STATE_AT..)?.first_chunk::<4>()?;
    Some(u32::from_ne_bytes(*state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_whose_database_is_shutting_down_is_so() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_shutting_down(folder.path()), "there is none");
        std::fs::create_dir(folder.path().join("global")).unwrap();
        let file = folder.path().join("global/pg_control");
        std::fs::write(&file, [0; 10]).unwrap();
        assert!(!is_shutting_down(folder.path()), "it is cut off");
        for state in 0..7_u32 {
            let bytes = [&[1_u8; STATE_AT][..], &state.to_ne_bytes(), &[9; 100]].concat();
            std::fs::write(&file, bytes).unwrap();
            assert_eq!(is_shutting_down(folder.path()), state == SHUTTING_DOWN);
        }
    }
}
