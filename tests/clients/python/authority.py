"""An authority as Microsoft Entra is one, as far as an application that signs in with a secret needs it."""

import base64
import datetime
import http.server
import ipaddress
import json
import ssl
import threading
import time
import urllib.parse
import uuid

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

TENANT = "3d0c3a0e-1111-4222-8333-9f0000000001"


def number(value):
    return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()


class Authority:
    """Serves the same over HTTPS, which the clients of Azure insist on, and over HTTP, for a server on this machine."""

    def __init__(self, folder):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.applications = {}
        self.tokens = 0
        handler = type("Handler", (Handler,), {"authority": self})
        self.plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.secure = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.certificate = folder / "authority.pem"
        self.certificate.write_bytes(self.make_certificate())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        self.secure.socket = context.wrap_socket(self.secure.socket, server_side=True)
        for server in (self.plain, self.secure):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self.host = f"https://localhost:{self.secure.server_address[1]}"
        self.address = f"http://127.0.0.1:{self.plain.server_address[1]}/{TENANT}"

    def make_certificate(self):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        now = datetime.datetime.now(datetime.timezone.utc)
        hour = datetime.timedelta(hours=1)
        builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - hour, now + hour)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        certificate = builder.sign(key, hashes.SHA256())
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return key.private_bytes(*form) + certificate.public_bytes(serialization.Encoding.PEM)

    def register(self, secret):
        """A new application: its id, and the object id of its service principal."""
        identity, principal = str(uuid.uuid4()), str(uuid.uuid4())
        self.applications[identity] = (secret, principal)
        return identity, principal

    def close(self):
        for server in (self.plain, self.secure):
            server.shutdown()
            server.server_close()

    def keys(self):
        public = self.key.public_key().public_numbers()
        return {"keys": [{"kty": "RSA", "use": "sig", "kid": "one", "n": number(public.n), "e": number(public.e)}]}

    def metadata(self, base):
        return {
            "issuer": f"https://sts.windows.net/{TENANT}/",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "jwks_uri": f"{base}/discovery/keys",
        }

    def token(self, form):
        identity, scope = form.get("client_id", ""), form.get("scope", "")
        secret, principal = self.applications.get(identity, (None, None))
        if form.get("grant_type") != "client_credentials" or form.get("client_secret") != secret:
            return 401, {"error": "invalid_client", "error_description": "AADSTS7000215"}
        self.tokens += 1
        now = int(time.time())
        issuer = f"https://sts.windows.net/{TENANT}/"
        claims = {
            "aud": scope.removesuffix("/.default"), "iss": issuer, "iat": now, "nbf": now, "exp": now + 3599,
            "appid": identity, "appidacr": "1", "idp": issuer, "idtyp": "app", "oid": principal, "sub": principal,
            "tid": TENANT, "ver": "1.0",
        }
        token = jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": "one"})
        return 200, {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token}


class Handler(http.server.BaseHTTPRequestHandler):
    authority = None
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
        path = urllib.parse.urlsplit(self.path).path
        base = f"{scheme}://{self.headers['Host']}/{TENANT}"
        if path.endswith("/.well-known/openid-configuration"):
            self.answer(200, self.authority.metadata(base))
        elif path.endswith("/discovery/keys"):
            self.answer(200, self.authority.keys())
        else:
            self.answer(404, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.answer(*self.authority.token(dict(urllib.parse.parse_qsl(body))))

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
