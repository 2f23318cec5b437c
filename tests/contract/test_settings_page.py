"""Nobody who comes from the former system looks for one of its variables in vain."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORMER = """
    DB_URL PORT VITE_API_HOST VITE_DEFAULT_TRANSCRIPT_FORMAT LOG_LEVEL LOG_FORMAT LOG_TO_STDOUT LOG_MAX_BYTES
    LOG_BACKUP_COUNT MAX_UPLOAD_SIZE DB_CONNECT_ATTEMPTS BROKER_CONNECT_ATTEMPTS BROKER_PING_TIMEOUT
    API_HEALTH_TIMEOUT AUTH_USERNAME AUTH_PASSWORD ALLOW_REGISTRATION SECRET_KEY ACCESS_TOKEN_EXPIRE_MINUTES
    MAX_CONCURRENT_JOBS JOB_QUEUE_BACKEND STORAGE_BACKEND LOCAL_STORAGE_DIR AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    S3_BUCKET CELERY_BROKER_URL CELERY_BACKEND_URL CLEANUP_ENABLED CLEANUP_DAYS CLEANUP_INTERVAL_SECONDS
    ENABLE_SERVER_CONTROL TIMEZONE CORS_ORIGINS WHISPER_BIN WHISPER_LANGUAGE WHISPER_TIMEOUT_SECONDS MODEL_DIR
    OPENAI_API_KEY OPENAI_MODEL
"""


@pytest.mark.parametrize("variable", FORMER.split())
def test_former_variable_has_a_row(variable: str) -> None:
    assert f"| `{variable}` |" in (ROOT / "docs/settings.md").read_text(encoding="utf-8")


def test_the_page_is_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, str(ROOT / "scripts/settings.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
