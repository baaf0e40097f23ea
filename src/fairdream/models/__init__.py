"""Pretrained weights: where they come from, which they are, and the device that they run on."""
