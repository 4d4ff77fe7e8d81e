"""What the tests of the training in torch share; torch itself is imported by the fixtures that need it."""

import numpy as np
import pytest

from inference.network import catalogue, secondread
from models.training.images import prepare
from tests.support import models  # noqa: F401 - fixes the threads of this process
from tests.support.published_lite0 import write_published
from tests.support.training import write_table

ROWS, COLUMNS = 96, 64


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    return write_published(tmp_path_factory.mktemp("imagenet") / "lite0.npz")


@pytest.fixture(scope="session")
def keras_network(published):
    model = catalogue.build(secondread.NAME, rows=ROWS, columns=COLUMNS)
    catalogue.start(model, imagenet=published)
    return model


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    data = write_table(tmp_path_factory.mktemp("data"))
    work = tmp_path_factory.mktemp("work")
    return prepare.run(data, work, rows=ROWS, columns=COLUMNS, processes=1, progress=lambda images, _: images)


@pytest.fixture
def network(keras_network):
    import torch  # noqa: PLC0415 - only where it is installed

    from models.training.torch_backend.network import Network, fill_weights  # noqa: PLC0415

    torch.set_num_threads(1)
    torch.manual_seed(1)
    twin = Network(depth_dropout=0.1)
    fill_weights(twin, {variable.path: np.asarray(variable) for variable in keras_network.weights})
    return twin
