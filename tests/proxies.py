"""Real proxies in front of two servers, each with its own way to pass requests on.

nginx takes the whole body before it asks, and can ask in HTTP/1.0; HAProxy hands on
what comes; Envoy is told to buffer, as meshes and gateways are; Caddy asks with Go's
client. All keep connections to the servers, try the other server when one takes no
connection, strip ``/api``, and keep ``/nlp`` for a third.
"""

import os
import subprocess
import sys
from pathlib import Path

from server import free_port, wait_until

NGINX = """
daemon off;
master_process off;
pid nginx.pid;
error_log nginx.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path other;
  uwsgi_temp_path other;
  scgi_temp_path other;
  client_max_body_size 8m;
  upstream servers {{
    server 127.0.0.1:{a};
    server 127.0.0.1:{b};
    keepalive 8;
  }}
  upstream prefixed {{ server 127.0.0.1:{c}; }}
  server {{
    listen 127.0.0.1:{port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    location / {{ proxy_pass http://servers; }}
    location /api/ {{ proxy_pass http://servers/; }}
    location /nlp/ {{ proxy_pass http://prefixed; }}
    location /old/ {{
      proxy_http_version 1.0;
      proxy_set_header Connection close;
      proxy_pass http://servers/;
    }}
  }}
}}
"""

HAPROXY = """
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  option http-keep-alive
  http-reuse always
  retries 3
  option redispatch 1
frontend clients
  bind 127.0.0.1:{port}
  http-request replace-path /api/(.*) /\\1
  use_backend prefixed if {{ path_beg /nlp/ }}
  default_backend servers
backend servers
  balance roundrobin
  server a 127.0.0.1:{a}
  server b 127.0.0.1:{b}
backend prefixed
  server c 127.0.0.1:{c}
"""

_FILTERS = "type.googleapis.com/envoy.extensions.filters"
_MANAGER = f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"
ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": {network}
          stat_prefix: clients
          route_config:
            virtual_hosts:
            - name: servers
              domains: ["*"]
              retry_policy: {{retry_on: connect-failure, num_retries: 3}}
              routes:
              - match: {{prefix: /api/}}
                route: {{cluster: servers, prefix_rewrite: /}}
              - match: {{prefix: /nlp/}}
                route: {{cluster: prefixed}}
              - match: {{prefix: /}}
                route: {{cluster: servers}}
          http_filters:
          - name: buffer
            typed_config:
              "@type": {filters}.buffer.v3.Buffer
              max_request_bytes: 8000000
          - name: router
            typed_config:
              "@type": {filters}.router.v3.Router
  clusters:
  - name: servers
    type: STATIC
    connect_timeout: 2s
    load_assignment:
      cluster_name: servers
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{socket_address: {{address: 127.0.0.1, port_value: {a}}}}}
        - endpoint:
            address: {{socket_address: {{address: 127.0.0.1, port_value: {b}}}}}
  - name: prefixed
    type: STATIC
    load_assignment:
      cluster_name: prefixed
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{socket_address: {{address: 127.0.0.1, port_value: {c}}}}}
""".replace("{network}", _MANAGER).replace("{filters}", f"{_FILTERS}.http")

CADDY = """
{{
  admin off
  auto_https off
}}
(servers) {{
  reverse_proxy 127.0.0.1:{a} 127.0.0.1:{b} {{
    lb_policy round_robin
    lb_try_duration 5s
    lb_try_interval 10ms
  }}
}}
http://:{port} {{
  bind 127.0.0.1
  handle_path /api/* {{
    import servers
  }}
  handle /nlp/* {{
    reverse_proxy 127.0.0.1:{c}
  }}
  handle {{
    import servers
  }}
}}
"""

# name -> configuration, command
KINDS = {
    "nginx": (NGINX, "nginx -p . -e nginx.log -c nginx.conf"),
    "haproxy": (HAPROXY, "haproxy -q -db -f haproxy.conf"),
    "envoy": (ENVOY, "envoy -c envoy.conf.yaml --disable-hot-restart --concurrency 1"),
    "caddy": (CADDY, "caddy run --config caddy.conf --adapter caddyfile"),
}


class Proxy:
    """A running proxy of a *kind*, on *port*.

    :param ports: of the two servers, and of the one with a prefix.
    """

    def __init__(self, kind: str, directory: Path, ports: tuple[int, int, int]):
        self.kind, self.port = kind, free_port()
        self._directory = directory
        configuration, command = KINDS[kind]
        self._command = command.split()
        name = next(word for word in self._command if ".conf" in word)
        text = configuration.format(port=self.port, **dict(zip("abc", ports)))
        (directory / name).write_text(text, encoding="ascii")

    def __enter__(self):
        with open(self._directory / f"{self.kind}.out", "wb") as out:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env={"HOME": str(self._directory), "PATH": self._path()},
                stdout=out,
                stderr=out,
            )
        try:
            wait_until(self._listens, 20, f"{self.kind} listens")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        self._process.kill()
        self._process.wait(10)

    @staticmethod
    def _path() -> str:
        """Envoy is a Python package, the others are Debian's."""
        own = Path(sys.executable).parent
        return os.pathsep.join([str(own), os.environ["PATH"], "/usr/sbin"])

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            output = (self._directory / f"{self.kind}.out").read_text()
            raise RuntimeError(f"{self.kind} ended:\n{output}")
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table][1:]
        return any(
            row[1].endswith(f":{self.port:04X}") and row[3] == "0A" for row in rows
        )
