//! `/metadata`: what the service can do (R4 http.html section 3.1.0.10).

use super::call::Call;
use super::reply::Reply;
use crate::error::Failure;
pub(crate) fn capabilities(_call: &Call) -> Result<Reply, Failure> {
    Ok(Reply::ok(&b"{}"[..]))
}
