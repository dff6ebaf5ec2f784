"""A SMART backend service: a token for an assertion that it has signed (RS384), and what it may do with it."""

import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest
import uuid

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from test_azure_identity import free_port

SECRET = "a secret of the laboratory's own making"

SETTINGS = """
[[workspaces.clinic.smart.clients]]
client_id = "registry"
client_name = "Registry"
token_endpoint_auth_method = "private_key_jwt"
scope = "system/Patient.rs system/Observation.rs"
jwks = {{ keys = [{{ {key} }}] }}

[[workspaces.clinic.smart.clients]]
client_id = "laboratory"
client_name = "Laboratory"
token_endpoint_auth_method = "client_secret_basic"
client_secret = "{secret}"
scope = "system/*.cruds"

[workspaces.clinic.services.fhir]
kind = "fhir"
authenticationConfiguration = {{ smartProxyEnabled = true }}
"""


class Backend(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(dir=os.environ["ANAMNESIS_WORK"])
        cls.addClassCleanup(cls.folder.cleanup)
        folder = pathlib.Path(cls.folder.name)
        cls.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = json.loads(RSAAlgorithm.to_jwk(cls.key.public_key()))
        public.update(kid="one", alg="RS384", use="sig")
        public.pop("key_ops", None)
        settings = folder / "anamnesis.toml"
        key = ", ".join(f'{name} = "{value}"' for name, value in public.items())
        settings.write_text(SETTINGS.format(key=key, secret=SECRET))
        port = free_port()
        cls.base = f"http://127.0.0.1:{port}/clinic/fhir"
        log = open(folder / "server.log", "wb")
        cls.addClassCleanup(log.close)
        server = subprocess.Popen(
            [os.environ["ANAMNESIS_PROGRAM"], "serve", "--config", settings, "--listen", f"127.0.0.1:{port}",
             "--data", folder / "data"],
            env={name: value for name, value in os.environ.items() if not name.startswith("ANAMNESIS_")},
            stdout=log, stderr=log,
        )
        cls.addClassCleanup(server.wait)
        cls.addClassCleanup(server.terminate)
        for _ in range(600):
            try:
                if requests.get(f"{cls.base}/metadata", timeout=5).ok:
                    break
            except requests.RequestException:
                pass
            if server.poll() is not None:
                raise AssertionError((folder / "server.log").read_text())
            time.sleep(0.2)
        cls.configuration = requests.get(f"{cls.base}/.well-known/smart-configuration", timeout=5).json()
        cls.fill()

    @classmethod
    def fill(cls):
        form = {"grant_type": "client_credentials", "scope": "system/*.cruds"}
        answer = requests.post(cls.configuration["token_endpoint"], data=form, auth=("laboratory", SECRET))
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        for resource in [
            {"resourceType": "Patient", "id": "a"},
            {"resourceType": "Observation", "id": "b", "status": "final", "code": {"text": "weight"},
             "subject": {"reference": "Patient/a"}},
            {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/a"}},
        ]:
            made = session.put(f"{cls.base}/{resource['resourceType']}/{resource['id']}", json=resource)
            assert made.status_code == 201, made.text

    def assertion(self, **changed):
        now = int(time.time())
        claims = {
            "iss": "registry", "sub": "registry", "aud": self.configuration["token_endpoint"],
            "exp": now + 240, "iat": now, "jti": str(uuid.uuid4()), **changed,
        }
        return jwt.encode(claims, self.key, algorithm="RS384", headers={"kid": "one"})

    def token(self, assertion, scope="system/Patient.rs system/Observation.rs"):
        return requests.post(self.configuration["token_endpoint"], data={
            "grant_type": "client_credentials", "scope": scope, "client_assertion": assertion,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        })

    def test_what_it_advertises(self):
        for capability in ["client-confidential-asymmetric", "launch-standalone", "permission-v2"]:
            self.assertIn(capability, self.configuration["capabilities"])
        self.assertIn("RS384", self.configuration["token_endpoint_auth_signing_alg_values_supported"])

    def test_it_reads_what_its_scopes_say(self):
        answer = self.token(self.assertion())
        self.assertEqual(answer.status_code, 200, answer.text)
        self.assertLessEqual(answer.json()["expires_in"], 300)
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        found = session.get(f"{self.base}/Observation?subject=Patient/a").json()
        self.assertEqual([entry["resource"]["id"] for entry in found["entry"]], ["b"])
        self.assertEqual(session.get(f"{self.base}/Condition/c").status_code, 403)
        self.assertEqual(session.delete(f"{self.base}/Observation/b").status_code, 403)

    def test_it_exports_what_its_scopes_say(self):
        token = self.token(self.assertion()).json()["access_token"]
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {token}"
        asked = session.get(f"{self.base}/$export", headers={"Accept": "application/fhir+json", "Prefer": "respond-async"})
        self.assertEqual(asked.status_code, 202, asked.text)
        for _ in range(300):
            state = session.get(asked.headers["Content-Location"])
            if state.status_code != 202:
                break
            time.sleep(0.2)
        self.assertEqual(state.status_code, 200, state.text)
        manifest = state.json()
        self.assertTrue(manifest["requiresAccessToken"])
        found = []
        for file in manifest["output"]:
            lines = [json.loads(line) for line in session.get(file["url"]).text.splitlines()]
            self.assertEqual([line["resourceType"] for line in lines], [file["type"]] * file["count"])
            found += [f"{line['resourceType']}/{line['id']}" for line in lines]
        self.assertEqual(sorted(found), ["Observation/b", "Patient/a"])
        self.assertEqual(requests.get(manifest["output"][0]["url"]).status_code, 401)
        self.assertEqual(session.delete(asked.headers["Content-Location"]).status_code, 202)
        self.assertEqual(session.get(manifest["output"][0]["url"]).status_code, 404)

    def test_an_assertion_is_good_once(self):
        assertion = self.assertion()
        self.assertEqual(self.token(assertion).status_code, 200)
        again = self.token(assertion)
        self.assertEqual((again.status_code, again.json()["error"]), (401, "invalid_client"))

    def test_an_assertion_of_somebody_else_or_for_somebody_else_is_none(self):
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        forged = jwt.encode(jwt.decode(self.assertion(), options={"verify_signature": False}), other, "RS384", {"kid": "one"})
        for assertion in [forged, self.assertion(aud="https://elsewhere.example"), self.assertion(exp=int(time.time()) - 600),
                          self.assertion(sub="laboratory")]:
            answer = self.token(assertion)
            self.assertEqual(answer.status_code, 401)
            self.assertEqual(answer.json()["error"], "invalid_client")


if __name__ == "__main__":
    unittest.main()
