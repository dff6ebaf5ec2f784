//! XML in and out: what each construct becomes, what is refused and where, and that nothing is lost.

use proptest::prelude::*;

use super::*;
use crate::json::{Document, Limits, quote};

fn json(xml: &str) -> String {
    String::from_utf8(to_json(xml.as_bytes(), &Limits::default()).unwrap()).unwrap()
}

fn patient(content: &str) -> String {
    format!(r#"<Patient xmlns="http://hl7.org/fhir">{content}</Patient>"#)
}

fn fault(xml: &str) -> XmlError {
    to_json(xml.as_bytes(), &Limits::default()).unwrap_err()
}

fn xml(json: &str) -> String {
    let document = Document::parse(json, &Limits::default()).unwrap();
    String::from_utf8(to_xml(document.root(), Layout::Compact).unwrap()).unwrap()
}

/// Both ways: the pair is one resource.
fn is_pair(content: &str, members: &str) {
    let (in_xml, in_json) = (patient(content), format!(r#"{{"resourceType":"Patient",{members}}}"#));
    assert_eq!(json(&in_xml), in_json);
    assert_eq!(xml(&in_json), format!(r#"<?xml version="1.0" encoding="UTF-8"?>{in_xml}"#));
}

#[test]
fn primitives_keep_their_literals() {
    is_pair(r#"<id value="1"/><active value="true"/>"#, r#""id":"1","active":true"#);
    is_pair(r#"<multipleBirthInteger value="-3"/>"#, r#""multipleBirthInteger":-3"#);
    let extension =
        |value: &str| format!(r#"<extension url="u"><valueDecimal value="{value}"/></extension>"#);
    for literal in ["1.10", "0.0", "-0", "1e2", "1E+2", "187e0", "100000000000000000000.000"] {
        let member = format!(r#""extension":[{{"url":"u","valueDecimal":{literal}}}]"#);
        is_pair(&extension(literal), &member);
    }
}

#[test]
fn lists_are_arrays_and_primitives_have_companions() {
    is_pair(
        r#"<name><family value="a"/><given value="b"/><given value="c"/></name><name><text value="d"/></name>"#,
        r#""name":[{"family":"a","given":["b","c"]},{"text":"d"}]"#,
    );
    is_pair(
        r#"<name><given value="b"/><given id="2"><extension url="u"><valueCode value="x"/></extension></given></name>"#,
        r#""name":[{"given":["b",null],"_given":[null,{"id":"2","extension":[{"url":"u","valueCode":"x"}]}]}]"#,
    );
    is_pair(
        r#"<birthDate value="1970"><extension url="u"><valueCode value="x"/></extension></birthDate>"#,
        r#""birthDate":"1970","_birthDate":{"extension":[{"url":"u","valueCode":"x"}]}"#,
    );
    is_pair(
        r#"<name><given id="a"/><given id="b"/></name>"#,
        r#""name":[{"_given":[{"id":"a"},{"id":"b"}]}]"#,
    );
    is_pair(r#"<name id="n"><text id="t"/></name>"#, r#""name":[{"id":"n","_text":{"id":"t"}}]"#);
}

#[test]
fn extensions_and_contained_resources_are_where_json_has_them() {
    is_pair(
        r#"<extension id="i" url="outer"><extension url="inner"><valueString value="x"/></extension></extension>"#,
        r#""extension":[{"id":"i","extension":[{"url":"inner","valueString":"x"}],"url":"outer"}]"#,
    );
    is_pair(
        r##"<contained><Organization><id value="o"/><name value="x"/></Organization></contained><managingOrganization><reference value="#o"/></managingOrganization>"##,
        r##""contained":[{"resourceType":"Organization","id":"o","name":"x"}],"managingOrganization":{"reference":"#o"}"##,
    );
    let bundle = r#"<Bundle xmlns="http://hl7.org/fhir"><type value="collection"/><entry><fullUrl value="urn:x"/><resource><Patient xmlns="http://hl7.org/fhir"><active value="false"/></Patient></resource></entry></Bundle>"#;
    let expected = r#"{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:x","resource":{"resourceType":"Patient","active":false}}]}"#;
    assert_eq!(json(bundle), expected);
    assert_eq!(json(&xml(expected)), expected);
    let parameters = r#"<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="p"/><resource><Patient><active value="true"/></Patient></resource></parameter></Parameters>"#;
    assert!(json(parameters).contains(r#"{"name":"p","resource":{"resourceType":"Patient","active":true}}"#));
}

#[test]
fn an_element_named_resource_type_is_no_marker() {
    let scenario = r#"<ExampleScenario xmlns="http://hl7.org/fhir"><status value="draft"/><instance><resourceId value="i"/><resourceType value="Patient"/></instance></ExampleScenario>"#;
    let expected = r#"{"resourceType":"ExampleScenario","status":"draft","instance":[{"resourceId":"i","resourceType":"Patient"}]}"#;
    assert_eq!(json(scenario), expected);
    assert!(xml(expected).ends_with(scenario));
}

#[test]
fn white_space_and_letters_of_values_are_kept() {
    let text = " a\tb\r\nc\u{a0}ä€𝄞 \"'<&> ";
    let members = format!(r#""name":[{{"text":{}}}]"#, String::from_utf8(quote(text)).unwrap());
    is_pair("<name><text value=\" a&#x9;b&#xD;&#xA;c\u{a0}ä€𝄞 &quot;'&lt;&amp;&gt; \"/></name>", &members);
    // What stands plainly in an attribute is a space to every reader of XML (XML 1.0 section 3.3.3).
    assert!(json(&patient("<name><text value='a\nb\r\nc\td&#65;'/></name>")).contains(r#""a b c dA""#));
}

#[test]
fn the_narrative_is_kept_to_the_byte() {
    let div = "<div xmlns=\"http://www.w3.org/1999/xhtml\"  class='x' >a &amp; &#xA0; <br/>\n <!-- kept --><b >ä</b></div>";
    let quoted = String::from_utf8(quote(div)).unwrap();
    is_pair(
        &format!(r#"<text><status value="generated"/>{div}</text>"#),
        &format!(r#""text":{{"status":"generated","div":{quoted}}}"#),
    );
}

#[test]
fn prefixes_are_understood_and_taken_away() {
    let text = r#"<f:Patient xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><f:text><f:status value="generated"/><h:div><h:p title='"'>x<h:br/></h:p></h:div></f:text></f:Patient>"#;
    let expected = r#"<div xmlns="http://www.w3.org/1999/xhtml"><p title="&quot;">x<br/></p></div>"#;
    let quoted = String::from_utf8(quote(expected)).unwrap();
    let expected = format!(r#"{{"resourceType":"Patient","text":{{"status":"generated","div":{quoted}}}}}"#);
    assert_eq!(json(text), expected);
}

#[test]
fn what_surrounds_the_resource_is_passed_over() {
    let text = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- x -->\n{}\n<!-- y -->",
        r#"<Patient xmlns="http://hl7.org/fhir" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir ../patient.xsd"> <!-- z --> <active value="true" > </active></Patient>"#
    );
    assert_eq!(json(&text), r#"{"resourceType":"Patient","active":true}"#);
}

#[test]
fn members_out_of_order_are_sorted_on_the_way_out() {
    let text =
        r#"{"_birthDate":{"id":"b"},"active":true,"birthDate":"1970","id":"1","resourceType":"Patient"}"#;
    assert_eq!(
        json(&xml(text)),
        r#"{"resourceType":"Patient","id":"1","active":true,"birthDate":"1970","_birthDate":{"id":"b"}}"#
    );
}

#[test]
fn indented_xml_has_the_same_content() {
    let text = r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>x</p></div>"},"contained":[{"resourceType":"Device","id":"d"}],"name":[{"given":["b"]}]}"#;
    let document = Document::parse(text, &Limits::default()).unwrap();
    let indented = String::from_utf8(to_xml(document.root(), Layout::Indented).unwrap()).unwrap();
    assert!(indented.contains("\n  <name>\n    <given value=\"b\"/>\n  </name>\n</Patient>"), "{indented}");
    assert!(indented.contains("\n    <div xmlns=\"http://www.w3.org/1999/xhtml\"><p>x</p></div>\n"));
    assert_eq!(json(&indented), text);
}

#[test]
fn faults_say_what_and_where() {
    let error =
        fault("<Patient xmlns=\"http://hl7.org/fhir\">\n  <name>\n    <given value=\"\"/></name></Patient>");
    assert_eq!((error.line, error.column, error.path.as_str()), (3, 5, "Patient.name[0].given[0]"));
    assert_eq!(
        error.to_string(),
        "the value must not be empty; leave the element out instead at line 3, column 5 (Patient.name[0].given[0])"
    );
    for (content, expected) in [
        ("<name><family value='a'/></name><active value='true'/>", "'active' must stand before 'name'"),
        ("<active value='true'/><active value='true'/>", "cannot repeat"),
        ("<nonsense value='1'/>", "no element 'nonsense'"),
        ("<_active/>", "no element '…'"),
        ("<value value='1'/>", "no element 'value'"),
        ("<name><id value='1'/></name>", "no element 'id'"),
        ("<extension><url value='1'/></extension>", "no element 'url'"),
        ("<active/>", "neither a value nor children"),
        ("<name/>", "neither a value nor children"),
        ("<active value='yes'/>", "must be true or false"),
        ("<multipleBirthInteger value='+1'/>", "must be a number"),
        ("<multipleBirthInteger value='01'/>", "must be a number"),
        ("<active value='true' other='x'/>", "no such attribute"),
        ("<name value='x'/>", "no such attribute"),
        ("<name url='x'/>", "no such attribute"),
        ("<active xml:lang='x' value='true'/>", "no such attribute"),
        ("<contained/>", "exactly one resource"),
        ("<contained><Device><id value='1'/></Device><Device/></contained>", "exactly one resource"),
        ("<contained><Nothing/></contained>", "'Nothing' is no resource type"),
        ("<active value='true'>x</active>", "text between elements"),
        ("<active value='true'>&amp;</active>", "text between elements"),
        ("<![CDATA[x]]>", "CDATA"),
        ("<?php x ?>", "processing instructions"),
        ("<x:active xmlns:x='other' value='true'/>", "not of the namespace http://hl7.org/fhir"),
        ("<text><status value='generated'/><div>x</div></text>", "not of the namespace http://www.w3.org"),
        ("<active value='true' value='true'/>", "stands twice"),
        ("<active value=true/>", "malformed"),
        ("<active value='&nope;'/>", "a reference that is not known"),
        ("<active value='a & b'/>", "a reference that is not known"),
        ("<name><text value='&#0;'/></name>", "a reference that is not known"),
        ("<name><text value='\u{1}'/></name>", "a character that XML does not allow"),
        ("<name><text value='\u{ffff}'/></name>", "a character that XML does not allow"),
        ("<name><text value='a<b'/></name>", "'<' in an attribute"),
        ("<name></nome>", "does not match its start tag"),
        ("<!-- a -- b -->", "'--' in a comment"),
    ] {
        let error = fault(&patient(content)).to_string();
        assert!(error.contains(expected), "{content}: {error}");
    }
}

/// The faults of a text, each as kind of its message and path.
fn faults(content: &str) -> Faults {
    read(patient(content).as_bytes(), &Limits::default()).unwrap_err()
}

#[test]
fn all_faults_are_told_at_once_with_what_could_be_read() {
    let div = "<div xmlns='http://www.w3.org/1999/xhtml'><x:b xmlns:x='other'/></div>";
    let found = faults(&format!(
        "<nonsense><deep>text<!-- x --></deep></nonsense><text><status value='generated'/>{div}</text>
         <contained><Nothing><id value='1'/></Nothing></contained><contained/>
         <contained><Device><id value='1'/></Device><Device/></contained>
         <extension url='u'><valueInteger value='x'/></extension>
         <identifier><nonsense value='1'/></identifier>
         <active value='yes' more='x' other='x'/><active value='true'/>
         <name><given value='a'/><given/><family value='b'/><given value='c'/></name>
         <gender value='male'/><birthDate>1970<!-- x -->-01</birthDate>
         <deceasedBoolean value=''/><name><text value='d'/></name><multipleBirthInteger value='2'/>"
    ));
    let told: Vec<String> = found
        .list
        .iter()
        .map(|fault| {
            let text = fault.to_string();
            format!("{} {}", fault.path, text.split(" at line").next().unwrap())
        })
        .collect();
    let expected = [
        "Patient there is no element 'nonsense' here",
        "Patient.text.div the element is not of the namespace http://www.w3.org/1999/xhtml",
        "Patient.contained[0] 'Nothing' is no resource type of R4",
        "Patient.contained[1] the element must hold exactly one resource",
        "Patient.contained[2] the element must hold exactly one resource",
        "Patient.extension[0].valueInteger the value must be a number like -1.50 or 2e3",
        "Patient.identifier[0] there is no element 'nonsense' here",
        "Patient.active there is no such attribute here; R4 has value, id, and url of extensions",
        "Patient.active the value must be true or false",
        "Patient.active the element cannot repeat",
        "Patient.name[0].given[1] the element has neither a value nor children",
        "Patient.name[0] 'family' must stand before 'given'",
        "Patient.birthDate FHIR does not allow text between elements",
        "Patient.deceasedBoolean the value must not be empty; leave the element out instead",
        "Patient 'name' must stand before 'deceasedBoolean'",
    ];
    assert_eq!(told, expected);
    assert!(found.list.windows(2).all(|pair| pair[0].offset <= pair[1].offset));
    let json = String::from_utf8(found.json.clone().unwrap()).unwrap();
    let members = r#""text":{"status":"generated","div":null},"contained":[null,null,{"resourceType":"Device","id":"1"}],"extension":[{"url":"u","valueInteger":null}],"identifier":[{}],"active":null,"name":[{"given":["a",null],"family":"b"}],"gender":"male","birthDate":null,"deceasedBoolean":null,"multipleBirthInteger":2"#;
    assert_eq!(json, format!(r#"{{"resourceType":"Patient",{members}}}"#));
    for (expression, is_covered) in [
        ("Patient", false),
        ("Patient.name[0]", false),
        ("Patient.name[0].given[1]", true),
        ("Patient.name[0].given[10]", false),
        ("Patient.contained[0].id", true),
        ("Patient.identifier[0]", true),
        ("Patient.activeX", false),
    ] {
        assert_eq!(found.cover(expression), is_covered, "{expression}");
    }
}

#[test]
fn faults_have_a_bound_and_end_where_the_text_is_no_xml() {
    let found = faults(&"<nonsense/><other/>".repeat(100));
    assert_eq!((found.list.len(), found.beyond, found.json), (100, 100, None));
    let found = faults("<nonsense/><active value='x'></wrong>");
    assert_eq!((found.list.len(), found.beyond, found.json), (3, 0, None));
    assert!(found.list[2].to_string().contains("does not match"), "{:?}", found.list);
}

#[test]
fn what_is_no_fhir_xml_is_refused() {
    for (text, expected) in [
        ("", "there is no element"),
        ("x", "text between elements"),
        ("<Patient/>", "not of the namespace"),
        ("<Patient xmlns='http://hl7.org/fhir'>", "an element is not closed"),
        ("<Patient xmlns='http://hl7.org/fhir'/><Patient/>", "something behind the resource"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><Patient xmlns='http://hl7.org/fhir'/>", "document types"),
        ("<?xml version='1.1'?><Patient xmlns='http://hl7.org/fhir'/>", "another version"),
        ("<?xml version='1.0' encoding='latin1'?><Patient xmlns='http://hl7.org/fhir'/>", "not UTF-8"),
        (" <?xml version='1.0'?><Patient xmlns='http://hl7.org/fhir'/>", "behind the beginning"),
        ("<HumanName xmlns='http://hl7.org/fhir'/>", "no resource type"),
    ] {
        let error = fault(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert_eq!(to_json(b"\xff", &Limits::default()).unwrap_err().kind, XmlErrorKind::NotUtf8);
}

#[test]
fn bounds_hold() {
    let deep = format!("{}{}", "<extension url='u'>".repeat(101), "</extension>".repeat(101));
    assert_eq!(fault(&patient(&deep)).kind, XmlErrorKind::TooDeep);
    let deep = "<extension url='u'>".repeat(1_000_000);
    assert_eq!(fault(&patient(&deep)).kind, XmlErrorKind::TooDeep);
    let div = format!("<text><div xmlns='http://www.w3.org/1999/xhtml'>{}", "<b>".repeat(1_000_000));
    assert_eq!(fault(&patient(&div)).kind, XmlErrorKind::TooDeep);
    let many: String = (0..100_000).map(|number| format!(" a{number}=''")).collect();
    let div = format!("<text><div xmlns='http://www.w3.org/1999/xhtml'><b{many}/></div></text>");
    assert_eq!(fault(&patient(&div)).kind, XmlErrorKind::TooManyAttributes);
    let many: String = (0..100_000).map(|number| format!(" xmlns:a{number}='x'")).collect();
    assert_eq!(fault(&patient(&format!("<active{many}/>"))).kind, XmlErrorKind::TooManyAttributes);
    let small = Limits { bytes_max: 10, ..Limits::default() };
    assert_eq!(to_json(patient("").as_bytes(), &small).unwrap_err().kind, XmlErrorKind::TooLong);
}

#[test]
fn what_xml_cannot_hold_is_told() {
    for (members, expected) in [
        (r#""name":[{"text":"\uffff"}]"#, "a character that XML does not allow (Patient.name[0].text)"),
        (r#""text":{"div":"x"}"#, "the narrative is not well-formed XHTML (Patient.text.div)"),
        (
            r#""extension":[{"url":"u","_url":{"id":"x"}}]"#,
            "XML has no place for extensions of an attribute (Patient.extension[0])",
        ),
        (r#""nonsense":1"#, "a member that R4 does not know (Patient)"),
        (r#""active":"true""#, "the value is of the wrong kind (Patient.active)"),
        (r#""name":{}"#, "a list is expected (Patient.name)"),
        (r#""contained":[{"resourceType":"X"}]"#, "this is no resource of R4 (Patient.contained[0])"),
    ] {
        let text = format!(r#"{{"resourceType":"Patient",{members}}}"#);
        let document = Document::parse(text, &Limits::default()).unwrap();
        let error = to_xml(document.root(), Layout::Compact).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

/// Pieces of XML, so that random texts come far into the reader.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<Patient xmlns=\"http://hl7.org/fhir\">".to_owned()),
        Just("</Patient>".to_owned()),
        Just("<name>".to_owned()),
        Just("</name>".to_owned()),
        Just("<given value='a'/>".to_owned()),
        Just("<given value='b'>".to_owned()),
        Just("</given>".to_owned()),
        Just("<extension url='u'>".to_owned()),
        Just("</extension>".to_owned()),
        Just("<contained><Device>".to_owned()),
        Just("</Device></contained>".to_owned()),
        Just("<text><div xmlns='http://www.w3.org/1999/xhtml'>".to_owned()),
        Just("</div></text>".to_owned()),
        "[<>&;'\"=/!\\[\\]? a\u{a0}-]{0,4}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_json_or_refused(text in pieces(), noise in any::<Vec<u8>>()) {
        let _ = to_json(&noise, &Limits::default());
        if let Ok(json) = to_json(text.as_bytes(), &Limits::default()) {
            // What comes out is JSON, and its XML is the same resource again.
            let document = Document::parse(json.clone(), &Limits { depth_max: 300, ..Limits::default() }).unwrap();
            let xml = to_xml(document.root(), Layout::Compact).unwrap();
            prop_assert_eq!(to_json(&xml, &Limits::default()).unwrap(), json);
        }
    }

    #[test]
    fn every_string_that_xml_can_hold_comes_back(text in "\\PC{1,40}|[ \\t\\r\\na-zäé<>&\"']{1,20}") {
        let json = format!(
            r#"{{"resourceType":"Patient","name":[{{"text":{}}}]}}"#,
            String::from_utf8(quote(&text)).unwrap()
        );
        let document = Document::parse(json.clone(), &Limits::default()).unwrap();
        let xml = to_xml(document.root(), Layout::Indented).unwrap();
        prop_assert_eq!(String::from_utf8(to_json(&xml, &Limits::default()).unwrap()).unwrap(), json);
    }

    #[test]
    fn cut_or_changed_xml_never_panics(at in 0usize..400, byte in any::<u8>()) {
        let whole = patient(
            r#"<text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml">a<b>c</b></div></text><name id="n"><given value="b"><extension url="u"><valueCode value="x"/></extension></given></name>"#,
        );
        let mut bytes = whole.into_bytes();
        let at = at.min(bytes.len() - 1);
        let _ = to_json(&bytes[..at], &Limits::default());
        bytes[at] = byte;
        let _ = to_json(&bytes, &Limits::default());
    }
}
