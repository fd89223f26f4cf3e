"""One trained bundle for all tests of this folder."""

import shutil

import pytest

from services.trainer import run as trainer
from shared.bundle import load
from tests.unit.trainer.world import make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("bundle-world"))


@pytest.fixture(scope="session")
def sealed(world, tmp_path_factory):
    """The digest of a bundle in the world's store."""
    return trainer.run(world.job(), tmp_path_factory.mktemp("run")).bundle_digest


@pytest.fixture(scope="session")
def pristine(world, sealed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pristine")
    load(world.store, sealed, folder)
    return folder


@pytest.fixture
def folder(pristine, tmp_path):
    """A bundle's files, to be spoilt."""
    return shutil.copytree(pristine, tmp_path / "bundle")
