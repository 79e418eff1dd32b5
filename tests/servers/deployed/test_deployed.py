"""What a deployed server looks like from inside. Shared by every scenario; changes nothing."""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
from fnmatch import fnmatch

import pytest
from testinfra.host import Host

DOMAIN = "meet.example.org"
PROSODY_LISTENERS = {"127.0.0.1:5222", "127.0.0.1:5280", "127.0.0.2:5280"}


def listeners(host: Host, process: str) -> set[str]:
    """Local addresses with port on which ``process`` listens."""
    lines = host.check_output("ss -Hltnp").splitlines()
    assert lines
    return {line.split()[3] for line in lines if f'"{process}"' in line}


@pytest.fixture(name="has_bridge", scope="module")
def _has_bridge(host: Host) -> bool:
    """Whether this server was asked for one, as its front door says."""
    site: str = host.file(f"/etc/nginx/sites-available/{DOMAIN}.conf").content_string
    return "/colibri-ws/" in site


@pytest.mark.parametrize("name", ["prosody", "jicofo", "nginx", "coturn"])
def test_services_run_and_start_at_boot(host: Host, name: str) -> None:
    service = host.service(name)
    assert service.is_running
    assert service.is_enabled


@pytest.mark.parametrize(
    ("pattern", "below"),
    [
        ("prosody.service", 2.0),
        ("jicofo.service", 3.0),
        ("nginx.service", 3.0),
        ("jitsi-videobridge*.service", 3.0),
        ("coturn.service", 3.0),
        ("vestibule-*.service", 3.0),
    ],
)
def test_a_service_can_do_little_beside_its_work(
    host: Host, has_bridge: bool, pattern: str, below: float
) -> None:
    # It fails where there is none
    listed = host.run(f"systemctl list-unit-files --plain --no-legend '{pattern}'").stdout
    units = [line.split()[0] for line in listed.splitlines()]
    assert units or ("bridge" in pattern and not has_bridge)
    for unit in units:
        said = host.check_output(f"systemd-analyze security --no-pager {unit}")
        level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
        assert level
        assert float(level[1]) < below, unit


def test_prosody_listens_on_the_loopback_only(host: Host) -> None:
    pid = host.check_output("systemctl show prosody --property=MainPID --value")
    lines = host.check_output("ss -Hltnp").splitlines()
    found = {line.split()[3] for line in lines if f"pid={pid}," in line}
    assert found == PROSODY_LISTENERS


def test_the_web_server_listens_on_its_two_ports_only(host: Host) -> None:
    assert listeners(host, "nginx") == {"0.0.0.0:80", "0.0.0.0:443", "[::]:80", "[::]:443"}


def test_a_bridge_is_there_where_one_is_asked_for(host: Host, has_bridge: bool) -> None:
    """The AUR has its unit and its folder under another name."""
    units = host.check_output("systemctl list-units --plain --no-legend 'jitsi-videobridge*'")
    assert len(re.findall("loaded active running", units)) == (1 if has_bridge else 0), units
    found = host.check_output(
        "find /etc -path '/etc/*videobridge/jvb.conf' -printf '%u %g %m\\n'"
    ).splitlines()
    assert found == (["jvb jitsi 640"] if has_bridge else [])


def test_a_bridge_takes_media_from_everybody_and_nothing_else(host: Host, has_bridge: bool) -> None:
    def waiting(option: str, *ports: int) -> set[str]:
        lines = host.check_output(f"ss -Hln{option}").splitlines()
        # Java has sockets of IPv6 alone, which take IPv4 as well
        places = {re.sub(r"^\[::ffff:([0-9.]+)\]", r"\1", line.split()[3]) for line in lines}
        return {each for each in places if int(each.rpartition(":")[2]) in ports}

    media = waiting("u", 10000)
    assert waiting("t", 8080, 9090) == (
        {"127.0.0.1:8080", "127.0.0.1:9090"} if has_bridge else set()
    )
    assert bool(media) is has_bridge
    assert not [each for each in media if each.startswith("127.")]


def test_turn_takes_tls_alone_and_udp_on_one_port(host: Host) -> None:
    found = {each.rpartition(":")[2] for each in listeners(host, "turnserver")}
    assert found == {"5349"}
    lines = host.check_output("ss -Hlunp").splitlines()
    ports = {int(line.split()[3].rpartition(":")[2]) for line in lines if "turnserver" in line}
    assert {port for port in ports if port < 49152} == {3478}


