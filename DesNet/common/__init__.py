"""What all models share; `DesNet/common` is a copy of `GenNet/common` that `make common` writes.

Edit it in GenNet/, and import it as `from common import samplers`.
"""
