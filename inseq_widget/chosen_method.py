"""Which method a model explains with: its default, or the one that a call names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from inseq_widget.methods import AttributionMethod, list_methods, make_method
from inseq_widget.methods.base import METHODS, keywords_of_method


class ChosenMethod:
    """Gives a model its default method.

    Parameters
    ----------
    attribution_method : str or None
    keywords : mapping
        Of the method; they belong to it, and to no other.
    """

    def __init__(self, attribution_method: str | None, keywords: Mapping[str, object]) -> None:
        if attribution_method is not None:
            make_method(attribution_method, keywords)
        elif keywords:
            raise TypeError(
                f"{', '.join(keywords)}: keywords of a method need attribution_method; "
                f"there are {', '.join(list_methods())}."
            )
        self._default = attribution_method
        self._keywords = (attribution_method, dict(keywords))

    @property
    def attribution_method(self) -> str | None:
        """Name of the default method; it can be changed."""
        return self._default

    @attribution_method.setter
    def attribution_method(self, name: str | None) -> None:
        self._default = None if name is None else METHODS[name].name

    def get_attribution_method(
        self,
        method: str | None = None,
        override_default_attribution: bool = False,
        **kwargs: object,
    ) -> AttributionMethod:
        """Give a method with its keywords.

        Parameters
        ----------
        method : str, optional
            Its name; the default method otherwise.
        override_default_attribution : bool, default False
            Make it, with these keywords, the default one.
        **kwargs
            Keywords of the method.

        Returns
        -------
        AttributionMethod

        Raises
        ------
        ValueError, TypeError
            When there is no such method or keyword, or no default.
        """
        chosen = self._method(method, kwargs, set(), {})
        if override_default_attribution:
            self._make_default(chosen)
        return chosen

    def _make_default(self, method: AttributionMethod) -> None:
        self._default = method.name
        takes = keywords_of_method(method.name)
        self._keywords = (method.name, {keyword: getattr(method, keyword) for keyword in takes})

    def _method_class(self, name: str | None) -> type[AttributionMethod]:
        chosen = name or self.attribution_method
        if chosen is None:
            raise ValueError(
                "method: the model has no default method, so name one: "
                f"{', '.join(list_methods())}."
            )
        return METHODS[chosen]

    def _method(
        self,
        name: str | None,
        keywords: Mapping[str, object],
        of_functions: set[str],
        own_keywords: Mapping[str, object],
    ) -> AttributionMethod:
        chosen = self._method_class(name).name
        # What the model was loaded with belongs to the method that it was loaded with.
        first, keywords_of_first = self._keywords
        loaded = keywords_of_first if chosen == first else {}
        takes = keywords_of_method(chosen)
        given = {
            key: value for key, value in keywords.items() if key in takes or key not in of_functions
        }
        return make_method(chosen, {**loaded, **given, **own_keywords})


def with_eos_baseline(
    method: type[AttributionMethod], keywords: dict[str, object]
) -> dict[str, object]:
    """Have a method's baseline replace end-of-sequence tokens; warn where it has none."""
    if "include_eos_baseline" in keywords_of_method(method.name):
        return {"include_eos_baseline": True, **keywords}
    warnings.warn(
        f"include_eos_baseline: {method.name!r} has no baseline, so this changes nothing.",
        stacklevel=3,
    )
    return keywords
