"""The published package's interface, so that code which was written for it runs on segwidget."""
