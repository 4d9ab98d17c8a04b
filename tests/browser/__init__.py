"""The pages in a real Chromium. What they say is found by roles and names, as a screen reader finds it."""
