# SPDX-License-Identifier: Apache-2.0
"""The API of a soft rack's daemons, asked over their unix sockets (docs/api.md)."""
import http.client
import json
import socket
import time

LIMIT_S = 300  # generous, only so that nothing hangs for ever


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=LIMIT_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Api:
    """One connection; opened again by the next request when the last one broke (OSError, HTTPException)."""

    def __init__(self, path):
        self.connection = Connection(str(path))

    def ask(self, method, path, body=None):
        """Status, seconds until the answer was read, and its bytes."""
        start = time.perf_counter()
        try:
            self.connection.request(method, f"/redfish/v1/{path}", json.dumps(body) if body else None,
                                    {"Content-Type": "application/json"})
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise
        return answer.status, time.perf_counter() - start, text

    def create(self, name, host, gpus, wait_ms=0):
        return self.ask("POST", "Systems", {"Name": name, "Oem": {"Fabric": {
            "Hosts": [host], "Gpus": gpus, "WaitMs": wait_ms}}})

    def delete(self, name):
        return self.ask("DELETE", f"Systems/{name}")

    def members(self, collection):
        status, _, text = self.ask("GET", f"{collection}?$expand=.")
        if status != 200:
            raise OSError(f"{collection}: HTTP status {status}: {text.decode()}")
        return json.loads(text)["Members"]
