"""The network: image encoders, prompt encoder, two-way transformer, mask decoder, checkpoints."""
