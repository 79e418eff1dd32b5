"""What the templates make, read back by the languages that it is written in."""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import prosody_config
from lupa import lua54
from pyhocon import ConfigFactory

ROOT = Path(__file__).parents[2]
PLAYBOOK = str(ROOT / "tests/render/render.yml")
DOMAIN = "meet.example.org"
HOSTILE = 'it\'s "quoted", \\ ]] --[[ 100 % $x ${y} #{z} {{ ü € 日本 }} and long enough'
TURN_SECRET = "n7Kq-3Zs_9dVb2LxYt5RmWcP8hGf4JjQ"  # of the letters that made ones have
# Prosody evaluates its configuration in such an environment (core/configmanager.lua)
PROSODY = """
return function(text)
    local result, here = { ["*"] = {} }, "*"
    local function open(name, kind)
        here = name
        result[name] = result[name] or {}
        result[name].kind = kind
    end
    local functions = {
        VirtualHost = function(name) open(name, "VirtualHost") end,
        Component = function(name)
            open(name, "Component")
            return function(module) result[name].component = module end
        end,
        Include = function(pattern) result["*"].Include = pattern end,
    }
    local environment = setmetatable({}, {
        __index = function(_, key) return functions[key] end,
        __newindex = function(_, key, value) result[here][key] = value end,
    })
    local chunk, problem = load(text, "=configuration", "t", environment)
    if not chunk then error(problem) end
    chunk()
    return result
end
"""


def to_python(value: Any) -> Any:
    """A Lua value as Python has it: a table with only 1..n as keys is a list."""
    if lua54.lua_type(value) != "table":
        return value
    keys = list(value)
    if keys and keys == list(range(1, len(keys) + 1)):
        return [to_python(value[key]) for key in keys]
    return {key: to_python(value[key]) for key in keys}


