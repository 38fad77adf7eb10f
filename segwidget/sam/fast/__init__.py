"""The published network once more, for inference on a CPU: the same numbers, sooner and leaner."""
