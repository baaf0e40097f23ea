"""What the embedded demo is made of: its data set, its base model and its CLIP."""
