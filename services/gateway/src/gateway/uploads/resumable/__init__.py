"""Resumable uploads: tus 1.0.0 on multipart uploads. All state is in the object store, so any replica can continue."""
