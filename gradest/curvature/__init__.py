"""Curvature of a loss by products of its Hessian with vectors, which cost a few gradients each and no matrix.

This package knows no framework: whose transformation carries a product out is asked of the backend.
"""
