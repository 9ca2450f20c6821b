"""The data node's own findings, landed like a vendor's."""
