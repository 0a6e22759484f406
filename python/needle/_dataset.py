"""What all datasets are."""

from typing import Any


class Dataset:
    """Numbered items: subclass it and write __len__ and __getitem__."""

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__}: write __len__(self)")

    def __getitem__(self, i: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: write __getitem__(self, i)")
