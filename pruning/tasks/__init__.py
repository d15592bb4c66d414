"""Kinds of task, one file each, in one registry."""

from pruning.tasks import image_classification, language_modeling, text_classification  # noqa: F401  (they register)
from pruning.tasks.base import Batch, Collector, Examples, Outcome, Task, batches, forward, task_of, tasks

__all__ = ["Batch", "Collector", "Examples", "Outcome", "Task", "batches", "forward", "task_of", "tasks"]
