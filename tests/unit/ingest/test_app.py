from pathlib import Path

from services.ingest.app import wire
from services.ingest.settings import Settings
from shared.bus import Bus
from shared.clock import SystemClock
from shared.telemetry import Telemetry


def test_the_api_page_says_what_to_send_and_settings_come_from_the_environment(
    tmp_path: Path, telemetry: Telemetry, monkeypatch
):
    monkeypatch.setenv("PLUMBLINE_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("PLUMBLINE_ARTIFACTS__URL", tmp_path.as_uri())
    monkeypatch.setenv("PLUMBLINE_BATCH__DOCUMENTS", "7")
    settings = Settings()
    assert settings.batch.documents == 7
    app = wire(settings, Bus("ingest", settings.kafka, telemetry), telemetry, SystemClock())
    paths = app.openapi()["paths"]
    assert set(paths["/v1/uploads/{upload_id}"]) == {"head", "patch", "get", "delete"}
    assert paths["/v1/domains/{domain}/batches"]["post"]["responses"] == paths["/v1/batches"]["post"]["responses"]
    post = paths["/v1/batches"]["post"]
    schema = post["requestBody"]["content"]["application/x-ndjson"]["schema"]
    assert schema["required"] == ["document_id", "text"]
    assert {"201", "413", "415", "422", "503", "507"} <= set(post["responses"])
