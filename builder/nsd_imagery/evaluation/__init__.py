"""What is in a built folder: reliability, identification, geometry, each with its chance, ceiling, p and interval."""
