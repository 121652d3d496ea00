# SPDX-License-Identifier: Apache-2.0
"""A daemon that says what a test wrote down: HTTP on a unix socket, answers from a table.

    with Api({("GET", "/redfish/v1"): (200, {...})}) as api:
        ... api.socket, api.requests ...

An answer is (status, JSON value, text or bytes); a list of them is given one after the other.
"""
import http.server
import json
import os
import shutil
import socketserver
import tempfile
import threading


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def handle_any(self):
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length).decode()
        self.server.api.requests.append((self.command, self.path, json.loads(body) if body else None))
        status, answer = self.server.api.answer(self.command, self.path)
        if isinstance(answer, (dict, list)):
            answer = json.dumps(answer)
        if isinstance(answer, str):
            answer = answer.encode()
        if status is None:  # raw bytes in place of HTTP
            self.wfile.write(answer)
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_DELETE = do_PATCH = handle_any

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 16

    def handle_error(self, request, client_address):
        pass  # a client that went


class Api:
    def __init__(self, answers=None):
        self.answers = dict(answers or {})
        self.requests = []

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="test-compose-")
        self.socket = os.path.join(self.folder, "api.sock")
        self.server = _Server(self.socket, _Handler)
        self.server.api = self
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        shutil.rmtree(self.folder)

    def answer(self, method, path):
        found = self.answers.get((method, path))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if found is None:
            return 404, error("Base.1.0.ResourceMissing", f"there is no {path}: see 'compose list'")
        return found


def error(code, message):
    return {"error": {"code": code, "message": message, "@Message.ExtendedInfo": []}}


GPU_PATH = {"Class": "IB1", "Hops": 1, "Mbps": 6800}


def gpu(number, node="c4130-1"):
    return {"Uuid": f"GPU-{number:04d}", "Node": node, "Index": number % 4, "Model": "Tesla K80",
            "MemoryBytes": 12 << 30, "Load": 10 * number, "UsedBytes": number << 20,
            "State": "composed", "Path": GPU_PATH,
            "Rails": [{"Local": "mlx5_0:1", "Remote": "mlx5_0:1", "Direct": True}]}


def system(name="train", gpus=2, host="r730-1", state="composed", reason="", programs=(), created_ms=1764115199000):
    return {"Id": name, "Name": name, "SystemType": "Composed", "Status": {"State": "Enabled"},
            "Oem": {"Fabric": {"State": state, "Reason": reason, "SinceMs": 1764115200000,
                               "CreatedMs": created_ms, "OwnerUid": 0, "AdHoc": False, "Fence": 7,
                               "Hosts": [{"Name": host, "Gpus": [gpu(i) for i in range(gpus)]}],
                               "Programs": list(programs)}}}


def machine(name, state="up", gpus=0, reason="", health=()):
    return {"Id": name, "Name": name, "SystemType": "Physical",
            "Oem": {"Fabric": {"State": state, "Reason": reason, "SinceMs": 1764115200000,
                               "Address": "10.0.0.1:7000", "Gpus": gpus, "Drained": False,
                               "Health": list(health)}}}


def block(number, node="c4130-1", state="free", owner=""):
    return {"Id": f"GPU-{number:04d}", "Name": f"GPU {number}",
            "Oem": {"Fabric": {"State": state, "Reason": "", "SinceMs": 1764115200000, "Node": node,
                               "Index": number % 4, "Fence": 7, "System": owner, "Load": 10 * number,
                               "UsedBytes": number << 20, "MemoryBytes": 12 << 30,
                               "Model": "Tesla K80", "Numa": 0,
                               "Rails": [{"Port": "mlx5_0:1", "Class": "PIX", "Mbps": 6800, "Direct": True}]}}}


def members(*items):
    return 200, {"Members": list(items), "Members@odata.count": len(items)}
