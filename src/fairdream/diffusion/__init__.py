"""Subjects to synthetic images: the images that each adapter learns, its training, and what it draws."""
