"""ClickHouse's HTTP interface in front of the engine in PyPI's chdb, for tests.

usage: clickhouse_server.py DIRECTORY PORT USER PASSWORD [CERTIFICATE KEY]

Keeps its data in DIRECTORY/data. DIRECTORY/fault has the fault of the moment: `cut` executes INSERT statements with
data and closes the connection without an answer, `slow SECONDS` waits before it executes them, `stall` waits
until the fault ends and then executes those that are younger than their `max_execution_time` (the file `stalled` shows
that there is one), `old` reports the version
of an old server, `no-parts` rejects the reading of `system.parts`; without the file there is none. Other statements are answered meanwhile.
"""

import base64
import http.server
import json
import os
import re
import ssl
import sys
import threading
import time
import urllib.parse

from chdb import session

DIRECTORY, PORT, USER, PASSWORD = sys.argv[1:5]
# Parameters of a URL that are no settings.
INTERFACE = {"database", "query", "user", "password", "session_id", "session_timeout", "wait_end_of_query", "buffer_size"}
# The statuses of ClickHouse for some codes; 500 for others.
STATUS = {381: 411, 516: 403, 497: 403, 60: 404, 81: 404, 62: 400, 47: 400, 46: 400, 241: 500}

engine = session.Session(os.path.join(DIRECTORY, "data"))
# The engine has one session, so requests run one after the other.
lock = threading.Lock()


def fault():
    try:
        with open(os.path.join(DIRECTORY, "fault")) as file:
            return file.read().split()
    except FileNotFoundError:
        return []


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Refused(Exception):
    """An error with ClickHouse's code."""

    def __init__(self, code, text):
        super().__init__(text if text.startswith("Code:") else f"Code: {code}. DB::Exception: {text}")
        self.code = code


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, b"Ok.\n", {})

    def do_POST(self):
        began = time.monotonic()
        if "Content-Length" not in self.headers and "Transfer-Encoding" not in self.headers:
            text = "There is neither Transfer-Encoding header nor Content-Length header (HTTP_LENGTH_REQUIRED)"
            self.refuse(Refused(381, text))
            return
        body = self.body()
        if body is None:
            return
        parameters = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query, keep_blank_values=True))
        try:
            self.check_user()
            statement = parameters.get("query", "").encode()
            is_insert = bool(statement) and statement.startswith(b"INSERT")
            now = fault() if is_insert and body else []
            if now[:1] == ["slow"]:
                time.sleep(float(now[1]))
            if now[:1] == ["stall"]:
                open(os.path.join(DIRECTORY, "stalled"), "w").close()
            while now[:1] == ["stall"] and fault() == now:
                time.sleep(0.05)
            limit = float(parameters.get("max_execution_time", 0))
            if now[:1] == ["stall"] and 0 < limit < time.monotonic() - began:
                raise Refused(159, "Timeout exceeded (TIMEOUT_EXCEEDED)")
            if fault() == ["no-parts"] and b"system.parts" in body:
                text = f"{USER}: Not enough privileges. To execute this query, it's necessary to have the grant SELECT ON "
                raise Refused(497, text + "system.parts. (ACCESS_DENIED)")
            result = self.run(self.with_data(statement, body) if statement else body, parameters)
            if fault() == ["old"] and b"version()" in body:
                result = b"22.8.1.1\n"
            if now[:1] == ["cut"]:
                self.close_connection = True
                return
            self.answer(200, result, {"X-ClickHouse-Summary": json.dumps({"elapsed_ns": "0"})})
        except Refused as error:
            self.refuse(error)

    def refuse(self, error):
        headers = {"X-ClickHouse-Exception-Code": str(error.code)}
        self.answer(STATUS.get(error.code, 500), f"{error}\n".encode(), headers)

    def body(self):
        """The whole body; None when the client is gone before its end."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            return body if len(body) == length else None
        body = b""
        while True:
            size = int(self.rfile.readline().strip() or b"-1", 16)
            if size < 0:
                return None
            chunk = self.rfile.read(size)
            if len(chunk) != size or self.rfile.readline() != b"\r\n":
                return None
            if size == 0:
                return body
            body += chunk

    def with_data(self, statement, body):
        """The statement with data from a file: the engine does not read all binary data after a statement."""
        head, keyword, data_format = statement.rpartition(b" FORMAT ")
        if not statement.startswith(b"INSERT") or not keyword:
            return statement + b" " + body
        path = os.path.join(DIRECTORY, f"body-{threading.get_ident()}")
        with open(path, "wb") as file:
            file.write(body)
        return head + b" FROM INFILE " + quoted(path).encode() + b" COMPRESSION 'none'" + keyword + data_format

    def check_user(self):
        scheme, _, login = self.headers.get("Authorization", "").partition(" ")
        login = base64.b64decode(login).decode() if scheme == "Basic" else "default:"
        user, _, key = login.partition(":")
        if (user, key) not in ((USER, PASSWORD), ("default", "")):
            raise Refused(516, f"{user}: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)")

    def run(self, statement, parameters):
        settings = {name: value for name, value in parameters.items() if name not in INTERFACE}
        # The engine's session could not leave this mode.
        if settings.pop("readonly", "0") != "0" and not statement.startswith(b"SELECT "):
            raise Refused(164, "Cannot execute query in readonly mode. (READONLY)")
        with lock:
            try:
                self.query(f"USE `{parameters.get('database', 'default')}`".encode())
                for name, value in settings.items():
                    self.query(f"SET {name} = {quoted(value)}".encode())
                return self.query(statement)
            finally:
                for name in settings:
                    if not name.startswith("param_"):
                        self.query(f"SET {name} = DEFAULT".encode())

    def query(self, statement):
        try:
            # In binary data of an INSERT, any byte can come.
            return engine.query(statement, "TabSeparated").bytes()
        except Exception as error:
            code = re.search(r"Code: (\d+)", str(error))
            raise Refused(int(code[1]) if code else 1002, str(error)) from None

    def answer(self, status, body, headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass


server = Server(("127.0.0.1", int(PORT)), Handler)
if len(sys.argv) > 5:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[5], sys.argv[6])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
