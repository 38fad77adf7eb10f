"""What can go wrong, one class for each kind of thing.

Every error is also the built-in error that such a failure usually is, so that code which knows
nothing of segwidget still catches it. The message names what was given, what was expected, and
what to do next; a widget shows it as it stands.
"""


class SegwidgetError(Exception):
    """Anything that segwidget refuses or fails to do."""


class ImageError(SegwidgetError, ValueError):
    """An image cannot be opened, or is not an image that can be segmented."""


class PromptError(SegwidgetError, ValueError):
    """A prompt, or a list of prompts, cannot be asked of this image."""


class ModelError(SegwidgetError, ValueError):
    """No such model, or a model that cannot do what it is asked to do."""


class CheckpointError(SegwidgetError, OSError):
    """A file of weights is missing, damaged, unsafe, or belongs to another network."""


class AnnotationError(SegwidgetError, ValueError):
    """An annotation contradicts itself, its image, or the other annotations."""


class LabelError(SegwidgetError, ValueError):
    """A label's name or color cannot be used, or a label is unknown."""


class SettingError(SegwidgetError, ValueError):
    """How a widget looks, or which keys it has, is given in a way that it cannot be."""


class FormatError(SegwidgetError, ValueError):
    """A file is not in the format that it should be in, or a format cannot hold what is given."""


class StoreError(SegwidgetError, OSError):
    """Work cannot be written to disk, or cannot be read back."""


class ClosedError(SegwidgetError, RuntimeError):
    """Something was used after it had been closed."""


class ResourceError(SegwidgetError, MemoryError):
    """There is not enough memory, even for the smallest piece of the work."""
