//! Tests of the unpacking: whole, once, and not outside the folder.

use super::*;

/// A wheel with a deflated program, a stored text and a header file, made by Python's `zipfile`.
const WHEEL: &[u8] = include_bytes!("../tests/small.whl");
const DIGEST: &str = "4dbe5b5b91d05a21e1972b5024aa900dba6b4f3036be611fcd94a63ef4064a7d";

fn wheel(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.whl");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn a_wheel_is_unpacked_with_its_modes_and_without_headers() {
    let (folder, path) = wheel(WHEEL);
    let target = folder.path().join("deep/out");
    unpack(&path, DIGEST, &target).unwrap();
    let program = target.join("pkg/bin/program");
    assert_eq!(fs::read_to_string(&program).unwrap(), "#!/bin/sh\n".to_owned() + &"echo hello\n".repeat(100));
    assert_eq!(fs::metadata(&program).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_to_string(target.join("pkg/text")).unwrap(), "stored");
    assert!(!target.join("pkg/include").exists());
    unpack(&path, "a digest that nobody looks at", &target).unwrap();
    assert_eq!(fs::read_dir(folder.path().join("deep")).unwrap().count(), 1, "nothing unfinished is left");
}

#[test]
fn another_digest_is_refused_and_nothing_is_written() {
    let (folder, path) = wheel(WHEEL);
    let target = folder.path().join("out");
    let message = unpack(&path, &"0".repeat(64), &target).unwrap_err().to_string();
    assert!(message.contains(DIGEST), "{message}");
    assert!(!target.exists());
}

#[test]
fn damaged_archives_are_refused_and_never_panic() {
    for cut in 0..WHEEL.len() {
        assert!(zip::entries(&WHEEL[..cut]).is_err(), "{cut}");
    }
    for at in 0..WHEEL.len() {
        let mut bytes = WHEEL.to_vec();
        bytes[at] ^= 0xff;
        let entries = zip::entries(&bytes).unwrap_or_default();
        for entry in entries {
            let _ = entry.content(&bytes);
        }
    }
}

#[test]
fn many_at_once_do_not_disturb_each_other() {
    let (folder, path) = wheel(WHEEL);
    let target = folder.path().join("out");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| unpack(&path, DIGEST, &target).unwrap());
        }
    });
    assert!(target.join("pkg/text").is_file());
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    for name in ["../x", "/etc/passwd", "a/../../b", "a//b", "a\\b", "."] {
        assert!(safe(name).is_err(), "{name}");
    }
    safe("a/b-1.0.data/scripts/c").unwrap();
}
