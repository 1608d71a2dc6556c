"""Documents by Azure resource id: what there is on the subscription."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

Document = dict[str, Any]
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Resources:
    """A tree of named resources: `…/environments/quartet/versions/1`.

    Ids are compared without regard to case, as Azure does. Each new resource is
    a second younger than the one before it, so that orders never tie.
    """

    def __init__(self) -> None:
        self._documents: dict[str, Document] = {}
        self._seconds = count()
        self._lock = threading.Lock()

    def put(self, identifier: str, body: Document) -> tuple[Document, bool]:
        """The document as kept, with id, name, type and times, and whether it is new."""
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
        """The document, or None."""
        return self._documents.get(identifier.lower())

    def delete(self, identifier: str) -> bool:
        """Remove the resource and what is below it; whether it was there."""
        key = identifier.lower()
        with self._lock:
            found = key in self._documents
            for other in [name for name in self._documents if f"{name}/".startswith(f"{key}/")]:
                del self._documents[other]
        return found

    def members(self, collection: str) -> list[Document]:
        """The resources directly in a collection, oldest first."""
        prefix = f"{collection.lower()}/"
        found = [
            document
            for key, document in self._documents.items()
            if key.startswith(prefix) and "/" not in key[len(prefix) :]
        ]
        return sorted(found, key=lambda document: document["systemData"]["createdAt"])


def type_of(identifier: str) -> str:
    """`Microsoft.MachineLearningServices/workspaces/jobs` of a resource's or collection's id."""
    provider, *rest = identifier.rpartition("/providers/")[2].split("/")
    return "/".join([provider, *rest[::2]])