@pytest.fixture(name="rendered", scope="session")
def _rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("rendered")
    values = {
        "root": str(ROOT),
        "output": str(output),
        "jitsi_domain": DOMAIN,
        "jitsi_token_secret": HOSTILE,
        "jicofo_password": HOSTILE,
        "jitsi_videobridge_password": HOSTILE,
        "coturn_secret": TURN_SECRET,
    }
    extra = output / "extra.json"
    # `!unsafe` keeps Jinja from reading the hostile secret, as it does for an inventory
    lines = [f"{name}: !unsafe {json.dumps(value)}" for name, value in values.items()]
    extra.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = subprocess.run(
        ["ansible-playbook", "-i", "localhost,", "-c", "local", "-e", f"@{extra}", PLAYBOOK],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return output


def prosody(path: Path) -> dict[str, Any]:
    """What Prosody would read from the file: settings by host, ``*`` for the global ones."""
    lua = lua54.LuaRuntime(encoding="utf-8")
    result: dict[str, Any] = to_python(lua.execute(PROSODY)(path.read_text(encoding="utf-8")))
    return result


@pytest.fixture(name="model")
def _model(rendered: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((rendered / "model.json").read_text(encoding="utf-8"))
    return content


def test_the_hosts_file_says_what_the_model_says(rendered: Path, model: dict[str, Any]) -> None:
    read = prosody(rendered / "hosts.cfg.lua")
    assert read["*"].keys() == model["prosody"]["settings"].keys()
    for name, host in model["prosody"]["hosts"].items():
        expected = {"kind": host["kind"], **host["settings"]}
        if "component" in host:
            expected["component"] = host["component"]
        if host["modules"]:
            expected["modules_enabled"] = host["modules"]
        if name in (DOMAIN, f"auth.{DOMAIN}"):
            files = {"certificate": "crt", "key": "key"}
            expected["ssl"] = {
                key: f"/var/lib/prosody/{name}.{ending}" for key, ending in files.items()
            }
        assert read[name] == expected
    assert read.keys() == {"*", *model["prosody"]["hosts"]}


def test_what_is_compared_for_a_reload_is_what_prosody_reads(rendered: Path) -> None:
    for name in ("hosts.cfg.lua", "secrets.cfg.lua"):
        known = {
            (line.split('"')[1] if line else "*"): options
            for line, options in prosody_config.read((rendered / name).read_text("utf-8")).items()
        }
        read = prosody(rendered / name)
        assert known.keys() == read.keys()
        for host, options in known.items():
            assert options.keys() == read[host].keys() - {"kind", "component"}
            for option, value in options.items():
                lua = lua54.LuaRuntime(encoding="utf-8")
                assert to_python(lua.eval(value)) == read[host][option]


def test_a_hostile_secret_arrives_unharmed_in_lua(rendered: Path) -> None:
    read = prosody(rendered / "secrets.cfg.lua")
    turn = {"external_service_secret": TURN_SECRET}
    assert read == {
        "*": {},
        DOMAIN: {"kind": "VirtualHost", "app_secret": HOSTILE, **turn},
        f"metadata.{DOMAIN}": {
            "kind": "Component",
            "component": "room_metadata_component",
            **turn,
        },
    }


def test_all_that_tell_of_turn_have_the_secret_of_its_credentials(
    rendered: Path, model: dict[str, Any]
) -> None:
    """A browser meets nobody with a server of which it has no credentials."""
    telling = {
        name
        for name, host in model["prosody"]["hosts"].items()
        if "external_services" in host["modules"]
        or host.get("component") == "room_metadata_component"
    }
    read = prosody(rendered / "secrets.cfg.lua")
    assert {name for name in read if "external_service_secret" in read[name]} == telling


def test_a_hostile_password_arrives_unharmed_in_hocon(rendered: Path) -> None:
    conf = ConfigFactory.parse_file(rendered / "jicofo.conf")
    assert conf.get_string("jicofo.xmpp.client.password") == HOSTILE
    assert conf.get_string("jicofo.xmpp.client.domain") == f"auth.{DOMAIN}"
    assert conf.get_bool("jicofo.authentication.enabled") is False


def test_a_bridge_logs_in_where_jicofo_looks_for_it(rendered: Path) -> None:
    conf = ConfigFactory.parse_file(rendered / "jvb.conf")["videobridge"]
    login = conf["apis"]["xmpp-client"]["configs"]["prosody"]
    jicofo = ConfigFactory.parse_file(rendered / "jicofo.conf")["jicofo"]
    assert login["password"] == HOSTILE
    assert login["muc_jids"] == jicofo["bridge"]["brewery-jid"]
    assert login["domain"] == jicofo["xmpp"]["client"]["domain"]
    assert login["port"] == jicofo["xmpp"]["client"]["port"]
    assert "disable_certificate_verification" not in login
    assert conf["sctp"]["enabled"] is jicofo["sctp"]["enabled"] is False


def test_a_bridge_asks_nobody_for_its_address(rendered: Path) -> None:
    mapping = ConfigFactory.parse_file(rendered / "jvb.conf")["ice4j"]["harvest"]["mapping"]
    assert mapping["aws"]["enabled"] is False
    assert mapping["stun"]["addresses"] == []
    assert mapping["static-mappings"] == []


def test_a_bridge_behind_nat_says_the_address_in_front(rendered: Path) -> None:
    mapping = ConfigFactory.parse_file(rendered / "nat-jvb.conf")["ice4j"]["harvest"]["mapping"]
    assert mapping["static-mappings"] == [
        {"local-address": "10.0.0.5", "public-address": "203.0.113.7"},
        {"local-address": "2001:db8::5", "public-address": "2001:db8:1::7"},
    ]


def test_java_gets_a_part_of_the_memory_for_a_bridge(rendered: Path) -> None:
    text = (rendered / "nat-service.conf").read_text(encoding="utf-8")
    assert "\nEnvironment=VIDEOBRIDGE_MAX_MEMORY=1365m\n" in text


def test_channels_pass_to_the_bridge_that_has_their_name(rendered: Path) -> None:
    conf = ConfigFactory.parse_file(rendered / "jvb.conf")["videobridge"]
    site = (rendered / "site.conf").read_text(encoding="utf-8")
    server = conf["http-servers"]["public"]
    name = conf["websockets"]["server-id"]
    assert f"location ~ ^/colibri-ws/({name})/[^/]+/[^/]+$ {{" in site
    assert site.count(f"proxy_pass http://{server['host']}:{server['port']};") == 1
    assert conf["websockets"]["domains"] == [f"{DOMAIN}:443"]


def test_the_secret_is_in_its_own_file_only(rendered: Path) -> None:
    for name in ("hosts.cfg.lua", "prosody.cfg.lua", "config.js", "site.conf"):
        assert "日本" not in (rendered / name).read_text(encoding="utf-8"), name


def test_config_js_is_an_object(rendered: Path) -> None:
    text = (rendered / "config.js").read_text(encoding="utf-8")
    found = re.search(r"^var config = (\{.*\});$", text, re.MULTILINE | re.DOTALL)
    assert found
    assert json.loads(found[1])["hosts"]["domain"] == DOMAIN


def test_prosody_takes_no_connection_from_outside(rendered: Path) -> None:
    read = prosody(rendered / "prosody.cfg.lua")["*"]
    assert read["interfaces"] == ["127.0.0.1"]
    assert read["http_interfaces"] == ["127.0.0.1", "127.0.0.2"]
    assert read["modules_disabled"] == ["s2s", "offline"]
    for ports in ("https_ports", "component_ports", "c2s_direct_tls_ports"):
        assert not read[ports]
    assert "debug" not in read["log"]


@pytest.mark.parametrize(
    "text",
    [
        f"internal.auth.{DOMAIN}",
        f'Component "focus.{DOMAIN}" "client_proxy"',
        f'Component "polls.{DOMAIN}"',
        '--"polls";',
        "unlimited_jids",
        "component_admins_as_room_owners = ",
        'VirtualHost "jigasi.meet.jitsi"',
        f'Component "conference.{DOMAIN}" "muc"\n    restrict_room_creation',
    ],
)
def test_the_maintainer_scripts_find_what_they_look_for(rendered: Path, text: str) -> None:
    """Otherwise they edit the file (upstream: debian/jitsi-meet-prosody.postinst)."""
    assert text in (rendered / "hosts.cfg.lua").read_text(encoding="utf-8")


def test_the_token_package_finds_tokens_switched_on(rendered: Path) -> None:
    """Upstream: debian/jitsi-meet-tokens.postinst."""
    text = (rendered / "hosts.cfg.lua").read_text(encoding="utf-8")
    assert re.search(r'^\s*authentication\s*=\s*"token" -- do not delete me', text, re.MULTILINE)
    assert 'Include "conf.d/*.cfg.lua"' in (rendered / "prosody.cfg.lua").read_text(
        encoding="utf-8"
    )


def test_the_log_of_the_web_server_has_no_query(rendered: Path) -> None:
    text = (rendered / "site.conf").read_text(encoding="utf-8")
    formats = re.findall(r"^log_format (?:.*?);", text, re.MULTILINE | re.DOTALL)
    assert len(formats) == 1
    assert not re.search(r"\$(request|request_uri|args|query_string)\b", formats[0])
    servers = len(re.findall(r"^server {", text, re.MULTILINE))
    assert text.count("access_log ") == text.count(" vestibule;") == servers == 3
    assert text.count("error_log ") == text.count(" emerg;") == servers


def test_both_servers_with_tls_take_the_same_safe_cipher_suites(rendered: Path) -> None:
    """The default server shakes hands for those that name no server."""
    text = (rendered / "site.conf").read_text(encoding="utf-8")
    suites = re.findall(r"^ +ssl_ciphers (\S+);", text, re.MULTILINE)
    assert len(suites) == 2
    assert len(set(suites)) == 1
    for suite in suites[0].split(":"):
        assert re.fullmatch(r"ECDHE-(ECDSA|RSA)-(AES(128|256)-GCM-SHA\d+|CHACHA20-POLY1305)", suite)
    assert "ssl_stapling" not in text


def test_another_site_may_be_the_default_one(rendered: Path) -> None:
    text = (rendered / "guest-site.conf").read_text(encoding="utf-8")
    assert "default_server" not in text
    assert "return 421" not in text
    assert text.count("ssl_stapling on;") == 1  # its certificate names who confirms it


def test_turn_has_the_port_of_https_together_with_the_pages(rendered: Path) -> None:
    site, stream, unit = (
        (rendered / f"shared-{name}.conf").read_text(encoding="utf-8")
        for name in ("site", "stream", "service")
    )
    # Only one part of nginx has the port, and only that one is believed who comes
    addresses = ["192.0.2.10:8443", "[2001:db8::10]:8443"]
    assert re.findall(r"listen (\S+);", stream)[:2] == addresses
    assert ":8443;" not in site
    sockets = re.findall(r"listen (unix:\S+)((?: \w+)*)(?: backlog=4096)?;", site)
    assert len(sockets) == 2
    assert {socket for socket, _ in sockets} == {"unix:/run/nginx-vestibule-front/pages"}
    assert all(words.endswith(" ssl proxy_protocol") for _, words in sockets)
    servers = site.split("\nserver {")[1:]
    for server in servers:
        assert "set_real_ip_from unix:;\n    real_ip_header proxy_protocol;" in server
    # The authority asks for the challenge of both names
    assert "server_name meet.example.org turn.meet.example.org;" in servers[0]
    assert "turn.meet.example.org" not in "".join(servers[1:])

    ways = dict(re.findall(r"^ +(\S+) unix:(\S+);$", stream, re.MULTILINE))
    assert ways["default"] == "/run/nginx-vestibule-front/pages"
    assert f"listen unix:{ways['turn.meet.example.org']} proxy_protocol backlog=4096;" in stream
    assert "proxy_pass 127.0.0.1:15349;" in stream
    assert "limit_conn vestibule_relays 77;" in stream
    # Nobody is sent away before those behind it would
    [longest] = re.findall(r"proxy_timeout (\d+)s;", stream)
    assert int(longest) > max(map(int, re.findall(r"proxy_read_timeout (\d+)s;", site)))
    # Made by nginx for its user alone; not that of a cache, from which sockets go
    assert f"scgi_temp_path {Path(ways['default']).parent};" in servers[2]
    assert not re.search(r"proxy_cache_path /run/nginx-vestibule-front\b", site)
    [stale] = re.findall(r"^ExecStartPre=-/bin/rm --force (.*)$", unit, re.MULTILINE)
    assert set(stale.split()) == set(ways.values())


def test_the_unit_of_others_removes_nothing(rendered: Path) -> None:
    assert "/bin/rm" not in (rendered / "service.conf").read_text(encoding="utf-8")


def test_a_proxy_in_front_says_who_comes_and_another_port_is_in_every_link(rendered: Path) -> None:
    text = (rendered / "proxied-site.conf").read_text(encoding="utf-8")
    servers = text.split("\nserver {")[1:]
    assert len(servers) == 3
    for server in servers:
        assert "set_real_ip_from 192.0.2.7;\n    set_real_ip_from 2001:db8::/64;" in server
        assert "real_ip_header X-Forwarded-For;" in server
    assert "return 301 https://meet.example.org:8443$vestibule_path;" in servers[0]
    assert ":443" not in text
    # What browsers keep for the domain would send them to 443
    assert "Strict-Transport-Security" not in text
    assert [server.count(":8081;") for server in servers] == [0, 0, 2]
    assert "if ($vestibule_plain_stranger) {\n        return 403;" in servers[2]
    assert "    2001:db8::/64 1;" in text.split("geo $realip_remote_addr")[1]
    assert 'root "/srv/the client";' in text


def test_nobody_says_who_comes_where_no_proxy_is_trusted(rendered: Path) -> None:
    text = (rendered / "site.conf").read_text(encoding="utf-8")
    assert "real_ip" not in text and "geo " not in text


def policies(path: Path) -> list[str]:
    """What the servers of a site allow their pages, and last what those of its ends may."""
    text = path.read_text(encoding="utf-8")
    return re.findall(r'add_header Content-Security-Policy "(.*)" always;', text)


def test_pages_run_the_scripts_of_the_server_and_ask_nobody_else(rendered: Path) -> None:
    plain, other_name, client, ends = policies(rendered / "site.conf")
    assert plain == other_name
    for policy in (plain, other_name, client, ends):
        assert policy.startswith("default-src 'none'; ")
        assert policy.endswith("; frame-ancestors 'none'")
        assert "http" not in policy and "*" not in policy
    assert "script-src 'self' 'nonce-$request_id' 'wasm-unsafe-eval';" in client
    assert f"connect-src 'self' wss://{DOMAIN} data: blob:;" in client
    assert not any("script-src" in policy for policy in (plain, other_name, ends))


def test_others_are_asked_for_all_but_scripts(rendered: Path) -> None:
    *words, client, ends = policies(rendered / "open-site.conf")
    others = " https://board.example.net wss://board.example.net:8443"
    directives = dict(part.split(" ", 1) for part in client.split("; "))
    asked = {name for name, sources in directives.items() if sources.endswith(others)}
    assert asked == {"img-src", "media-src", "connect-src", "frame-src"}
    # An origin by https stands for no WebSocket
    assert " wss://board.example.net data:" in directives["connect-src"]
    for policy in (*words, client, ends):
        assert policy.endswith("; frame-ancestors https://intranet.example.org")


def test_what_the_operator_adds_comes_before_our_places(rendered: Path) -> None:
    *others, site = (rendered / "site.conf").read_text(encoding="utf-8").split("\nserver {")
    assert site.count('include "/etc/nginx/vestibule.d/*.conf";') == 1
    assert site.index("vestibule.d") < site.index("location ")
    assert not any("vestibule.d" in other for other in others)


def end_pages(path: Path) -> dict[str, str]:
    """The pages of those who get no further, by language and end."""
    text = path.read_text(encoding="utf-8")
    part = r'<!--# if expr="\$vestibule_page = (\w+:\w+)" -->(.*?)<!--# endif -->'
    return dict(re.findall(part, text, re.DOTALL))


def test_each_end_has_a_page_in_each_language(rendered: Path) -> None:
    pages = end_pages(rendered / "ends.html")
    named = re.search(r"\(\?<vestibule_end>([\w|]+)\)", (rendered / "site.conf").read_text("utf-8"))
    assert named
    ends = named[1].split("|")
    languages = {key.partition(":")[0] for key in pages}
    assert {"en", "de"} <= languages
    assert pages.keys() == {f"{language}:{end}" for language in languages for end in ends}
    for key, text in pages.items():
        assert f'<html lang="{key[:2]}">' in text
        assert "<address>" in text and "/login" not in text


def test_a_login_is_on_each_page_with_the_room(rendered: Path) -> None:
    pages = end_pages(rendered / "login-ends.html")
    link = (
        '<a href="https://login.example.org/?room=<!--# echo var="vestibule_room_asked" default=""'
        ' -->&amp;of=<!--# echo var="vestibule_tenant_asked" default="" -->">'
    )
    assert pages
    for text in pages.values():
        assert text.count(link) == 1
        assert "<help@" not in text and "&lt;help@example.org&gt;" in text


def test_limits_are_the_numbers_that_were_asked_for(rendered: Path) -> None:
    text = (rendered / "guest-site.conf").read_text(encoding="utf-8")
    assert "limit_conn vestibule_held 77;" in text
    assert "limit_req zone=vestibule_logins burst=77 delay=5;" in text
    assert "zone=vestibule_logins:10m rate=5r/s;" in text
    assert "limit_req zone=vestibule_crowd burst=300 delay=60;" in text
    assert "zone=vestibule_crowd:1m rate=60r/s;" in text


def test_who_was_turned_away_comes_by_the_other_listener(rendered: Path) -> None:
    """Prosody takes one new connection at a time of each, so that nobody else waits behind them."""
    text = (rendered / "site.conf").read_text(encoding="utf-8")
    places = dict(
        re.findall(r"^    location (?:= )?(\S+) \{\n(.*?)^    \}", text, re.MULTILINE | re.DOTALL)
    )
    ways = dict(re.findall(r"^upstream (\S+) \{\n    server (\S+);", text, re.MULTILINE))
    heard = re.search(
        r"^http_interfaces = \{ (.*) \}",
        (rendered / "prosody.cfg.lua").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert heard
    for path, crowd in (("/http-bind", "@crowd_bosh"), ("/xmpp-websocket", "@crowd_websocket")):
        assert f"error_page 429 = {crowd};" in places[path]
        assert "proxy_cache vestibule_turned_away;" in places[path]
        assert "limit_req" not in places[path]
        assert "limit_req zone=vestibule_crowd" in places[crowd]
        assert "proxy_cache" not in places[crowd]
        targets = [
            target
            for place in (path, crowd)
            for target in re.findall(r"proxy_pass http://([^/]+)/", places[place])
        ]
        addresses = [ways.get(target, target).partition(":")[0] for target in targets]
        assert addresses == re.findall(r'"(.*?)"', heard[1])


def test_the_unit_of_nginx_reads_a_copy_of_the_packages_file(rendered: Path) -> None:
    text = (rendered / "service.conf").read_text(encoding="utf-8")
    sed = re.search(
        r'^ExecReload=/bin/sh -c "(sed .*) /etc/nginx/nginx.conf > ', text, re.MULTILINE
    )
    assert sed
    packaged = "events {\n\tworker_connections 768;\n\t# multi_accept on;\n}\n"
    done = subprocess.run(
        ["sh", "-c", sed[1]], input=packaged, capture_output=True, text=True, check=True
    )
    assert done.stdout == packaged.replace("768", "16384")


def turn_options(text: str) -> dict[str, list[str]]:
    """Values by name, of a file with one option a line."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def closed_to_relays(options: dict[str, list[str]], peer: str) -> bool:
    """Whether coturn 4.6.1 would relay nothing there: what is allowed comes first.

    It takes a range that begins at the address of all zeros for one without beginning, whatever the
    version of IP, and every address of IPv4 for less than any of IPv6 (seen).
    """
    address = ipaddress.ip_address(peer)

    def is_in(text: str) -> bool:
        first, last = map(ipaddress.ip_address, (text.split("-") * 2)[:2])
        return (int(first) == 0 or _order(first) <= _order(address)) and (
            _order(address) <= _order(last)
        )

    if any(map(is_in, options.get("allowed-peer-ip", []))):
        return False
    return any(map(is_in, options["denied-peer-ip"]))


def _order(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> tuple[int, int]:
    return address.version, int(address)


@pytest.mark.parametrize(
    ("peer", "closed"),
    [
        ("10.0.8.9", True),
        ("100.64.0.1", True),
        ("127.0.0.1", True),
        ("169.254.169.254", True),
        ("172.31.255.255", True),
        ("172.32.0.1", False),
        ("192.168.0.1", True),
        ("192.0.2.10", True),  # the host itself
        ("192.0.2.11", False),
        ("203.0.113.7", False),
        ("224.0.0.251", True),
        ("255.255.255.255", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("64:ff9b::7f00:1", True),
        ("2002:7f00:1::1", True),
        ("fd00::1", True),
        ("fe80::1", True),
        ("ff02::1", True),
        ("2001:db8::10", True),
        ("2001:db8::11", False),
        ("2a00::1", False),
    ],
)
def test_relays_lead_to_the_internet_and_nowhere_inside(
    rendered: Path, peer: str, closed: bool
) -> None:
    options = turn_options((rendered / "turnserver.conf").read_text(encoding="utf-8"))
    assert closed_to_relays(options, peer) == closed


def test_relays_lead_to_the_networks_that_were_named(rendered: Path) -> None:
    options = turn_options((rendered / "other-turnserver.conf").read_text(encoding="utf-8"))
    assert options["external-ip"] == ["198.51.100.7"]
    assert not closed_to_relays(options, "10.0.8.9")
    assert not closed_to_relays(options, "192.0.2.10")
    assert closed_to_relays(options, "10.0.9.9")
    assert closed_to_relays(options, "198.51.100.7")


def test_turn_takes_the_credentials_of_prosody_alone(rendered: Path) -> None:
    options = turn_options((rendered / "turnserver.conf").read_text(encoding="utf-8"))
    assert options["static-auth-secret"] == [TURN_SECRET]
    assert options.keys() >= {"use-auth-secret", "no-cli", "no-tcp-relay", "no-multicast-peers"}
    assert not options.keys() & {"no-auth", "user", "web-admin", "allow-loopback-peers", "cli-port"}
    assert prosody(rendered / "secrets.cfg.lua")[DOMAIN]["external_service_secret"] == TURN_SECRET


def test_an_old_coturn_gets_no_option_that_it_ends_with(rendered: Path) -> None:
    files = ("turnserver.conf", "other-turnserver.conf")
    new, old = (turn_options((rendered / each).read_text(encoding="utf-8")) for each in files)
    assert "no-rfc5780" in new
    assert "no-rfc5780" not in old


def test_the_unit_of_turn_may_have_a_low_port_where_it_needs_one(rendered: Path) -> None:
    capability = "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"
    assert capability not in (rendered / "coturn.service").read_text(encoding="utf-8")
    assert capability in (rendered / "other-coturn.service").read_text(encoding="utf-8")
