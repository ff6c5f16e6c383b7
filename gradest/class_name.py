"""The name of a class whose author has given it none yet. This module knows nothing of gradest."""

from typing import Any


class _ClassName:
    """A class attribute that reads as the name of the class that is asked, until one of them states its own."""

    def __get__(self, instance: object, owner: type) -> str:
        # The class that is asked, not the one that holds this: a subclass without a name is called by its own.
        return owner.__name__


def class_name() -> Any:
    """Return what stands for a class attribute that is a string: the class's own name.

    Examples
    --------
    >>> from gradest.class_name import class_name
    >>> class Thing:
    ...     name: str = class_name()
    >>> class Box(Thing):
    ...     pass
    >>> Thing.name, Box().name
    ('Thing', 'Box')
    """
    return _ClassName()
