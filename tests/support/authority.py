"""A throw-away certification authority, made with the openssl program."""

import subprocess
from pathlib import Path

from scp.configuration.tls import TLS
from tests.support.peers import require


class Authority:
    """Signs certificates into ``folder``; ``pem`` is its own."""

    def __init__(self, folder: Path, name="test authority"):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.pem = folder / "authority.pem"
        self._key = folder / "authority.key"
        self._new_key(self._key, "RSA")
        openssl(
            "req", "-x509", "-new", "-key", self._key, "-subj", f"/CN={name}", "-days", 365, "-out", self.pem
        )

    def sign(self, name, *, hosts=("127.0.0.1",), days=365, kind="RSA"):
        """Make a key and a certificate for ``name``; return the paths (certificate, key)."""
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        self._new_key(key, kind)
        key.chmod(0o600)
        names = [f"IP:{host}" if host[0].isdigit() else f"DNS:{host}" for host in hosts]
        extensions.write_text(
            f"subjectAltName = {','.join(names)}\n" if names else "basicConstraints=CA:FALSE\n"
        )
        openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
        openssl(
            *("x509", "-req", "-in", request, "-CA", self.pem, "-CAkey", self._key, "-CAcreateserial"),
            *("-days", days, "-extfile", extensions, "-out", certificate),
        )
        return certificate, key

    def tls(self, name, *, authorities=None, **more):
        """Sign a certificate for ``name`` and return the section of a configuration that uses it."""
        certificate, key = self.sign(name, **more)
        return TLS(certificate=certificate, key=key, authorities=authorities or self.pem, port=0)

    def revoke(self, *certificates, until="20991231235959Z"):
        """Write the authority's revocation list, with ``certificates`` on it; return its path."""
        settings, lists = self.folder / "ca.cnf", self.folder / "revoked.pem"
        register = self.folder / "register.txt"
        register.write_text("")
        settings.write_text(f"[ca]\ndefault_ca = this\n[this]\ndatabase = {register}\ndefault_md = sha256\n")
        ca = ("ca", "-config", settings, "-keyfile", self._key, "-cert", self.pem)
        for certificate in certificates:
            openssl(*ca, "-revoke", certificate)
        times = ("-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", until)
        openssl(*ca, "-gencrl", *times, "-out", lists)
        return lists

    @staticmethod
    def _new_key(path, kind):
        option = "rsa_keygen_bits:2048" if kind == "RSA" else "ec_paramgen_curve:P-256"
        openssl("genpkey", "-algorithm", kind, "-pkeyopt", option, "-out", path)


def openssl(*words):
    """Run the openssl program; return what it prints. A failure is an AssertionError with its words."""
    process = subprocess.run(
        [require("openssl"), *map(str, words)], capture_output=True, text=True, check=False, timeout=60
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
