//! Takes the port, or says who is in the way.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

/// Why the address cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListenError {
    #[error(
        "port {port} on {ip} is already in use; stop the other program, or choose another port, \
         for example --listen {ip}:{other} (port 0 takes any free one)",
        port = .0.port(), ip = bracketed(.0), other = .0.port().checked_add(1).unwrap_or(8080)
    )]
    InUse(SocketAddr),
    #[error("port {} needs rights that this user does not have; choose one above 1023 with --listen", .0.port())]
    Forbidden(SocketAddr),
    #[error("{} is not an address of this machine; choose another with --listen", .0.ip())]
    NotOurs(SocketAddr),
    #[error("cannot listen on {address}: {source}")]
    Other { address: SocketAddr, source: std::io::Error },
}

pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).map_err(|source| match source.kind() {
        ErrorKind::AddrInUse => ListenError::InUse(address),
        ErrorKind::PermissionDenied => ListenError::Forbidden(address),
        ErrorKind::AddrNotAvailable => ListenError::NotOurs(address),
        _ => ListenError::Other { address, source },
    })
}

fn bracketed(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_a_way_out() {
        let taken = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = taken.local_addr().unwrap();
        let message = bind(address).unwrap_err().to_string();
        let next = address.port() + 1;
        assert!(
            message.starts_with(&format!("port {} on 127.0.0.1 is already in use", address.port())),
            "{message}"
        );
        assert!(message.contains(&format!("--listen 127.0.0.1:{next}")), "{message}");
    }

    #[test]
    fn somebody_elses_address_is_named() {
        let message = bind("192.0.2.1:8080".parse().unwrap()).unwrap_err().to_string();
        assert!(message.starts_with("192.0.2.1 is not an address of this machine"), "{message}");
    }
}
