"""Files to a biased training table: listing, reading, splitting and embedding the images, and what biases them."""
