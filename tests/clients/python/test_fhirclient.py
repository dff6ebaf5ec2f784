"""fhirclient (SMART on FHIR) against a running server."""

import os
import unittest
import uuid

from fhirclient.models import bundle, patient
from fhirclient.server import FHIRNotFoundException, FHIRServer

BASE = os.environ["ANAMNESIS_BASE"]


def make(family, **more):
    return patient.Patient({"resourceType": "Patient", "name": [{"family": family}], **more})


class FhirClient(unittest.TestCase):
    def setUp(self):
        self.server = FHIRServer(None, base_uri=BASE)
        self.family = "fc-" + uuid.uuid4().hex

    def create(self, **more):
        return make(self.family, **more).create(self.server)

    def test_capability_statement(self):
        self.assertEqual(self.server.capabilityStatement.fhirVersion, "4.0.1")

    def test_crud(self):
        created = self.create()
        self.assertEqual(created["meta"]["versionId"], "1")
        read = patient.Patient.read(created["id"], self.server)
        self.assertEqual(read.name[0].family, self.family)
        read.active = True
        updated = read.update(self.server)
        self.assertEqual((updated["meta"]["versionId"], updated["active"]), ("2", True))
        read.delete(self.server)
        with self.assertRaises(Exception) as refused:
            patient.Patient.read(created["id"], self.server)
        self.assertNotIsInstance(refused.exception, FHIRNotFoundException)
        self.assertEqual(refused.exception.response.status_code, 410)

    def test_search_page_by_page(self):
        ids = {self.create()["id"] for _ in range(7)}
        search = patient.Patient.where({"family": self.family, "_count": "3"})
        pages = list(search.perform_iter(self.server))
        self.assertEqual([len(page.entry) for page in pages], [3, 3, 1])
        found = [entry.resource.id for page in pages for entry in page.entry]
        self.assertEqual((len(found), set(found)), (7, ids))
        self.assertEqual({one.id for one in search.perform_resources_iter(self.server)}, ids)

    def test_bundle_and_patch(self):
        created = self.create()
        urn = "urn:uuid:" + str(uuid.uuid4())
        replace = {
            "resourceType": "Parameters",
            "parameter": [
                {
                    "name": "operation",
                    "part": [
                        {"name": "type", "valueCode": "add"},
                        {"name": "path", "valueString": "Patient"},
                        {"name": "name", "valueString": "birthDate"},
                        {"name": "value", "valueDate": "1974-12-25"},
                    ],
                }
            ],
        }
        transaction = bundle.Bundle(
            {
                "resourceType": "Bundle",
                "type": "transaction",
                "entry": [
                    {
                        "fullUrl": urn,
                        "resource": make(self.family).as_json(),
                        "request": {"method": "POST", "url": "Patient"},
                    },
                    {
                        "resource": {
                            "resourceType": "Observation",
                            "status": "final",
                            "code": {"text": "x"},
                            "subject": {"reference": urn},
                        },
                        "request": {"method": "POST", "url": "Observation"},
                    },
                    {"resource": replace, "request": {"method": "PATCH", "url": "Patient/" + created["id"]}},
                ],
            }
        )
        response = bundle.Bundle(self.server.post_json(BASE, transaction.as_json()).json())
        self.assertEqual([entry.response.status[:3] for entry in response.entry], ["201", "201", "200"])
        self.assertTrue(response.entry[1].resource.subject.reference.startswith("Patient/"))
        self.assertEqual(response.entry[2].resource.birthDate.isostring, "1974-12-25")


if __name__ == "__main__":
    unittest.main()
