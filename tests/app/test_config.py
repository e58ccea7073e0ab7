"""Where a setting comes from, and what is said of one that cannot be used."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from app import config, options
from app.config import Config, ConfigError
from app.embedded.secret import ensure_secret
from shared_mem import idle


def load(
    folder: Path, arguments: dict[str, str | None] | None = None, environment: dict[str, str] | None = None
) -> Config:
    return config.load(arguments or {}, environment or {}, folder)


def test_defaults_need_nothing(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert found.data_dir == tmp_path / ".tradewind"
    assert found.ports.rest == 8700
    assert found.ports.valkey == 8712
    assert found.gate == "written"
    assert found.replay is None
    assert found.embedded == {"postgres", "nats", "valkey"}


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "tradewind.toml").write_text("port_base = 9100\nspeed = 2.5\nshard = 3\n")
    environment = {"TRADEWIND_PORT_BASE": "9200", "TRADEWIND_SPEED": "4"}
    found = load(tmp_path, {"port_base": "9300", "speed": None}, environment)
    assert (found.port_base, found.speed, found.shard) == (9300, 4.0, 3)


def test_relative_paths_count_from_the_folder_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "tape.dbn.zst").touch()
    found = load(tmp_path, {"data_dir": "here", "replay": "tape.dbn.zst"})
    assert found.data_dir == tmp_path / "here"
    assert found.replay == tmp_path / "tape.dbn.zst"


def test_two_data_folders_never_share_memory(tmp_path: Path) -> None:
    assert load(tmp_path, {"data_dir": "a"}).run_dir != load(tmp_path, {"data_dir": "b"}).run_dir


def test_a_named_server_is_not_started_here(tmp_path: Path) -> None:
    url = "postgresql://desk:secret@db.example:5433/trading"
    found = load(tmp_path, environment={"TRADEWIND_POSTGRES_URL": url})
    assert found.postgres_url == url
    assert found.embedded == {"nats", "valkey"}


def test_orders_go_to_the_own_simulator_unless_another_venue_is_named(tmp_path: Path) -> None:
    assert load(tmp_path, {"host": "0.0.0.0"}).venue_address == ("127.0.0.1", 8702)
    named = load(tmp_path, environment={"TRADEWIND_VENUE_ADDRESS": "venue.example:9876"})
    assert named.venue_address == ("venue.example", 9876)


def test_an_empty_variable_is_as_good_as_none(tmp_path: Path) -> None:
    assert load(tmp_path, environment={"TRADEWIND_NATS_URL": ""}).embedded == {"postgres", "nats", "valkey"}


def test_urls_of_embedded_servers_hold_the_folders_secret(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    secret = ensure_secret(data_dir)
    assert ensure_secret(data_dir) == secret
    found = load(tmp_path, {"data_dir": "data"})
    assert all(secret in url for url in (found.postgres_url, found.nats_url, found.redis_url))
    assert (data_dir / "servers.secret").stat().st_mode & 0o077 == 0


def test_reading_a_configuration_leaves_no_trace(tmp_path: Path) -> None:
    load(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_speed_max_is_flat_out(tmp_path: Path) -> None:
    assert load(tmp_path, {"speed": "max"}).speed == math.inf


@pytest.mark.parametrize(
    ("name", "text", "remedy"),
    [
        ("port_base", "eighty", "give a whole number"),
        ("port_base", "80", "give a number from 1024"),
        ("port_base", "65530", "to 65523"),
        ("speed", "0", "above 0"),
        ("speed", "nan", "above 0"),
        ("speed", "-inf", "above 0"),
        ("gate", "off", '"written"'),
        ("idle", "sleep", "park (sleeps until there is work)"),
        ("log_keep_hours", "0", "from 1 to 876000"),
        ("passive_after_hours", "0", "from 1 to 876000"),
        ("log_keep_hours", "a week", "give a whole number"),
        ("shard", "4096", "0 to 4095"),
        ("data_dir", "", "give the path"),
        ("host", "http://x", "give an address"),
        ("postgres_url", "mysql://x", "postgresql://user:password@host:port"),
        ("nats_url", "nats://", "nats://user:password@host:port"),
        ("redis_url", "redis://h:port", "redis://user:password@host:port"),
        ("venue_address", "venue.example", "like venue.example:9876"),
        ("venue_address", "venue.example:70000", "like venue.example:9876"),
        ("venue_market", "auction", '"replay"'),
        ("venue_temper", "angry", '"ill"'),
        ("venue_seed", "one", "give a whole number"),
        ("venue_copy_faults", "price,rude", "'rude' is none; give some of missing, invented"),
        ("drop_copy_grace_ms", "0", "give milliseconds, from 1 to 3600000"),
        ("drop_copy_file", "no-such-file.toml", "does not exist"),
        ("replay", "no-such-file.dbn", "does not exist"),
    ],
)
def test_a_wrong_value_is_named_with_its_remedy(tmp_path: Path, name: str, text: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as fault:
        load(tmp_path, {name: text})
    assert text in str(fault.value)
    assert remedy in str(fault.value)


def test_tls_of_the_fix_door_needs_certificate_and_key(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem", "ca.pem", "venue.toml"):
        (tmp_path / name).write_text("")
    with pytest.raises(ConfigError, match="fix_tls_cert and fix_tls_key go together"):
        load(tmp_path, {"fix_tls_cert": "cert.pem"})
    with pytest.raises(ConfigError, match="fix_tls_ca needs fix_tls_cert"):
        load(tmp_path, {"fix_tls_ca": "ca.pem"})
    with pytest.raises(ConfigError, match=r"fix_tls_key .*none.pem' does not exist"):
        load(tmp_path, {"fix_tls_cert": "cert.pem", "fix_tls_key": "none.pem"})
    config = load(tmp_path, {"fix_tls_cert": "cert.pem", "fix_tls_key": "key.pem"})
    assert (config.fix_tls_cert, config.fix_tls_ca) == (tmp_path / "cert.pem", None)
    with pytest.raises(ConfigError, match="venue_file and venue_address exclude each other"):
        load(tmp_path, {"venue_file": "venue.toml", "venue_address": "h:1"})


def test_a_misspelt_variable_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"TRADEWIND_POSTGRES_ULR is no variable .* TRADEWIND_POSTGRES_URL"):
        load(tmp_path, environment={"TRADEWIND_POSTGRES_ULR": "postgresql://h"})


def test_a_misspelt_key_of_the_file_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "tradewind.toml").write_text("port_bass = 9100\n")
    with pytest.raises(ConfigError, match=r"tradewind.toml: 'port_bass' .* port_base"):
        load(tmp_path)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "tradewind.toml").write_text("port_base = \n")
    with pytest.raises(ConfigError, match=r"tradewind.toml cannot be read: .*; mend it"):
        load(tmp_path)


def test_a_missing_file_is_a_fault_only_when_it_was_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"TRADEWIND_CONFIG 'other.toml' does not exist"):
        load(tmp_path, environment={"TRADEWIND_CONFIG": "other.toml"})


def test_help_tells_every_setting_and_variable(capsys: pytest.CaptureFixture[str]) -> None:
    from app import cli

    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    for option in options.OPTIONS:
        assert option.flag in shown
        assert option.variable in shown
    for variable in config.OTHER_VARIABLES:
        assert variable in shown
    for command in cli.COMMANDS:
        assert command.name in shown


def test_the_idle_strategies_are_those_of_the_shard() -> None:
    """The configuration knows them without loading what trades."""
    assert tuple(idle.STRATEGIES) == options.IDLE_STRATEGIES
