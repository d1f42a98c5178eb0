"""NSD's terms: asked for before real data moves, never for synthetic data, and answered without a terminal."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import nsd_imagery
from hub import Hub
from nsd_imagery.consent import TERMS, require_terms
from nsd_imagery.errors import AccessError
from nsd_imagery.experiment import SYNTHETIC_MARKER

# Of huggingface_hub's own upload by plain HTTP.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Somebody who has accepted nothing, at a home of their own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("NSD_IMAGERY_ACCEPT_TERMS", raising=False)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nsd_imagery", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


@pytest.fixture
def real(own_release: Path, tmp_path: Path) -> Path:
    """A dataset that does not know itself to be synthetic."""
    (own_release / SYNTHETIC_MARKER).unlink()
    return nsd_imagery.build(own_release, tmp_path / "real", subjects=["subj01"], conditions=["vision"])


def test_terms_are_accepted_once_and_for_the_account(tmp_path: Path) -> None:
    assert not nsd_imagery.terms_accepted()
    with pytest.raises(AccessError, match="push: NSD's terms are not accepted here; read them: nsd-imagery terms"):
        require_terms("push")
    record = nsd_imagery.accept_terms()
    assert record == tmp_path / "config" / "nsd-imagery" / "terms.json"
    assert json.loads(record.read_text())["version"] == 1
    assert nsd_imagery.terms_accepted() == str(record)
    require_terms("push")


@pytest.mark.parametrize(("value", "accepted"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_a_batch_job_accepts_by_a_variable(monkeypatch: pytest.MonkeyPatch, value: str, accepted: bool) -> None:
    monkeypatch.setenv("NSD_IMAGERY_ACCEPT_TERMS", value)
    assert bool(nsd_imagery.terms_accepted()) is accepted


@pytest.mark.parametrize("text", ["", "{", '{"version": 0}', "[]"])
def test_a_record_that_is_damaged_or_of_older_terms_accepts_nothing(text: str) -> None:
    nsd_imagery.accept_terms().write_text(text)
    assert not nsd_imagery.terms_accepted()


def test_the_command_shows_the_terms_with_their_link_and_accepts_them_without_a_terminal() -> None:
    shown = run("terms")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert TERMS in shown.stdout
    assert "https://naturalscenesdataset.org" in shown.stdout
    assert "not accepted yet: nsd-imagery terms --accept, or NSD_IMAGERY_ACCEPT_TERMS=1" in shown.stdout
    assert not nsd_imagery.terms_accepted()
    assert "accepted: " in run("terms", "--accept").stdout
    assert nsd_imagery.terms_accepted()


def test_real_data_is_not_pushed_before_and_no_hub_is_asked(real: Path, hub: Hub) -> None:
    with pytest.raises(AccessError, match="terms --accept"):
        nsd_imagery.push(real, "me/nsd-imagery")
    with pytest.raises(AccessError, match="terms --accept"):
        nsd_imagery.push(real, "me/nsd-imagery", dry_run=True)
    assert not hub.requests
    nsd_imagery.accept_terms()
    nsd_imagery.push(real, "me/nsd-imagery")
    assert hub.repos["me/nsd-imagery"].private


def test_real_data_is_not_pulled_before(real: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as batch_job:
        batch_job.setenv("NSD_IMAGERY_ACCEPT_TERMS", "1")
        nsd_imagery.push(real, "me/nsd-imagery")
    with pytest.raises(AccessError, match="pull: NSD's terms are not accepted"):
        nsd_imagery.pull("me/nsd-imagery", tmp_path / "pulled")
    assert not hub.actions("download")
    assert not (tmp_path / "pulled").exists()
    nsd_imagery.accept_terms()
    nsd_imagery.pull("me/nsd-imagery", tmp_path / "pulled")
    assert (tmp_path / "pulled" / "README.md").read_bytes() == (real / "README.md").read_bytes()


def test_the_error_survives_pickling_and_is_a_permission_error() -> None:
    error = pickle.loads(pickle.dumps(AccessError("no")))
    assert isinstance(error, PermissionError)
    assert str(error) == "no"
