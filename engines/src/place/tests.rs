//! Tests of where the engines keep their files.

use super::*;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn the_engines_folders_are_closed_to_others() {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("deep/data");
    let places = Places::prepare(&data, base.path(), None).unwrap();
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&places.folder("postgres").unwrap()), 0o700);
    std::fs::set_permissions(data.join("postgres"), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(mode(&places.folder("postgres").unwrap()), 0o700, "an opened folder is closed again");
}

#[test]
fn a_long_data_path_still_gets_a_short_socket_folder() {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("long".repeat(30));
    let places = Places::prepare(&data, base.path(), None).unwrap();
    let folder = places.socket_folder(Some(base.path())).unwrap();
    assert!(folder.as_os_str().len() <= SOCKET_FOLDER_BYTES_MAX, "{}", folder.display());
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(places.socket_folder(Some(base.path())).unwrap(), folder, "found again at the next start");
}

#[test]
fn somebody_elses_link_in_a_shared_folder_is_passed_by() {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("long".repeat(30));
    let places = Places::prepare(&data, base.path(), None).unwrap();
    let first = places.socket_folder(Some(base.path())).unwrap();
    std::fs::remove_dir(&first).unwrap();
    symlink("/", &first).unwrap();
    assert_ne!(places.socket_folder(Some(base.path())).unwrap(), first);
}

/// As root: an unreachable data folder sends the engines' files elsewhere, found again at the next start.
#[test]
fn a_folder_that_the_engines_user_cannot_reach_is_replaced_by_one_that_it_can() {
    let Some(account) = crate::account::engine_account().unwrap() else {
        // As a normal user the engines run as that user, who made the folder.
        return;
    };
    let (closed, open) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::set_permissions(open.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let data = closed.path().join("data");
    let places = Places::prepare(&data, open.path(), Some(account.clone())).unwrap();
    let folder = places.folder("postgres").unwrap();
    assert!(folder.starts_with(open.path()), "{}", folder.display());
    assert!(can_enter(&folder, &account));
    assert_eq!(std::fs::metadata(&folder).unwrap().uid(), account.uid);
    assert_eq!(data.join("postgres").canonicalize().unwrap(), folder.canonicalize().unwrap());

    let again = Places::prepare(&data, open.path(), Some(account.clone())).unwrap();
    assert_eq!(again.folder("postgres").unwrap(), folder);
    let other = Places::prepare(&closed.path().join("other"), open.path(), Some(account)).unwrap();
    assert_ne!(other.home, places.home, "two data folders share no files");
}
