"""An application that signs in as at Azure: azure-identity gets a token with a client secret, and a server takes it."""

import os
import pathlib
import socket
import subprocess
import tempfile
import time
import unittest

import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential

from authority import TENANT, Authority

AUDIENCE = "https://clinic-fhir.fhir.azurehealthcareapis.com"

SETTINGS = """
[workspaces.clinic]
role_assignments = [
  {{ role = "FHIR Data Contributor", principalId = "{contributor}", principalType = "ServicePrincipal" }},
  {{ role = "FHIR Data Reader", principalId = "{reader}", principalType = "ServicePrincipal" }},
]

[workspaces.clinic.services.fhir]
kind = "fhir"

[workspaces.clinic.services.fhir.authenticationConfiguration]
authority = "{authority}"
audience = "{audience}"
issuers = ["https://sts.windows.net/{{tenantid}}/"]
tenants = ["{tenant}"]
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class AzureIdentity(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(dir=os.environ["ANAMNESIS_WORK"])
        cls.addClassCleanup(cls.folder.cleanup)
        folder = pathlib.Path(cls.folder.name)
        cls.authority = Authority(folder)
        cls.addClassCleanup(cls.authority.close)
        cls.contributor, contributor = cls.authority.register("a-secret")
        cls.reader, reader = cls.authority.register("another-secret")
        cls.stranger, _ = cls.authority.register("a-third-secret")
        settings = folder / "anamnesis.toml"
        settings.write_text(
            SETTINGS.format(
                contributor=contributor, reader=reader, tenant=TENANT, audience=AUDIENCE,
                authority=cls.authority.address,
            )
        )
        port = free_port()
        cls.base = f"http://127.0.0.1:{port}/clinic/fhir"
        log = open(folder / "server.log", "wb")
        cls.addClassCleanup(log.close)
        server = subprocess.Popen(
            [os.environ["ANAMNESIS_PROGRAM"], "serve", "--config", settings, "--listen", f"127.0.0.1:{port}",
             "--data", folder / "data"],
            # What the other tests are told is no setting of a server.
            env={name: value for name, value in os.environ.items() if not name.startswith("ANAMNESIS_")},
            stdout=log, stderr=log,
        )
        cls.addClassCleanup(server.wait)
        cls.addClassCleanup(server.terminate)
        for _ in range(600):
            try:
                if requests.get(f"{cls.base}/metadata", timeout=5).ok:
                    return
            except requests.RequestException:
                pass
            if server.poll() is not None:
                break
            time.sleep(0.2)
        raise AssertionError((folder / "server.log").read_text())

    def credential(self, application, secret):
        return ClientSecretCredential(
            TENANT, application, secret, authority=self.authority.host, disable_instance_discovery=True,
            connection_verify=str(self.authority.certificate),
        )

    def session(self, application, secret):
        token = self.credential(application, secret).get_token(f"{AUDIENCE}/.default").token
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {token}"
        return session

    def test_an_application_does_what_its_role_allows(self):
        contributor = self.session(self.contributor, "a-secret")
        made = contributor.post(f"{self.base}/Patient", json={"resourceType": "Patient"})
        self.assertEqual(made.status_code, 201, made.text)
        address = f"{self.base}/Patient/{made.json()['id']}"
        reader = self.session(self.reader, "another-secret")
        self.assertEqual(reader.get(address).status_code, 200)
        refused = reader.delete(address)
        self.assertEqual((refused.status_code, refused.json()["issue"][0]["code"]), (403, "forbidden"))
        self.assertEqual(contributor.delete(f"{address}?hardDelete=true").status_code, 204)

    def test_an_application_without_a_role_does_nothing(self):
        stranger = self.session(self.stranger, "a-third-secret")
        self.assertEqual(stranger.get(f"{self.base}/Patient").status_code, 403)

    def test_without_a_token_nobody_is_let_in(self):
        answer = requests.get(f"{self.base}/Patient")
        self.assertEqual((answer.status_code, answer.headers["WWW-Authenticate"]), (401, "Bearer"))

    def test_a_wrong_secret_gets_no_token(self):
        with self.assertRaises(ClientAuthenticationError):
            self.credential(self.reader, "wrong").get_token(f"{AUDIENCE}/.default")


if __name__ == "__main__":
    unittest.main()
