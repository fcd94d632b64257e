"""The simulator as a process, and the SDK's client pointed at it and at nothing else."""

import contextlib
import json
import os
import select
import socket
import subprocess
import time
import urllib.request

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ServiceResponseException
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.http.http_handler import HttpHandler
from huaweicloudsdkecs.v2 import EcsClient, ShowJobRequest
from requests.adapters import HTTPAdapter

PROJECT = "0605767d5a00d5762fb7c00a3d5f1b9c"
AK, SK = "AKPROBE", "skprobe"
# At 40 a create takes 1.0–1.5 s: slow enough to see a server while it is built
SPEED = 40
QUOTA = {"instances": 20, "cores": 640}


@contextlib.contextmanager
def simulator(program):
    """`http://ADDR` of a fresh simulator, which ends with this."""
    arguments = [program, "ecs", "--project-id", PROJECT, "--speed", str(SPEED),
                 "--quota-instances", str(QUOTA["instances"]), "--quota-cores", str(QUOTA["cores"])]
    keys = {"OBS_SIM_ACCESS_KEY": AK, "OBS_SIM_SECRET_KEY": SK, "RUST_LOG": "error"}
    with subprocess.Popen(arguments, env=os.environ | keys, stdout=subprocess.PIPE, text=True) as process:
        try:
            ready, _, _ = select.select([process.stdout], [], [], 20)
            line = process.stdout.readline() if ready else ""
            if not line.startswith("listening on "):
                raise RuntimeError(f"{program} ecs did not say where it listens: {line!r}")
            yield "http://" + line.removeprefix("listening on ").strip()
        finally:
            process.terminate()


class Guard:
    """Lets sockets out to one endpoint only. Without it a wrong setting would send the SDK to IAM, or to
    the metadata address of a cloud's server."""

    def __init__(self, endpoint):
        host, port = endpoint.removeprefix("http://").split(":")
        self.allowed = (host, int(port))
        self.refused = []
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            del os.environ[name]
        connect, resolve = socket.socket.connect, socket.getaddrinfo

        def guarded_connect(sock, address):
            self.check(tuple(address[:2]))
            return connect(sock, address)

        def guarded_resolve(host, port, *rest, **named):
            self.check((host, int(port or 0)))
            return resolve(host, port, *rest, **named)

        socket.socket.connect, socket.getaddrinfo = guarded_connect, guarded_resolve

    def check(self, target):
        if target != self.allowed:
            self.refused.append(target)
            raise ConnectionRefusedError(f"the probe may not reach {target}")


class Cloud:
    """A client of the SDK, with the last answer as it came over the wire."""

    def __init__(self, endpoint, ak=AK, sk=SK, project=PROJECT):
        self.endpoint, self.last = endpoint, None
        config = HttpConfig.get_default_config()
        config.retry_times, config.timeout = 0, (3, 20)
        self.sdk = (EcsClient.new_builder().with_http_config(config)
                    .with_credentials(BasicCredentials(ak, sk, project)).with_endpoint(endpoint)
                    .with_http_handler(HttpHandler().add_response_handler(self._keep)).build())

    def _keep(self, response, **_):
        self.last = response

    @property
    def status(self):
        return self.last.status_code

    @property
    def raw(self):
        """The last answer's JSON: the SDK turns numbers into texts where its model has texts."""
        return json.loads(self.last.text)

    def refusal(self, ask, *arguments):
        """Status, code and text with which a call is refused; None if it is not."""
        try:
            ask(*arguments)
        except ServiceResponseException as error:
            return error
        return None

    def job(self, id, seen=None):
        """The job once it has ended, as JSON; `seen` gets every answer until then."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            self.sdk.show_job(ShowJobRequest(job_id=id))
            job = self.raw
            if seen is not None:
                seen.append(job)
            if job["status"] in ("SUCCESS", "FAIL"):
                return job
            time.sleep(0.02)
        raise TimeoutError(f"the job {id} did not end within 30 s")

    def ledger(self):
        """What the simulator says was bought; not a route of the cloud."""
        with urllib.request.urlopen(f"{self.endpoint}/_sim/ledger", timeout=20) as answer:
            return json.load(answer)


@contextlib.contextmanager
def on_the_wire(change):
    """Hands every request to `change` after it was signed and before it is sent."""
    send = HTTPAdapter.send

    def changed(adapter, request, **named):
        change(request)
        return send(adapter, request, **named)

    HTTPAdapter.send = changed
    try:
        yield
    finally:
        HTTPAdapter.send = send


def until(what, test, seconds=20):
    """Waits until `test()` holds."""
    end = time.monotonic() + seconds
    while not test():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.02)
