"""The public names of common.web."""

import subprocess
import sys

import pytest

from common import web


def test_every_public_name_is_there() -> None:
    assert all(getattr(web, name) is not None for name in web.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = web.Nonsense


def test_services_without_a_database_do_not_load_its_driver() -> None:
    program = "import sys, common.web, common.cli; sys.exit('sqlalchemy' in sys.modules or 'aio_pika' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
