# SPDX-License-Identifier: Apache-2.0
"""The API generator: descriptions (TOML) in, C tables and documents out. Entry: ../gen.py."""
