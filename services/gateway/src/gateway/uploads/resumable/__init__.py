"""Resumable uploads: tus 1.0.0 on parts of an S3 object; all state is in the object store, so any replica continues."""
