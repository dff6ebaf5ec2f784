//! The shapes of queries. What stands in braces is filled in from the store, another one each time.

/// One shape.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) query: &'static str,
}

const fn shape(name: &'static str, query: &'static str) -> Shape {
    Shape { name, query }
}

/// From what a record viewer asks to what a registry asks.
pub(crate) const SHAPES: &[Shape] = &[
    shape("patient by identifier", "Patient?identifier={identifier}"),
    shape("patient by family", "Patient?family={family}"),
    shape("patient by name, two parts", "Patient?family={family}&given={given}"),
    shape("patient name contains", "Patient?name:contains={middle}"),
    shape("patient by birth date", "Patient?birthdate={birthdate}"),
    shape(
        "patients of a decade, sorted",
        "Patient?gender=female&birthdate=ge1950&birthdate=lt1960&_sort=birthdate&_count=50",
    ),
    shape("patients, total", "Patient?gender=female&_summary=count"),
    shape("newest changes", "Observation?_sort=-_lastUpdated&_count=50"),
    shape("several types", "?_type=Observation,Condition,Encounter&_sort=-_lastUpdated&_count=50"),
    shape("patient's laboratory", "Observation?patient={patient}&category=laboratory&_sort=-date&_count=50"),
    shape("patient and code, sorted", "Observation?patient={patient}&code={code}&_sort=-date&_count=50"),
    shape("patient since a date", "Observation?patient={patient}&date=ge2024-06-01&_count=50"),
    shape("code, newest", "Observation?code={code}&_sort=-date&_count=50"),
    shape("code in a month", "Observation?code={code}&date=2025-03&_count=50"),
    shape("code and value", "Observation?code={code}&value-quantity=gt100&_count=50"),
    shape(
        "value in another unit",
        "Observation?value-quantity=gt0.15|http://unitsofmeasure.org|kg&code=http://loinc.org|29463-7&_count=20",
    ),
    shape(
        "composite of code and value",
        "Observation?code-value-quantity=http://loinc.org|4548-4$gt8&_count=50",
    ),
    shape(
        "composite of components",
        "Observation?component-code-value-quantity=http://loinc.org|8480-6$gt150&_count=50",
    ),
    shape("condition, total", "Condition?code=http://snomed.info/sct|{condition}&_total=accurate&_count=20"),
    shape("condition in a month", "Condition?code=http://snomed.info/sct|{condition}&onset-date=2024-05"),
    shape("code by its text", "Condition?code:text=diab&_count=20"),
    shape("not a code", "Condition?patient={patient}&code:not=http://snomed.info/sct|{condition}"),
    shape("active prescriptions", "MedicationRequest?patient={patient}&status=active"),
    shape("encounters of a day", "Encounter?date=2025-02-11&_count=50"),
    shape(
        "encounters, practitioner included",
        "Encounter?patient={patient}&_include=Encounter:participant&_count=50",
    ),
    shape(
        "report, results included",
        "DiagnosticReport?patient={patient}&_include=DiagnosticReport:result&_count=10",
    ),
    shape("patient, observations included", "Patient?_id={patient}&_revinclude=Observation:patient"),
    shape("compartment", "Patient/{patient}/*?_count=100"),
    shape("chain to a name", "Observation?patient.family={family}&code={code}&_count=20"),
    shape("chain, many patients", "Observation?code={code}&patient.birthdate=lt1945&_count=20"),
    shape("chain of two", "Observation?encounter.service-provider.name=Quabbin&code={code}&_count=20"),
    shape(
        "patients that have a condition",
        "Patient?_has:Condition:patient:code=http://snomed.info/sct|{condition}&_count=20",
    ),
    shape(
        "patients that have a value",
        "Patient?_has:Observation:patient:code-value-quantity=http://loinc.org|4548-4$gt9&_count=20",
    ),
    shape(
        "filter",
        "Observation?_filter=code eq http://loinc.org|4548-4 and (date ge 2025-01-01 or value-quantity gt 10)&_count=20",
    ),
    shape("missing", "Encounter?reason-code:missing=true&_count=20"),
];
