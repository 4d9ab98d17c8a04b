"""Receiving uploads: forms and raw bodies, resumable uploads (tus), and the preflight of a ZIP."""
