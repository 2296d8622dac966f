"""Renders a chart with Helm's own library, and holds what comes of it against Kubernetes' schemas.

Helm (`helm-sdkpy`) installs into a cluster alone, so this is one: it tells which kinds there are, and keeps what it is sent.

    render.py CHART VALUES_AS_JSON     the objects as lines of JSON, or what is wrong with them
"""

import ctypes
import http.server
import json
import pathlib
import sys
import tempfile
import threading

import kubernetes_validate

VERSION = "1.33"
KINDS = {
    "v1": [("configmaps", "ConfigMap"), ("services", "Service"), ("serviceaccounts", "ServiceAccount"), ("secrets", "Secret")],
    "apps/v1": [("statefulsets", "StatefulSet")],
    "policy/v1": [("poddisruptionbudgets", "PodDisruptionBudget")],
    "networking.k8s.io/v1": [("networkpolicies", "NetworkPolicy")],
    "monitoring.coreos.com/v1": [("servicemonitors", "ServiceMonitor")],
}
made = []


class Cluster(http.server.BaseHTTPRequestHandler):
    def answer(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        path = self.path.split("?")[0].strip("/")
        group = path.removeprefix("apis/").removeprefix("api/")
        if path == "version":
            major, minor = VERSION.split(".")
            return self.answer(200, {"major": major, "minor": minor, "gitVersion": f"v{VERSION}.0"})
        if path == "api":
            return self.answer(200, {"kind": "APIVersions", "versions": ["v1"]})
        if path == "apis":
            names = [name.split("/")[0] for name in KINDS if "/" in name]
            groups = [
                {"name": name, "versions": [v := {"groupVersion": f"{name}/v1", "version": "v1"}], "preferredVersion": v}
                for name in names
            ]
            return self.answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        if group in KINDS:
            resources = [
                {"name": name, "kind": kind, "namespaced": True, "verbs": ["create", "get", "list", "patch", "update"]}
                for name, kind in KINDS[group]
            ]
            return self.answer(200, {"kind": "APIResourceList", "groupVersion": group, "resources": resources})
        if path.endswith("/secrets"):
            return self.answer(200, {"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": []})
        self.answer(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})

    def keep(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if "/secrets" in self.path:
            # Helm's own record of the release; the chart makes no Secret.
            record = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "release", "namespace": "default"}}
            return self.answer(201, record)
        sent = json.loads(body)
        made.append(sent)
        self.answer(201, sent)

    do_POST = do_PUT = do_PATCH = keep

    def log_message(self, *_):
        pass


def library():
    folder = next(pathlib.Path(place) / "helm_sdkpy" for place in sys.path if (pathlib.Path(place) / "helm_sdkpy").is_dir())
    found = ctypes.CDLL(str(next(folder.glob("_lib/*/libhelm_sdkpy.so"))))
    found.helm_sdkpy_last_error.restype = ctypes.c_char_p
    return found


def install(chart, values):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cluster)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as config:
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        json.dump(
            {
                "apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [cluster],
                "contexts": [context], "users": [{"name": "u", "user": {}}],
            },
            config,
        )
        config.flush()
        helm, handle, told = library(), ctypes.c_ulonglong(), ctypes.c_char_p()
        options = {"disable_openapi_validation": True, "server_side_apply": "false", "wait": False}
        helm.helm_sdkpy_config_create(b"default", config.name.encode(), b"", b"{}", ctypes.byref(handle))
        done = helm.helm_sdkpy_install(
            handle, b"notes", chart.encode(), values.encode(), b"", json.dumps(options).encode(), ctypes.byref(told)
        )
        if done != 0:
            sys.exit(helm.helm_sdkpy_last_error().decode())


install(*sys.argv[1:3])
for it in made:
    # The Prometheus operator's kinds aren't Kubernetes' own.
    if not it["apiVersion"].startswith("monitoring."):
        kubernetes_validate.validate(it, VERSION, strict=True)
    print(json.dumps(it))
