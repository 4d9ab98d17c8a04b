"""What the API renders itself: HTML pages, a grid of sample images, and findings as CSV."""
