"""Real models that come with pip packages: nothing is fetched from a hub."""

from inseq_widget.models.demo.registry import PREFIX, DemoModel, demo_models, load_demo

__all__ = ["PREFIX", "DemoModel", "demo_models", "load_demo"]
