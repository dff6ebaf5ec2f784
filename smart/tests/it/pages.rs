//! The pages themselves: nothing that is shown can break them, everybody can use them, nothing of them is kept or framed.

use anamnesis_smart::{Client, NewUser, PatientShown, SmartOptions, Upstream};
use zeroize::Zeroizing;

use crate::support::browser::{Browser, PASSWORD, Page};
use crate::support::html::{Tag, tags};
use crate::support::{World, public, test, test_with};

/// What would break a page that it stood in as it is.
const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&lt;b&gt;`";

/// Every page that there is, with hostile text wherever there is text.
async fn all_pages(world: &World) -> Vec<Page> {
    let new = |name: &str| NewUser {
        name: name.into(),
        display: HOSTILE.into(),
        fhir_user: Some("Practitioner/1".into()),
        password: Some(Zeroizing::new(PASSWORD.to_owned())),
        ..NewUser::default()
    };
    let user = world.server.users().add(new("grete")).await.unwrap().id;
    world.host.set(|settings| {
        let text = || HOSTILE.to_owned();
        let patient = PatientShown {
            id: HOSTILE.into(),
            name: text(),
            birth_date: text(),
            gender: text(),
            identifier: text(),
        };
        settings.patients = (0..22).map(|_| (patient.clone(), false)).collect();
        settings.no_role.push(user);
    });
    let scope = "patient/*.rs user/*.rs break-glass openid launch/patient";
    let asked = [("scope", scope), ("state", HOSTILE), ("login_hint", HOSTILE), ("nonce", HOSTILE)];
    let mut browser = Browser::new(world);
    let first = browser.go(&world.asking(&asked)).await;
    let wrong = browser.submit(&first, "sign-in", &[("name", HOSTILE), ("password", HOSTILE)]).await;
    let emergency = browser.sign_in(&first, "grete").await;
    let short = browser.submit(&emergency, "emergency", &[("declare", "yes"), ("reason", "<b>\"'")]).await;
    let reason = [("declare", "yes"), ("reason", HOSTILE)];
    let picker = browser.submit(&emergency, "emergency", &reason).await;
    let none = browser.submit(&picker, "patient", &[("choose", "yes")]).await;
    let searched = browser.submit(&picker, "patient", &[("words", HOSTILE)]).await;
    let consent = browser.submit(&picker, "patient", &[("choose", "yes"), ("patient", HOSTILE)]).await;
    let nothing = browser.submit(&consent, "consent", &[("scope", "")]).await;
    let forbidden = browser.submit(&consent, "consent", &[("csrf", HOSTILE)]).await;
    let unknown = browser.go(&world.asking(&[("client_id", HOSTILE)])).await;
    let ask = browser.go("/auth/sign-out").await;
    let done = browser.submit(&ask, "sign-out", &[]).await;
    for (page, heading) in [
        (&first, "Sign in"),
        (&wrong, "Sign in"),
        (&short, "Emergency access"),
        (&none, "Choose a patient"),
        (&searched, "Choose a patient"),
        (&consent, "Let this app in?"),
        (&nothing, "Let this app in?"),
        (&ask, "Sign out"),
        (&done, "You are signed out"),
    ] {
        page.is(page.status, heading);
    }
    vec![
        first, wrong, emergency, short, picker, none, searched, consent, nothing, forbidden, unknown, ask,
        done,
    ]
}

fn hostile(options: &mut SmartOptions) {
    options.clients = vec![client()];
    options.upstream = Some(Upstream::new(HOSTILE, "https://idp.example", "rp"));
}

fn client() -> Client {
    let client_uri = Some(url::Url::parse("https://app.example/?a=%22'%3Cb%3E&b").unwrap());
    Client { name: HOSTILE.into(), client_uri, ..public() }
}

#[test]
fn nothing_that_is_shown_breaks_a_page() {
    const KNOWN: [&str; 29] = [
        "!doctype", "html", "head", "meta", "title", "link", "body", "main", "h1", "h2", "p", "div", "form",
        "input", "label", "button", "fieldset", "legend", "footer", "bdi", "strong", "code", "a", "ul", "li",
        "dl", "dt", "dd", "textarea",
    ];
    test_with(hostile, |world| async move {
        let mut shown = 0;
        for page in all_pages(&world).await {
            for tag in tags(&page.text) {
                let name = tag.name.trim_start_matches('/');
                assert!(KNOWN.contains(&name), "<{name}> on {}", page.words());
                let has_script = |(name, value): &(String, String)| {
                    name.starts_with("on") || name == "style" || value.starts_with("javascript:")
                };
                assert!(!tag.attributes.iter().any(has_script), "{tag:?}");
                shown += usize::from(tag.text.contains(HOSTILE) || tag.attribute("value") == Some(HOSTILE));
            }
        }
        assert!(shown > 100, "it is shown as it is: {shown}");
    });
}

#[test]
fn everybody_can_use_the_pages() {
    test_with(hostile, |world| async move {
        for page in all_pages(&world).await {
            let tags = tags(&page.text);
            let of = |name: &str| tags.iter().filter(|tag| tag.name == name).collect::<Vec<_>>();
            assert_eq!(of("h1").len(), 1);
            assert_eq!(of("html")[0].attribute("lang"), Some("en"));
            assert_eq!((of("main").len(), of("title").len()), (1, 1));
            assert!(
                of("meta")
                    .iter()
                    .any(|tag| tag.attribute("content") == Some("width=device-width, initial-scale=1"))
            );
            check_labels(&tags);
            check_ids(&tags);
            let problem = tags.iter().find(|tag| tag.attribute("id") == Some("problem"));
            let has_link = tags.iter().any(|tag| tag.attribute("aria-describedby") == Some("problem"));
            let title = &of("title")[0].text;
            assert_eq!(problem.is_some(), title.starts_with("Error: "), "{title}");
            assert!(problem.is_none() || has_link, "a problem stands at its field");
            // Nothing needs a pointer: what can be pressed are buttons and links, in the order of reading.
            assert!(tags.iter().all(|tag| tag.attribute("tabindex").is_none_or(|index| index == "-1")));
            assert!(
                of("button")
                    .iter()
                    .all(|tag| tag.attribute("type") == Some("submit") && !tag.text.is_empty())
            );
        }
    });
}

/// Each field has a label that names it; fields in groups have a legend.
fn check_labels(tags: &[Tag]) {
    let fields = tags.iter().filter(|tag| {
        ["input", "textarea", "select"].contains(&tag.name.as_str())
            && tag.attribute("type") != Some("hidden")
    });
    for field in fields {
        let id = field.attribute("id").unwrap_or_else(|| panic!("a field without id: {field:?}"));
        let labels = tags.iter().filter(|tag| tag.name == "label" && tag.attribute("for") == Some(id));
        assert_eq!(labels.count(), 1, "{id}");
    }
    let count = |name: &str| tags.iter().filter(|tag| tag.name == name).count();
    assert_eq!(count("fieldset"), count("legend"));
}

/// Ids are unique, and whatever is referred to is there.
fn check_ids(tags: &[Tag]) {
    let ids: Vec<&str> = tags.iter().filter_map(|tag| tag.attribute("id")).collect();
    let unique: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), unique.len(), "{ids:?}");
    let anchors = tags.iter().filter_map(|tag| tag.attribute("href")?.strip_prefix('#'));
    let described = tags.iter().filter_map(|tag| tag.attribute("aria-describedby"));
    for referred in anchors.chain(described) {
        assert!(ids.contains(&referred), "{referred}");
    }
}

#[test]
fn nothing_is_kept_framed_or_told_elsewhere() {
    test(|world| async move {
        let pages = all_pages(&world).await;
        for page in &pages {
            let header =
                |name: &str| page.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default();
            assert_eq!(header("cache-control"), "no-store");
            assert_eq!(header("referrer-policy"), "no-referrer");
            assert_eq!(header("x-content-type-options"), "nosniff");
            assert_eq!(header("x-frame-options"), "DENY");
            assert_eq!(header("content-type"), "text/html; charset=utf-8");
            let policy = header("content-security-policy");
            for part in
                ["default-src 'none'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
            {
                assert!(policy.contains(part), "{policy}");
            }
            assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
            let forms = policy.split("form-action ").nth(1).unwrap().split(';').next().unwrap();
            assert!(["'self'", "'self' https://app.example"].contains(&forms), "{forms}");
        }
        let style = tags(&pages[0].text).into_iter().find(|tag| tag.name == "link").unwrap();
        let mut browser = Browser::new(&world);
        let style = browser.go(style.attribute("href").unwrap()).await;
        assert_eq!(
            (style.status, style.headers["content-type"].to_str().unwrap()),
            (200, "text/css; charset=utf-8")
        );
        assert!(!style.text.contains("url(") && !style.text.contains("@import"));
    });
}

#[test]
fn an_app_on_the_device_is_answered_by_its_scheme() {
    let native = Client { redirect_uris: vec!["com.example.app:/callback".into()], ..public() };
    test_with(
        |options| options.clients = vec![native],
        |world| async move {
            let mut browser = Browser::new(&world);
            let page = browser.go(&world.asking(&[("redirect_uri", "com.example.app:/callback")])).await;
            let policy = page.headers["content-security-policy"].to_str().unwrap();
            assert!(policy.contains("form-action 'self' com.example.app:;"), "{policy}");
            let page = browser.submit(&page, "cancel", &[]).await;
            assert!(page.location().unwrap().starts_with("com.example.app:/callback?error=access_denied&"));
        },
    );
}
