"""fhirpy against a running server."""

import os
import unittest
import uuid

from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

BASE = os.environ["ANAMNESIS_BASE"]


class FhirPy(unittest.TestCase):
    def setUp(self):
        self.client = SyncFHIRClient(BASE)
        self.family = "fp-" + uuid.uuid4().hex

    def make(self, **more):
        return self.client.resource("Patient", name=[{"family": self.family}], **more)

    def patients(self):
        return self.client.resources("Patient").search(family=self.family)

    def test_crud(self):
        patient = self.make()
        patient.save()
        self.assertEqual(patient["meta"]["versionId"], "1")
        patient["active"] = True
        patient.save()
        self.assertEqual(patient["meta"]["versionId"], "2")
        read = self.client.reference("Patient", patient["id"]).to_resource()
        self.assertEqual((read["active"], read["name"][0]["family"]), (True, self.family))
        patient.delete()
        with self.assertRaises(ResourceNotFound):
            self.client.reference("Patient", patient["id"]).to_resource()

    def test_search_page_by_page(self):
        for _ in range(7):
            self.make().save()
        self.assertEqual(len(self.patients().limit(3).fetch()), 3)
        found = {patient["id"] for patient in self.patients().limit(3)}
        self.assertEqual(len(found), 7)
        self.assertEqual(len(self.patients().limit(2).fetch_all()), 7)
        self.assertEqual(self.patients().count(), 7)
        self.assertIsNotNone(self.patients().first())

    def test_conditional_writes(self):
        unless_there = SyncFHIRClient(BASE, extra_headers={"If-None-Exist": "family=" + self.family})
        created = unless_there.execute("Patient", method="post", data=self.make().serialize())
        again = unless_there.execute("Patient", method="post", data=self.make().serialize())
        self.assertEqual((again["id"], again["meta"]["versionId"]), (created["id"], "1"))
        updated, is_new = self.patients().update(self.make(active=True))
        self.assertEqual((is_new, updated["id"], updated["active"]), (False, created["id"], True))
        self.make().save()
        with self.assertRaises(MultipleResourcesFound):
            self.patients().update(self.make())

    def test_patch(self):
        patient = self.make(active=True)
        patient.save()
        path = "Patient/" + patient["id"]
        operation = [
            {"name": "type", "valueCode": "replace"},
            {"name": "path", "valueString": "Patient.active"},
            {"name": "value", "valueBoolean": False},
        ]
        parameters = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": operation}]}
        patched = self.client.execute(path, method="patch", data=parameters)
        self.assertEqual((patched["active"], patched["meta"]["versionId"]), (False, "2"))
        json_patch = SyncFHIRClient(BASE, extra_headers={"Content-Type": "application/json-patch+json"})
        patched = json_patch.execute(path, method="patch", data=[{"op": "remove", "path": "/active"}])
        self.assertNotIn("active", patched)
        # A part of a resource is no patch of R4: it is refused, and nothing is changed.
        with self.assertRaises(OperationOutcome):
            self.client.patch("Patient", patient["id"], active=True)
        self.assertEqual(self.client.execute(path, method="get")["meta"]["versionId"], "3")

    def test_bundle(self):
        entries = [
            {"resource": self.make().serialize(), "request": {"method": "POST", "url": "Patient"}} for _ in range(3)
        ]
        transaction = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        answer = self.client.execute("", method="post", data=transaction)
        self.assertEqual([entry["response"]["status"][:3] for entry in answer["entry"]], ["201"] * 3)
        self.assertEqual(self.patients().count(), 3)
        entries[1]["resource"]["gender"] = "none of the codes"
        with self.assertRaises(OperationOutcome):
            self.client.execute("", method="post", data=transaction)
        self.assertEqual(self.patients().count(), 3)


if __name__ == "__main__":
    unittest.main()
