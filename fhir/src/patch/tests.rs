//! Patches: what each operation does to the bytes, what is refused, and what no input may do.

mod fhirpath;
mod json;
mod properties;

use super::*;

fn document(text: &str) -> Document {
    Document::parse(text, &Limits::default()).unwrap()
}

fn patched(patch: &Result<Patch, PatchError>, text: &str) -> Result<String, PatchError> {
    let patched = patch.clone()?.apply(&document(text))?;
    Ok(patched.text().to_owned())
}
