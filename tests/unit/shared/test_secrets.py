"""The folder of secrets: made once, completed after a crash, never overwritten."""

import stat
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from shared.cli.app import application
from shared.errors import SecretRefused
from shared.secrets import BUNDLE, OPERATOR, PAIRS, TOKEN, create
from shared.settings import OperatorSettings
from shared.signing import PublicKeys, Signer

FILES = {TOKEN, *(pair.private for pair in PAIRS), *(pair.public for pair in PAIRS)}


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith(".")}


def test_everything_is_made_and_private_files_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "secrets"
    assert set(create(folder)) == FILES
    assert set(contents(folder)) == FILES
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in FILES}
    assert modes == {name: 0o644 if "public" in name else 0o600 for name in FILES}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for pair in PAIRS:
        signer = Signer((folder / pair.private).read_text())
        assert PublicKeys((folder / pair.public).read_text()).key_ids == (signer.key_id,)


def test_two_folders_and_two_pairs_have_nothing_in_common(tmp_path: Path) -> None:
    create(tmp_path / "one")
    create(tmp_path / "two")
    texts = [*contents(tmp_path / "one").values(), *contents(tmp_path / "two").values()]
    assert len(set(texts)) == len(texts)


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    create(tmp_path)
    before = contents(tmp_path)
    assert create(tmp_path) == ()
    assert contents(tmp_path) == before


@pytest.mark.parametrize("lost", [{TOKEN}, {BUNDLE.public}, {OPERATOR.private, OPERATOR.public}, FILES])
def test_what_a_crash_left_out_is_made_and_the_rest_is_kept(tmp_path: Path, lost: set[str]) -> None:
    create(tmp_path)
    before = contents(tmp_path)
    for name in lost:
        (tmp_path / name).unlink()
    assert set(create(tmp_path)) == lost
    after = contents(tmp_path)
    assert {name: after[name] for name in FILES - lost} == {name: before[name] for name in FILES - lost}
    if lost == {BUNDLE.public}:
        assert after == before


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        (BUNDLE.private, None, "the private key plumbline_bundle_key is not"),
        (BUNDLE.private, "nonsense", "cannot be read"),
        (BUNDLE.public, "nonsense", "no public key"),
        (TOKEN, " \n", "is empty"),
    ],
)
def test_a_folder_that_cannot_be_completed_is_refused_unchanged(
    tmp_path: Path, name: str, text: str | None, reason: str
) -> None:
    create(tmp_path)
    (tmp_path / OPERATOR.public).unlink()
    (tmp_path / name).unlink() if text is None else (tmp_path / name).write_text(text)
    before = contents(tmp_path)
    with pytest.raises(SecretRefused, match=reason) as refused:
        create(tmp_path)
    assert refused.value.next_step
    assert contents(tmp_path) == before


def test_the_public_key_of_another_pair_is_refused(tmp_path: Path) -> None:
    create(tmp_path)
    (tmp_path / BUNDLE.public).write_text((tmp_path / OPERATOR.public).read_text())
    with pytest.raises(SecretRefused, match="lacks the public key"):
        create(tmp_path)


def test_several_makers_at_once_agree(tmp_path: Path) -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend(create(tmp_path))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == sorted(FILES)


def test_the_command_says_what_it_made_and_then_that_nothing_is_missing(tmp_path: Path) -> None:
    first = CliRunner().invoke(application(), ["secrets", "create", str(tmp_path / "s")])
    assert first.exit_code == 0
    assert all(name in first.output for name in FILES)
    assert "PLUMBLINE_SECRETS_DIR=" in first.output
    assert (tmp_path / "s" / TOKEN).read_text().strip() not in first.output
    again = CliRunner().invoke(application(), ["secrets", "create", str(tmp_path / "s")])
    assert (again.exit_code, "nothing was changed" in again.output) == (0, True)


# ---- what daemons read


def test_a_daemon_reads_the_folder_that_is_named_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create(tmp_path)
    monkeypatch.setenv("PLUMBLINE_SECRETS_DIR", str(tmp_path))
    assert OperatorSettings().operator_token == SecretStr((tmp_path / TOKEN).read_text().strip())


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create(tmp_path)
    monkeypatch.setenv("PLUMBLINE_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("PLUMBLINE_OPERATOR_TOKEN", "from the environment")
    assert OperatorSettings().operator_token == SecretStr("from the environment")


def test_without_a_folder_there_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUMBLINE_SECRETS_DIR")
    assert OperatorSettings().operator_token is None


def test_a_folder_that_is_not_there_is_said_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SecretRefused, match="nowhere, which is no folder"):
        OperatorSettings()


def test_a_secret_is_not_printed(tmp_path: Path) -> None:
    create(tmp_path)
    settings = OperatorSettings(secrets_dir=tmp_path)
    assert (tmp_path / TOKEN).read_text().strip() not in repr(settings)
