//! `/metadata`: what the service can do (R4 http.html section 3.1.0.10).

use super::answer::Answer;
use super::call::Call;
use crate::error::Failure;
pub(crate) fn capabilities(_call: &Call) -> Result<Answer, Failure> {
    Ok(Answer::ok(&b"{}"[..]))
}
