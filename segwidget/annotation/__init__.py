"""What is kept: annotations, labels, the undoable session, file formats."""
