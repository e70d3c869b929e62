"""Users of a running node: where they are declared, kept and shown, and what becomes of their connections."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from ports import free_ports
from server_process import serving, until_closed
from wire import Wire

from ringkeeper.server.config import read_arguments, rewrite_file

NOBODY_ELSE = "user default on nopass sanitize-payload ~* &* +@all"


def users(client: redis.Redis) -> list[str]:
    return [line.decode() if isinstance(line, bytes) else line for line in client.acl_list()]


def test_users_of_the_configuration_may_do_what_it_says(tmp_path: Path) -> None:
    conf = tmp_path / "node.conf"
    conf.write_text(
        "user reader on >secret ~cache:* +@read\n"
        r'''user "worker" on nopass (+set ~jobs:*) "(+get \"~jo'bs\")"'''
    )
    with serving(tmp_path, str(conf)) as server:
        reader = server.client(username="reader", password="secret")
        assert reader.get("cache:a") is None
        with pytest.raises(redis.exceptions.NoPermissionError, match="No permissions to access a key"):
            reader.get("other")
        with pytest.raises(redis.exceptions.NoPermissionError, match="User reader has no permissions to run the 'set'"):
            reader.set("cache:a", 1)
        worker = server.client(username="worker", password="any")
        assert worker.set("jobs:1", 1)
        assert worker.get("jo'bs") is None
        with pytest.raises(redis.AuthenticationError):
            server.client(username="reader", password="wrong").ping()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--user", "a", "on", "+nope"], "--user: user a: Unknown command or category name in ACL"),
        (["--user", "a", "(+get"], "unmatched parenthesis"),
        (["--user", "a b", "on"], "spaces are not allowed"),
        (["--user", "a", "on", "--user", "a", "off"], "declared before"),
        (["--user", "a", "on", "--aclfile", "users.acl"], "not in both"),
        (["--aclfile", "nowhere.acl"], "nowhere.acl"),
    ],
)
def test_a_wrong_declaration_ends_in_one_clear_sentence(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ringkeeper.server", *arguments], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_saved_acl_file_is_loaded_again(tmp_path: Path) -> None:
    (tmp_path / "users.acl").write_text("user a on >x ~a* +get\n")
    with serving(tmp_path, "--aclfile", "users.acl") as server:
        client = server.client()
        client.acl_setuser("b", enabled=True, nopass=True, keys=['q"uote'], commands=["+get"])
        client.acl_save()
        before = users(client)
    assert oct((tmp_path / "users.acl").stat().st_mode & 0o777) == "0o644"
    assert b">x" not in (tmp_path / "users.acl").read_bytes()
    with serving(tmp_path, "--aclfile", "users.acl") as server:
        assert users(server.client()) == before


def test_a_load_closes_only_connections_of_users_that_are_gone(tmp_path: Path) -> None:
    file = tmp_path / "users.acl"
    file.write_text("user a on nopass +@all ~*\nuser b on nopass +@all ~*\n")
    with serving(tmp_path, "--aclfile", "users.acl") as server:
        client = server.client()
        a, b = (server.connect() for _ in range(2))
        for connection, name in ((a, b"a"), (b, b"b")):
            connection.sendall(b"AUTH %b x\r\n" % name)
            assert connection.recv(100) == b"+OK\r\n"
        file.write_text("user a on nopass -@all +ping\n")
        assert client.acl_load()
        assert until_closed(b) == b""
        a.sendall(b"PING\r\nGET k\r\n")
        received = b""
        while received.count(b"\r\n") < 2:
            received += a.recv(200)
        assert received == b"+PONG\r\n-NOPERM User a has no permissions to run the 'get' command\r\n"


BAD_FILE = (
    "user a on\nnonsense\n\nuser a off\nuser b +nope ~a +@never\nuser d\td\nuser e  'x\nuser f ~* ~a on\nuser g <x\n"
)


def test_a_bad_acl_file_loads_nothing_and_says_what_redis_says(tmp_path: Path) -> None:
    file = tmp_path / "users.acl"
    file.write_text("user a on nopass\n")
    with serving(tmp_path, "--aclfile", "users.acl") as server:
        client = server.client()
        before = users(client)
        file.write_text(BAD_FILE)
        with pytest.raises(redis.ResponseError) as raised:
            client.acl_load()
        assert users(client) == before
    done = subprocess.run(
        ["redis-server", "--port", str(free_ports(1)[0]), "--aclfile", "users.acl", "--dir", str(tmp_path)],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert str(raised.value) in done.stdout


def test_without_an_acl_file_nothing_is_loaded_or_saved(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        for command in ("LOAD", "SAVE"):
            with pytest.raises(redis.ResponseError, match="not configured to use an ACL file"):
                server.client().execute_command("ACL", command)


def test_requirepass_holds_when_an_acl_file_does_not_speak_of_the_default_user(tmp_path: Path) -> None:
    (tmp_path / "users.acl").write_text("user a on nopass\n")
    with serving(tmp_path, "--aclfile", "users.acl", "--requirepass", "secret") as server:
        with pytest.raises(redis.AuthenticationError):
            server.client().ping()
        assert server.client(password="secret").acl_load()
        with pytest.raises(redis.AuthenticationError):
            server.client().ping()


def test_config_rewrite_keeps_the_users(tmp_path: Path) -> None:
    conf = tmp_path / "node.conf"
    conf.write_text("# mine\nrequirepass secret\nuser a on >x ~a* +get\n")
    with serving(tmp_path, str(conf)) as server:
        client = server.client(password="secret")
        client.acl_setuser("b", enabled=True, nopass=True, commands=["+set"])
        client.config_rewrite()
        before = users(client)
    text = conf.read_text()
    assert text.startswith("# mine\n")
    assert ">x" not in text
    assert "user default" not in text
    with serving(tmp_path, str(conf)) as server:
        assert users(server.client(password="secret")) == before


def test_users_are_rewritten_in_the_place_of_their_lines(tmp_path: Path) -> None:
    conf = tmp_path / "node.conf"
    conf.write_text("# who\nuser a on >x ~a* +get\n# end\nuser gone on\n")
    config = read_arguments([str(conf)])
    assert [words[0] for _, words in config.users] == ["a", "gone"]
    rewrite_file(conf, {"maxclients": "7"}, [b'user a on "~q\\"x" +set', b"user b off", b"user c off"])
    text = conf.read_text()
    assert text.startswith('# who\nuser a on "~q\\"x" +set\n# end\nuser b off\n')
    again = read_arguments([str(conf)])
    assert [words for _, words in again.users] == [["a", "on", '~q"x', "+set"], ["b", "off"], ["c", "off"]]
    rewrite_file(conf, {}, [])
    assert "user" not in conf.read_text()


def test_a_deleted_users_connections_are_closed(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        client = server.client()
        client.acl_setuser("a", enabled=True, nopass=True, categories=["+@all"])
        connection = server.connect()
        connection.sendall(b"AUTH a x\r\nACL DELUSER a nobody\r\n")
        assert until_closed(connection) == b"+OK\r\n:1\r\n"


def test_clients_are_listed_and_killed_by_user(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        client = server.client()
        client.acl_setuser("a", enabled=True, nopass=True, categories=["+@all"])
        connection = server.connect()
        connection.sendall(b"AUTH a x\r\n")
        assert connection.recv(100) == b"+OK\r\n"
        assert [each["user"] for each in client.client_list() if each["user"] != "default"] == ["a"]
        assert client.client_kill_filter(user="a") == 1
        assert until_closed(connection) == b""
        with pytest.raises(redis.ResponseError, match="No such user 'b'"):
            client.client_kill_filter(user="b")


def test_a_reset_connection_is_the_default_users_again(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.client().acl_setuser("a", enabled=True, nopass=True, commands=["+acl|whoami"])
        connection = server.connect()
        connection.sendall(b"AUTH a x\r\nACL WHOAMI\r\nRESET\r\nACL WHOAMI\r\nQUIT\r\n")
        assert until_closed(connection) == b"+OK\r\n$1\r\na\r\n+RESET\r\n$7\r\ndefault\r\n+OK\r\n"


def test_secrets_are_hidden_from_monitor_and_slowlog(tmp_path: Path) -> None:
    with serving(tmp_path, "--slowlog-log-slower-than", "0") as server:
        client = server.client()
        with client.monitor() as monitor:
            client.acl_setuser("a", enabled=True, passwords=["+hidden"], categories=["+@all"])
            connection = server.connect()
            connection.sendall(b"AUTH a hidden\r\nHELLO 2 AUTH a hidden SETNAME me\r\nPING end\r\n")
            seen = []
            while not any("end" in line for line in seen):
                seen.append(monitor.next_command()["command"])
        kept = str(client.slowlog_get(100))
        assert "hidden" not in str(seen)
        assert "hidden" not in kept
        assert "SETNAME me" in str(seen)
        assert "(redacted)" in kept


def test_refusals_are_logged_and_counted(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        client = server.client()
        client.acl_setuser("a", enabled=True, passwords=["+x"], commands=["+get", "+publish"], keys=["k"])
        user = server.client(username="a", password="x")
        for attempt in (lambda: user.get("other"), lambda: user.set("k", 1), lambda: user.publish("c", "m")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                attempt()
        with pytest.raises(redis.AuthenticationError):
            server.client(username="a", password="wrong").ping()
        reasons = {entry["reason"]: entry for entry in client.acl_log()}
        assert set(reasons) == {"auth", "command", "key", "channel"}
        assert reasons["key"]["object"] == "other"
        assert reasons["key"]["client-info"]["user"] == "a"
        counts = client.info("stats")
        assert all(counts[f"acl_access_denied_{word}"] >= 1 for word in ("auth", "cmd", "key", "channel"))
        assert client.acl_log_reset()
        assert client.acl_log() == []


@pytest.mark.parametrize("protocol", [2, 3])
def test_the_helpers_of_redis_py_work(tmp_path: Path, protocol: int) -> None:
    with serving(tmp_path) as server:
        client = server.client(protocol=protocol, decode_responses=True)
        assert client.acl_whoami() == "default"
        assert "string" in client.acl_cat()
        assert "get" in client.acl_cat("read")
        assert re.fullmatch("[0-9a-f]{64}", client.acl_genpass())
        assert len(client.acl_genpass(5)) == 2
        assert client.acl_setuser(
            "a",
            enabled=True,
            passwords=["+one", "+two"],
            categories=["+@set", "-@hash"],
            commands=["+get", "+mget", "-hset"],
            keys=["cache:*"],
            channels=["news:*"],
            selectors=[("+set", "%W~app*")],
        )
        found = client.acl_getuser("a")
        assert "on" in found["flags"]
        assert found["keys"] in (["~cache:*"], "~cache:*")
        assert len(found["passwords"]) == 2
        assert len(found["selectors"]) == 1
        assert client.acl_dryrun("a", "get", "cache:1") == "OK"
        assert client.acl_dryrun("a", "get", "x") == "User a has no permissions to access the 'x' key"
        assert client.acl_users() == ["a", "default"]
        assert client.acl_help()[0].startswith("ACL <subcommand>")
        assert client.acl_deluser("a") == 1
        assert client.acl_list() == [NOBODY_ELSE]
        assert client.acl_getuser("a") is None


def test_who_came_when_a_password_was_needed_may_say_more_once_none_is(tmp_path: Path) -> None:
    with serving(tmp_path, "--requirepass", "secret") as server:
        early = Wire(server.port)
        assert early("PING") == "-NOAUTH Authentication required."
        server.client(password="secret").acl_setuser("default", enabled=True, nopass=True, reset_passwords=True)
        assert early("MSET", *range(20)) == "OK"