def test_nobody_but_turn_and_root_reads_its_secret_and_the_key(host: Host) -> None:
    conf = host.file("/etc/vestibule/turn/turnserver.conf")
    assert (conf.user, conf.group, conf.mode) == ("root", "turnserver", 0o640)
    assert host.file("/run/vestibule-turn").mode == 0o700
    key = host.file("/run/vestibule-turn/key.pem")
    assert (key.user, key.mode) == ("turnserver", 0o400)


def plain_http(host: Host, path: str, name: str = DOMAIN) -> str:
    """What port 80 answers, on a server that has no HTTP client."""
    request = f"GET {path} HTTP/1.0\\r\\nHost: {name}\\r\\n\\r\\n".replace("%", "%%")
    answer: str = host.check_output(
        f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/80; printf \"{request}\" >&3; cat <&3'"
    )
    return answer


@pytest.mark.parametrize("path", ["/room", "/room?lang=de", "/room?jwt=", "/room?xjwt=x"])
def test_plain_http_is_only_a_redirect(host: Host, path: str) -> None:
    answer = plain_http(host, path)
    assert answer.startswith("HTTP/1.1 301")
    assert re.search(rf"^Location: https://{DOMAIN}/room\r?$", answer, re.MULTILINE)


@pytest.mark.parametrize(
    "path",
    ["/room?jwt=kanarie", "/room?lang=de&jwt=kanarie", "/x/room?token=kanarie&a", "/?JWT=kanarie"],
)
def test_a_plain_link_with_a_token_says_which_one_to_open(host: Host, path: str) -> None:
    """A redirect would lose the token, and one that repeats it would send it in the clear again."""
    answer = plain_http(host, path)
    assert answer.startswith("HTTP/1.1 403")
    assert "https" in answer
    assert "Location:" not in answer
    assert "kanarie" not in answer
    assert "Referrer-Policy: no-referrer" in answer


def over_tls(host: Host, script: str) -> str:
    """What a Python script prints on the server, to which ``ask`` brings an answer by name."""
    ask = (
        "import http.client, socket, ssl\n"
        "def ask(name, path='/config.js', sni=''):\n"
        "    context = ssl._create_unverified_context()\n"
        "    door = http.client.HTTPSConnection('127.0.0.1', context=context)\n"
        "    plain = socket.create_connection(('127.0.0.1', 443))\n"
        "    door.sock = context.wrap_socket(plain, server_hostname=sni or None)\n"
        "    door.request('GET', path, headers={'Host': name})\n"
        "    answer = door.getresponse()\n"
        "    return answer.status, answer.read().decode()\n"
    )
    printed: str = host.check_output(f"python3 -c {shlex.quote(ask + script)}")
    return printed


@pytest.fixture(scope="module")
def own_name_is_answered(host: Host) -> None:
    """The control, which takes as long for each other name as for all."""
    right = over_tls(host, f"print(ask({DOMAIN!r}), ask({DOMAIN + ':443'!r}, sni='example.com'))")
    assert right.count("var config") == 2


@pytest.mark.usefixtures("own_name_is_answered")
@pytest.mark.parametrize(
    "name", ["example.com", f"x.{DOMAIN}", "127.0.0.1", f"{DOMAIN}.evil.example"]
)
def test_other_names_are_refused(host: Host, name: str) -> None:
    wrong = over_tls(host, f"print(ask({name!r}), ask({name!r}, sni={DOMAIN!r}))")
    assert wrong.count("421") == 2
    assert "var config" not in wrong
    assert "There is no site of this name here" in wrong
    assert plain_http(host, "/room", name).startswith("HTTP/1.1 421")


def test_logs_are_not_for_everybody(host: Host) -> None:
    for name in (f"{DOMAIN}.log", f"{DOMAIN}.error.log"):
        assert host.file(f"/var/log/nginx/{name}").mode == 0o640


def test_the_log_says_from_where_people_came(host: Host) -> None:
    """Also where one part of nginx hands them on to another."""
    log = host.check_output(f"cut -d ' ' -f 1 /var/log/nginx/{DOMAIN}.log | sort -u")
    addresses = [ipaddress.ip_address(each) for each in log.split()]
    assert any(not each.is_loopback for each in addresses)


