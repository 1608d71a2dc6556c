"""The resources of the subscription: documents by Azure resource ID."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

Document = dict[str, Any]
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Resources:
    """A tree of named resources: `…/environments/quartet/versions/1`.

    IDs are compared without case, as in Azure. Each new resource is a second younger than the one
    before, so that their order is unique.
    """

    def __init__(self) -> None:
        self._documents: dict[str, Document] = {}
        self._seconds = count()
        self._lock = threading.Lock()

    def put(self, identifier: str, body: Document) -> tuple[Document, bool]:
        """Store a document; return it with ID, name, type and times, and whether it is new."""
        with self._lock:
            before = self._documents.get(identifier.lower())
            now = (EPOCH + timedelta(seconds=next(self._seconds))).isoformat()
            created = before["systemData"]["createdAt"] if before else now
            document = {
                **body,
                "id": identifier,
                "name": identifier.rpartition("/")[2],
                "type": type_of(identifier),
                "systemData": {"createdAt": created, "lastModifiedAt": now, "createdBy": "test"},
            }
            self._documents[identifier.lower()] = document
            return document, before is None

    def get(self, identifier: str) -> Document | None:
        """Return a document, or None."""
        return self._documents.get(identifier.lower())

    def delete(self, identifier: str) -> bool:
        """Remove a resource and those below it; return whether it existed."""
        key = identifier.lower()
        with self._lock:
            found = key in self._documents
            for other in [name for name in self._documents if f"{name}/".startswith(f"{key}/")]:
                del self._documents[other]
        return found

    def members(self, collection: str) -> list[Document]:
        """Return the resources of a collection, oldest first."""
        prefix = f"{collection.lower()}/"
        found = [
            document
            for key, document in self._documents.items()
            if key.startswith(prefix) and "/" not in key[len(prefix) :]
        ]
        return sorted(found, key=lambda document: document["systemData"]["createdAt"])


def type_of(identifier: str) -> str:
    """Return the type of an ID: `Microsoft.MachineLearningServices/workspaces/jobs`."""
    provider, *rest = identifier.rpartition("/providers/")[2].split("/")
    return "/".join([provider, *rest[::2]])
