//! The style sheet of the pages: readable at 320 pixels, with contrast of 7:1 and more for text (WCAG 2.2, 1.4.6).

/// The style sheet.
pub(crate) const STYLE: &str = r#":root { color-scheme: light; }
* { box-sizing: border-box; }
body {
  margin: 0; padding: 1rem; background: #f3f4f6; color: #16191d;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere;
}
main { max-width: 36rem; margin: 0 auto; padding: 1.25rem; background: #fff; border: 1px solid #767b84; border-radius: 6px; }
footer { max-width: 36rem; margin: 0 auto; padding: 0 1.25rem; color: #3d434b; }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.25; }
h2 { margin: 0 0 .5rem; font-size: 1.125rem; }
a { color: #0a3f73; }
label, legend, dt { font-weight: 600; }
dd { margin: 0 0 .75rem; }
input[type=text], input[type=password], input[type=search], textarea {
  display: block; width: 100%; margin-top: .25rem; padding: .5rem; min-height: 2.75rem;
  font: inherit; color: inherit; background: #fff; border: 2px solid #16191d; border-radius: 4px;
}
fieldset { margin: 0 0 1rem; padding: .5rem 1rem; border: 1px solid #767b84; border-radius: 4px; min-width: 0; }
.choice { display: flex; gap: .75rem; align-items: flex-start; margin: .5rem 0; }
.choice input { flex: none; width: 1.5rem; height: 1.5rem; margin: 0; }
.choice label { font-weight: 400; }
code { font-size: .875rem; color: #3d434b; }
button, a.button {
  display: inline-block; min-height: 2.75rem; padding: .5rem 1rem; font: inherit; font-weight: 600; border-radius: 4px; cursor: pointer;
  color: #fff; background: #0a3f73; border: 2px solid #0a3f73;
}
button.second, a.button { color: #0a3f73; background: #fff; }
button.danger { background: #8c1616; border-color: #8c1616; }
button.quiet { color: #0a3f73; background: #fff; border-color: #fff; text-decoration: underline; padding: .5rem 0; text-align: left; }
:focus-visible { outline: 3px solid #8a3b00; outline-offset: 2px; }
.problem { margin-bottom: 1rem; padding: 1rem; border: 3px solid #8c1616; border-radius: 4px; }
.problem a { color: #8c1616; font-weight: 600; }
.problem p { margin: 0; }
[aria-invalid=true] { border-color: #8c1616; }
.warning { padding: .75rem 1rem; border-left: 6px solid #8c1616; background: #fdf2f2; }
.account { margin-bottom: 0; padding-top: 1rem; border-top: 1px solid #767b84; color: #3d434b; }
@media (prefers-contrast: more) { main, fieldset { border-color: #000; } }
"#;