def test_nginx_takes_as_many_connections_as_promised(host: Host) -> None:
    """In the limits of a worker that runs, and in the configuration that it has read."""
    master = host.check_output("cat /run/nginx.pid")
    worker = host.check_output(f"cut -d' ' -f1 /proc/{master}/task/{master}/children")
    limit = re.search(r"Max open files +(\d+)", host.file(f"/proc/{worker}/limits").content_string)
    assert limit
    assert int(limit[1]) >= 16384
    program = host.check_output(f"tr '\\0' ' ' < /proc/{master}/cmdline")
    path = (re.search(r" -c (\S+)", program) or ["", "/etc/nginx/nginx.conf"])[1]
    assert "worker_connections 16384;" in host.file(path).content_string


def test_a_line_break_in_a_path_makes_no_header(host: Host) -> None:
    answer = plain_http(host, "/%0d%0aX-Injected:yes")
    assert "%0d%0aX-Injected" in answer
    assert "\nX-Injected" not in answer


def test_prosody_serves_only_the_hosts_of_the_model(host: Host) -> None:
    """The distribution's example host would offer a login to people."""
    files = set(host.file("/etc/prosody/conf.d").listdir())
    assert files == {f"{DOMAIN}.cfg.lua", f"{DOMAIN}.secrets.cfg.lua"}


SECRET_FILES = [
    (f"/etc/prosody/conf.avail/{DOMAIN}.cfg.lua", "root prosody 640"),
    (f"/etc/prosody/conf.avail/{DOMAIN}.secrets.cfg.lua", "root prosody 640"),
    ("/etc/vestibule/tokens/keys.json", "root prosody 640"),
    (f"/var/lib/prosody/auth.{DOMAIN}.key", "prosody prosody 600"),
    # The AUR has packages of Jicofo that differ in the folder
    ("/etc/*jicofo/jicofo.conf", "jicofo jitsi 640"),
    (f"/etc/vestibule/web/{DOMAIN}.key", "root root 600"),
]


@pytest.fixture(name="rights", scope="module")
def _rights(host: Host) -> list[tuple[str, str]]:
    """Path of each file that is there, with owner, group and mode; asked for at once."""
    paths = " -o ".join(f"-path '{path}'" for path, _ in SECRET_FILES)
    printed = host.check_output(
        f"find /etc /var/lib/prosody \\( {paths} \\) -printf '%p %u %g %m\\n'"
    )
    return [
        (path, rights) for path, _, rights in (line.partition(" ") for line in printed.splitlines())
    ]


@pytest.mark.parametrize(("path", "expected"), SECRET_FILES)
def test_secret_files_are_read_by_their_program_only(
    rights: list[tuple[str, str]], path: str, expected: str
) -> None:
    (found,) = (each for name, each in rights if fnmatch(name, path))
    assert found == expected


def test_the_hosts_file_has_no_secret(host: Host) -> None:
    secret = re.search(
        r'app_secret = "([^"]+)"',
        host.file(f"/etc/prosody/conf.avail/{DOMAIN}.secrets.cfg.lua").content_string,
    )
    assert secret
    assert secret[1] not in host.file(f"/etc/prosody/conf.avail/{DOMAIN}.cfg.lua").content_string


def test_java_trusts_the_certificate_of_prosody(host: Host) -> None:
    fingerprint = host.check_output(
        f"openssl x509 -in /var/lib/prosody/auth.{DOMAIN}.crt -noout -fingerprint -sha256"
    ).partition("=")[2]
    assert fingerprint
    assert fingerprint in host.check_output("keytool -list -cacerts -storepass changeit")


@pytest.fixture(name="interpreter", scope="module")
def _interpreter(host: Host) -> str:
    name: str = host.check_output("sed -n '1s/.* //p' /usr/bin/prosody")
    assert name.startswith("lua")
    return name


@pytest.mark.parametrize("library", ["basexx", "inspect", "cjson.safe", "openssl.pkey", "ssl"])
def test_libraries_load_in_the_lua_that_runs_prosody(
    host: Host, interpreter: str, library: str
) -> None:
    assert host.run(f"{interpreter} -e 'require \"{library}\"'").rc == 0


