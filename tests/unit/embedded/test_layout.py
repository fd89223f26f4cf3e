import stat
from pathlib import Path

from shared.embedded.layout import layout_of, make_secrets, operator_token, prepare, rotate
from shared.secrets import PAIRS


def test_the_token_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    layout = layout_of(tmp_path)
    token = operator_token(layout)
    assert len(token) >= 32
    assert operator_token(layout) == token
    assert stat.S_IMODE(layout.token.stat().st_mode) == 0o600
    assert stat.S_IMODE(layout.secrets.stat().st_mode) == 0o700


def test_the_token_of_a_former_state_directory_moves_into_the_folder(tmp_path: Path) -> None:
    (tmp_path / "operator.token").write_text("as before\n")
    layout = layout_of(tmp_path)
    make_secrets(layout)
    assert operator_token(layout) == "as before"
    assert not (tmp_path / "operator.token").exists()
    assert {pair.private for pair in PAIRS} <= {path.name for path in layout.secrets.iterdir()}


def test_the_environment_s_token_wins_over_the_file_s(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PLUMBLINE_OPERATOR_TOKEN", "from the environment")
    assert operator_token(layout_of(tmp_path)) == "from the environment"


def test_a_relative_state_directory_becomes_absolute(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    layout = layout_of(Path(".plumbline"))
    prepare(layout, ("ingest",))
    assert layout.artifacts == tmp_path / ".plumbline" / "artifacts"
    assert layout.artifacts.is_dir()
    assert layout.of("ingest").is_dir()
    assert layout.log("ingest").parent.is_dir()


def test_logs_rotate_by_size_and_the_oldest_goes(tmp_path: Path) -> None:
    log = tmp_path / "ingest.log"
    for text in ("one", "two", "three", "four"):
        rotate(log, limit_bytes=3, kept=2)
        log.write_text(text)
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == ["four", "three", "two"]


def test_a_small_log_stays(tmp_path: Path) -> None:
    log = tmp_path / "ingest.log"
    log.write_text("few")
    rotate(log, limit_bytes=10)
    assert list(tmp_path.iterdir()) == [log]


def test_a_log_that_is_written_to_rotates_too_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "ingest.log"
    with log.open("ab", buffering=0) as writer:
        for text in (b"one", b"two", b"three", b"four"):
            writer.write(text)
            rotate(log, limit_bytes=4, kept=2, in_use=True)
        writer.write(b"five")
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["ingest.log", "ingest.log.1", "ingest.log.2"]
    assert "".join(path.read_text() for path in sorted(tmp_path.iterdir(), reverse=True)) == "threefourfive"
