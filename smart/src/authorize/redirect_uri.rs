//! Whether an address is one at which a client may be answered.

/// The hosts of the machine itself, whose port is free (RFC 8252 section 7.3). `localhost` is none of them: it may be resolved to
/// somewhere else (section 8.3).
const LOOPBACK: [&str; 2] = ["http://127.0.0.1", "http://[::1]"];

/// Whether it is one of the registered ones: compared as text (RFC 9700 section 4.1.3), but for the port of loopback addresses.
pub(crate) fn is_registered(asked: &str, registered: &[String]) -> bool {
    registered.iter().any(|known| {
        let is_loopback = || without_port(asked).is_some_and(|asked| without_port(known) == Some(asked));
        asked == known || is_loopback()
    })
}

/// A loopback address as its host, and what stands after the port.
fn without_port(address: &str) -> Option<(&'static str, &str)> {
    let (host, rest) = LOOPBACK.iter().find_map(|host| Some((*host, address.strip_prefix(host)?)))?;
    let rest = match rest.strip_prefix(':') {
        Some(with_port) => {
            let end =
                with_port.find(|character: char| !character.is_ascii_digit()).unwrap_or(with_port.len());
            let (port, rest) = with_port.split_at_checked(end)?;
            port.parse::<u16>().ok().filter(|port| *port != 0)?;
            rest
        }
        None => rest,
    };
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((host, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_as_text() {
        let registered = ["https://app.example.org/cb".to_owned()];
        assert!(is_registered("https://app.example.org/cb", &registered));
        for other in [
            "https://app.example.org/cb/",
            "https://app.example.org/cb?x=1",
            "https://app.example.org/cb#x",
            "https://app.example.org:443/cb",
            "https://APP.example.org/cb",
            "https://app.example.org/cb/../other",
            "https://app.example.org.evil.example/cb",
            "http://app.example.org/cb",
            "",
        ] {
            assert!(!is_registered(other, &registered), "{other}");
        }
    }

    #[test]
    fn the_port_of_the_machine_itself_is_free() {
        let registered = ["http://127.0.0.1/cb".to_owned(), "http://[::1]:1/cb".to_owned()];
        assert!(is_registered("http://127.0.0.1:4711/cb", &registered));
        assert!(is_registered("http://127.0.0.1/cb", &registered));
        assert!(is_registered("http://[::1]:65535/cb", &registered));
        for other in [
            "http://127.0.0.1:4711/other",
            "http://127.0.0.1:4711@evil.example/cb",
            "http://127.0.0.1:0/cb",
            "http://127.0.0.1:65536/cb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1.evil.example/cb",
            "https://127.0.0.1:4711/cb",
            "http://localhost:4711/cb",
            "http://127.0.0.1:4711",
        ] {
            assert!(!is_registered(other, &registered), "{other}");
        }
        assert!(!is_registered("http://localhost:4711/cb", &["http://localhost/cb".to_owned()]));
    }
}