def test_no_token_is_in_a_log(host: Host) -> None:
    """The access cases have just sent dozens of them."""
    assert host.run("journalctl --unit prosody --grep 'Client connected|BOSH|token' -n 1").rc == 0
    found = host.run(
        "{ journalctl --unit prosody --unit nginx --unit jicofo --no-pager;"
        " cat /var/log/nginx/* /var/log/jitsi/* /var/log/jicofo/*; }"
        " | grep -Ec 'eyJ(hbGci|0eXAi|[A-Za-z0-9_-]{8,}[.])'"
    )
    assert found.stdout.strip() == "0"


@pytest.mark.parametrize("path", ["config.js", "static/vestibule/ended"])
def test_every_answer_has_the_headers_that_protect_people(host: Host, path: str) -> None:
    ask = (
        "import ssl, urllib.request as web; context = ssl._create_unverified_context();"
        f"request = web.Request('https://127.0.0.1/{path}', headers={{'Host': '{DOMAIN}'}});"
        "print(web.urlopen(request, context=context).headers)"
    )
    headers = host.check_output(f'python3 -c "{ask}"')
    assert "Strict-Transport-Security: max-age=" in headers
    assert "X-Content-Type-Options: nosniff" in headers
    assert "Referrer-Policy: no-referrer" in headers
    assert "Content-Security-Policy: default-src 'none'; " in headers
    assert "frame-ancestors 'none'" in headers
    assert "Cache-Control: no-cache" in headers


# What a client offers, at the lowest level of its own OpenSSL: versions and suites that nobody
# should take any more, and as a control those that are taken
TLS = r"""
import json, socket, ssl, sys, warnings
warnings.simplefilter("ignore")
port, domain, xmpp = json.loads(sys.argv[1])
def start(plain, opening):
    for sent, until in (
        (opening, b"</stream:features>"),
        ("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", b"<proceed"),
    ):
        plain.sendall(sent.encode())
        received = b""
        while until not in received:
            received += plain.recv(4096) or sys.exit("the stream ended")
def offer(version, suites):
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.set_ciphers(suites + ":@SECLEVEL=0")
    client.minimum_version = client.maximum_version = getattr(ssl.TLSVersion, version)
    with socket.create_connection(("127.0.0.1", port), 20) as plain:
        if xmpp:
            start(plain, "<stream:stream xmlns='jabber:client' version='1.0' to='auth.%s'"
                  " xmlns:stream='http://etherx.jabber.org/streams'>" % domain)
        try:
            with client.wrap_socket(plain, server_hostname=domain) as secured:
                return secured.version()
        except ssl.SSLError as error:
            return error.reason
print(json.dumps([offer(*each) for each in (
    ("TLSv1", "ALL"), ("TLSv1_1", "ALL"),
    ("TLSv1_2", "ECDHE-ECDSA-AES128-SHA"), ("TLSv1_2", "ECDHE-ECDSA-AES256-SHA384"),
    ("TLSv1_2", "AES128-GCM-SHA256"), ("TLSv1_2", "AES256-SHA"),
    ("TLSv1_2", "ECDHE-ECDSA-AES128-GCM-SHA256"), ("TLSv1_3", "ALL"),
)]))
"""


@pytest.mark.parametrize(
    ("port", "xmpp"),
    [
        pytest.param(443, False, id="the front door"),
        pytest.param(5349, False, id="TURN"),
        pytest.param(5222, True, id="Prosody"),
    ],
)
def test_old_tls_and_weak_suites_are_refused(host: Host, port: int, xmpp: bool) -> None:
    asked = shlex.quote(json.dumps([port, DOMAIN, xmpp]))
    said = json.loads(host.check_output(f"python3 -c {shlex.quote(TLS)} {asked}"))
    # The server's words: where this client had refused to offer them, there would be others. An
    # older coturn knows the versions, and has no suite for them
    no_suite = "SSLV3_ALERT_HANDSHAKE_FAILURE"
    assert set(said[:2]) <= {"TLSV1_ALERT_PROTOCOL_VERSION", no_suite}
    assert set(said[2:6]) == {no_suite}
    assert said[6:] == ["TLSv1.2", "TLSv1.3"]
