//! Which user the engines run as: never root.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::EngineError;

/// The users that a root server runs its engines as, in the order of preference.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The user to run the engines as, or `None` for "the user that we are".
///
/// # Errors
/// `NoAccount` when this is root and no other user is known.
pub(crate) fn engine_account() -> Result<Option<Account>, EngineError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    CANDIDATES.iter().find_map(|name| find(&users, name)).map(Some).ok_or(EngineError::NoAccount)
}

/// The user id that will own the engines' files.
pub(crate) fn owner(account: Option<&Account>) -> u32 {
    account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid)
}

/// Whether `account` may enter `folder`: asked of the kernel, not worked out from the modes.
pub(crate) fn can_enter(folder: &Path, account: &Account) -> bool {
    Command::new("/bin/sh")
        .args(["-c", "cd -- \"$1\"", "sh"])
        .arg(folder)
        .current_dir("/")
        .uid(account.uid)
        .gid(account.gid)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Finds a user in the text of `/etc/passwd`. Root under another name does not count.
fn find(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (uid != 0).then(|| Account { name: name.to_owned(), uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\npostgresql:x:7:7::/:/bin/sh\n\
                         postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n\
                         toor:x:0:0::/:/bin/sh\n";

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let found = find(USERS, "postgres").unwrap();
        assert_eq!(found, Account { name: "postgres".into(), uid: 101, gid: 104 });
    }

    #[test]
    fn unknown_users_and_other_names_of_root_are_refused() {
        assert_eq!(find(USERS, "nobody"), None);
        assert_eq!(find(USERS, "toor"), None);
    }
}
