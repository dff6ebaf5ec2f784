//! The health of the server, as probes of AHDS ask for it.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Server, folder, until};

const CHECK: &str = "/default/fhir/health/check";

fn check(server: &Server) -> Option<(u16, Value)> {
    let (status, body) = server.get(CHECK)?;
    Some((status, serde_json::from_str(&body).unwrap()))
}

fn status_of<'v>(told: &'v Value, part: &str) -> Option<&'v str> {
    told["details"].as_array()?.iter().find(|detail| detail["name"] == part)?["status"].as_str()
}

/// Lets an engine stand still until what is asked for is told, and go on.
fn standing_still(server: &Server, engine: &str, overall: &str, part: &str) -> u16 {
    let pid = Pid::from_raw(server.engine(engine).try_into().unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let told = std::panic::catch_unwind(|| {
        until("the engine is missed", || check(server).filter(|(_, told)| told["overallStatus"] == overall))
    });
    kill_process(pid, Signal::CONT).unwrap();
    let (status, told) = told.unwrap();
    assert_eq!(status_of(&told, part), Some(overall), "{told}");
    status
}

#[test]
fn probes_of_ahds_are_answered_by_the_real_checks() {
    let folder = folder();
    let server = Server::start(folder.path());
    server.wait_until_ready();
    let (status, well) = check(&server).unwrap();
    assert_eq!((status, &well["overallStatus"]), (200, &Value::from("Healthy")), "{well}");
    for detail in well["details"].as_array().unwrap() {
        assert_eq!(detail["status"], "Healthy", "{well}");
        assert!(detail["name"].is_string() && detail["description"].is_string(), "{well}");
    }
    assert_eq!(status_of(&well, "database"), Some("Healthy"));

    assert_eq!(standing_still(&server, "nats-server", "Degraded", "nats"), 200);
    until("all is well", || check(&server).filter(|(_, told)| told["overallStatus"] == "Healthy"));
    assert_eq!(standing_still(&server, "postgres", "Unhealthy", "database"), 503);
    until("all is well", || check(&server).filter(|(_, told)| told["overallStatus"] == "Healthy"));

    assert_eq!(server.get("/default/nosuch/health/check").unwrap().0, 404);
    let refused = server.exchange("POST", CHECK, "").unwrap();
    assert!(refused.starts_with("HTTP/1.1 405") && refused.contains("\r\nallow: GET\r\n"), "{refused}");
    server.stop();
}
